#!/bin/sh
# netfreeze-keeper: keeps the socket of a frozen namespace's queues open, so that the kernel keeps the packets.
#
#   keeper.sh TARGET STATE QUEUE-IN QUEUE-OUT LEASE ANCHOR WORD
#
# TARGET and STATE say in `ps` for whom it is. LEASE is the freeze's length in hundredths of a second, or `-`. ANCHOR is
# the file by which the namespace was found. WORD is the file in which it leaves word of what it released, or `-`.
# Descriptors: 3 the bound socket, 4 the kernel's table of queues, 5 from where the lease's end is read once (hundredths of
# a second since the machine was started, or `endless`), 6 the namespace, 7 a socket to ask nf_tables, 8 one that nobody
# sends to. A read from 7 ends after 0.01 s, from 8 after 0.25 s.
#
# It does three things:
# - When the lease has ended, which it asks the kernel, it gives back what is held. It does so by NF_REPEAT: the chain is
#   asked once more, so that nothing passes if somebody freezes anew at that very moment.
# - When nothing uses the namespace any more it ends, since its sockets alone would keep the namespace alive.
# - SIGHUP tells it that a thaw is under way: if the lease is empty 0.2 s later and something still held, the thaw has died,
#   and it is given back. SIGUSR1 accepts and SIGUSR2 drops all that is held, for kernels that let nobody else use the socket.
#
# It needs no other process: where none can be started any more, what is held must stay held. It waits in `sleep` as long as
# it can, since `read` puts a socket in the place of standard input. A child of its own never holds the socket of the queues.

if [ -n "${BASH_VERSION-}" ]; then
  # A message must go out in one piece, and bash writes line by line: a program does it there, when something is to be said.
  printf() { command env printf "$@" 4<&- 6<&- 8<&-; }
  # It forgets what it has read when the time is over; so it reads one byte, and another until there is none.
  nap() {
    answer=''
    read -r -N 1 -u "$1" answer || return 0
    while read -r -N 1 -u "$1" _; do :; done
  }
else
  nap() { eval "read -r answer <&$1"; }
fi

main() {
  queue_in=$3 queue_out=$4 lease=$5 anchor=$6 word=$7
  octal "$queue_in"
  bytes_in=$octal
  octal "$queue_out"
  bytes_out=$octal
  woken='' sleeper='' unseen=0 thaw='' due='' ask='' in_force=''
  trap 'finish' TERM
  trap 'decide 1' USR1
  trap 'decide 0' USR2
  trap 'now; thaw=$((now + 20)) woken=1' HUP
  trap '' INT QUIT PIPE
  { echo netfreeze-keeper >/proc/self/comm; } 2>/dev/null
  { echo -1000 >/proc/self/oom_score_adj; } 2>/dev/null
  cd / || exit 1

  now
  if read -r told <&5; then
    [ "$told" = endless ] || due=$told
  elif [ "$lease" != - ]; then
    # Whoever began the freeze has died: its end is guessed.
    due=$((now + lease))
  fi
  exec 5<&-
  ask=$due
  while :; do
    now
    if [ -n "$ask" ] && [ "$now" -ge "$ask" ]; then end_lease; fi
    if [ -n "$thaw" ] && [ "$now" -ge "$thaw" ]; then
      thaw=''
      if lease_has_ended; then give_back; fi
    fi
    now
    next=$((now + 480))
    for moment in $ask $thaw; do
      if [ "$moment" -lt "$next" ]; then next=$moment; fi
    done
    sleep_until "$next"
    # The look at the namespace can take long, and has time.
    now
    for moment in $ask $thaw; do
      if [ "$now" -ge "$moment" ]; then continue 2; fi
    done
    is_used || finish
  done
}

# now: the time since the machine was started, in hundredths of a second.
now() {
  read -r up _ </proc/uptime
  now=${up%.*}${up#*.}
}

# sleep_until MOMENT: a signal that changes what is to be done ends it early.
sleep_until() {
  while now && [ -z "$woken" ] && [ "$now" -lt "$1" ]; do
    left=$(($1 - now))
    if [ "$left" -lt 25 ]; then
      nap 7
    elif ! rest "$left"; then
      nap 8
    fi
  done
  woken=''
}

# rest HUNDREDTHS: sleeps; a signal ends it. Fails at once where no process can be started: dash says so and goes on, bash would
# end. A read that is interrupted goes on, so it must be short.
rest() {
  [ -z "${BASH_VERSION-}" ] || return 1
  command eval 'sleep "$(($1 / 100)).$(($1 / 10 % 10))$(($1 % 10))" 3<&- 4<&- 6<&- 7<&- 8<&- &' || return 1
  sleeper=$!
  wait "$sleeper"
  slept=$?
  # More than 128: a signal came; else it could not even sleep.
  [ "$slept" -le 128 ] || kill "$sleeper"
  sleeper=''
  [ "$slept" -eq 0 ] || [ "$slept" -gt 128 ]
}

finish() {
  [ -z "$sleeper" ] || kill "$sleeper"
  exit 0
}

# octal NUMBER: a number of 16 bits in network order, as printf's escapes.
octal() {
  high=$(($1 / 256)) low=$(($1 % 256))
  octal="\\$((high / 64))$((high / 8 % 8))$((high % 8))\\$((low / 64))$((low / 8 % 8))$((low % 8))"
}

# decide VERDICT: about all that is held. One message for each queue: netlink header, nfgenmsg, NFQA_VERDICT_HDR with the
# verdict and the largest id that is meant.
decide() {
  for bytes in "$bytes_in" "$bytes_out"; do
    printf '\040\000\000\000\003\003\001\000\000\000\000\000\000\000\000\000\000\000'"$bytes"'\014\000\002\000\000\000\000\00'"$1"'\177\377\377\377' >&3
  done
}

# held: how many packets wait, in and out.
held() {
  held_in=0 held_out=0
  while read -r number _ waiting _; do
    case $number in
      "$queue_in") held_in=$waiting ;;
      "$queue_out") held_out=$waiting ;;
    esac
  done </proc/self/fd/4
  held=$((held_in + held_out))
}

# lease_has_ended: asks nf_tables for the elements of the set `lease` (NFT_MSG_GETSETELEM, a dump). Of each datagram of the
# answer a shell reads one byte, the lowest of the first message's length; a set without elements is told in 52, which is `4`.
lease_has_ended() {
  printf '\060\000\000\000\015\012\001\003\000\000\000\000\000\000\000\000\001\000\000\000\016\000\001\000netfreeze\000\000\000\012\000\002\000lease\000\000\000' >&7
  nap 7
  case $answer in
    4*) return 0 ;;
    *) return 1 ;;
  esac
}

# end_lease: gives back what is held; what is more than a second late helps nobody and is dropped. A lease that is in force
# still was guessed wrong or renewed, and is asked for again, often at first.
end_lease() {
  if ! lease_has_ended; then
    in_force=$now
    if [ $((now - due)) -lt 600 ]; then ask=$((now + 10)); else ask=$((now + 480)); fi
    return
  fi
  ask=''
  held
  last_in=$held_in last_out=$held_out
  if [ -z "$in_force" ]; then late=$((now - due - 100)); else late=$((now - in_force - 600)); fi
  if [ "$late" -gt 0 ]; then
    leave_word drop
    decide 0
  else
    leave_word repeat
    give_back
  fi
}

# give_back: until nothing is left, or somebody has frozen anew.
give_back() {
  held
  while [ "$held" -gt 0 ]; do
    before=$held
    decide 4
    held
    [ "$held" -gt 0 ] || nap 7
    held
    if [ "$held" -ge "$before" ]; then lease_has_ended || return 0; fi
  done
}

# leave_word VERDICT: what is released or dropped now, for whoever counts later; before it is, so that nobody finds packets
# gone without a word. Another keeper's word stays where there is nothing to say.
leave_word() {
  [ "$word" != - ] && [ $((last_in + last_out)) -gt 0 ] || return 0
  { echo "$1 $last_in $last_out" >"$word"; } 2>/dev/null
}

# is_used: whether anything but keepers can still reach the namespace. Looked for everywhere only when the way is gone by
# which it was found; twice, since a process that moves from one place to another may be missed once.
is_used() {
  if [ "$anchor" -ef /proc/self/fd/6 ]; then
    unseen=0
    return 0
  fi
  if new_anchor; then return 0; fi
  unseen=$((unseen + 1))
  [ "$unseen" -lt 2 ]
}

new_anchor() {
  for process in /proc/[0-9]*; do
    for thread in "$process"/task/[0-9]*; do
      if [ "$thread/ns/net" -ef /proc/self/fd/6 ]; then
        anchor=$thread/ns/net
        return 0
      fi
    done
  done
  while read -r _ _ _ root point _; do
    case $root in
      net:*) if [ "$point" -ef /proc/self/fd/6 ]; then anchor=$point; return 0; fi ;;
    esac
  done </proc/self/mountinfo
  for process in /proc/[0-9]*; do
    read -r name <"$process/comm" || continue
    case $name in
      netfreeze-keepe*) continue ;;
    esac
    for place in "$process"/fd/*; do
      if [ "$place" -ef /proc/self/fd/6 ]; then anchor=$place; return 0; fi
    done
  done 2>/dev/null
  return 1
}

main "$@"
