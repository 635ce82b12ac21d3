#!/bin/sh
# netfreeze-keeper: keeps the socket of a frozen namespace's queues open, so that the kernel keeps the packets.
#
#   keeper.sh TARGET STATE QUEUE-IN QUEUE-OUT LEASE ANCHOR WORD
#
# TARGET and STATE say in `ps` for whom it is. LEASE is the freeze's length in hundredths of a second, or `-`. ANCHOR is
# the file by which the namespace was found. WORD is the file in which it leaves word of what it released, or `-`.
# Descriptors: 3 the bound socket, 4 the kernel's table of queues, 5 from where the lease's end is read once (hundredths of
# a second since the machine was started, or `endless`), 6 the namespace.
#
# It does three things:
# - When the lease has ended it gives back what is held, by NF_REPEAT: the chain is asked once more, and as its set is empty
#   by then the packets go on. Were the lease still in force they would only be queued again, so that a clock that is
#   wrong opens nothing.
# - When nothing uses the namespace any more it ends, since its socket alone would keep the namespace alive.
# - SIGHUP tells it that a thaw is under way: what is still held 0.2 s later is given back, should the thaw have died.
#   SIGUSR1 accepts and SIGUSR2 drops all that is held, for kernels that let nobody else use the socket.
# A child of its own never holds the socket, so that the socket is closed when this process ends.

main() {
  queue_in=$3 queue_out=$4 lease=$5 anchor=$6 word=$7
  bytes_in=$(queue_bytes "$queue_in") bytes_out=$(queue_bytes "$queue_out")
  sleeper='' unseen=0 tries=5 thaw=''
  trap 'finish' TERM
  trap 'decide 1' USR1
  trap 'decide 0' USR2
  trap 'now; thaw=$((now + 20))' HUP
  trap '' INT QUIT PIPE
  { echo netfreeze-keeper >/proc/self/comm; } 2>/dev/null
  { echo -1000 >/proc/self/oom_score_adj; } 2>/dev/null
  cd / || exit 1

  now
  if read -r due <&5; then
    [ "$due" != endless ] || due=''
  elif [ "$lease" = - ]; then
    due=''
  else
    # Whoever began the freeze has died: its end is guessed, and tried for longer.
    due=$((now + lease)) tries=60
  fi
  exec 5<&-
  while :; do
    now
    if [ -n "$due" ] && [ "$now" -ge "$due" ]; then end_lease; fi
    if [ -n "$thaw" ] && [ "$now" -ge "$thaw" ]; then
      thaw=''
      # Once: had the thaw not come to the emptying, more would only fill the socket with notices.
      give_back 1
    fi
    rest=500
    for moment in $due $thaw; do
      if [ $((moment - now)) -lt $rest ]; then rest=$((moment - now)); fi
    done
    pause "$rest"
    is_used || finish
  done
}

# now: the time since the machine was started, in hundredths of a second.
now() {
  read -r up _ </proc/uptime
  now=${up%.*}${up#*.}
}

# pause HUNDREDTHS: sleeps; a signal ends it early.
pause() {
  [ "$1" -gt 0 ] || return 0
  sleep "$(($1 / 100)).$(($1 / 10 % 10))$(($1 % 10))" 3<&- 4<&- 6<&- &
  sleeper=$!
  wait "$sleeper" || kill "$sleeper" 2>/dev/null
  sleeper=''
}

finish() {
  [ -z "$sleeper" ] || kill "$sleeper" 2>/dev/null
  exit 0
}

# queue_bytes NUMBER: a number of 16 bits in network order, as printf's escapes.
queue_bytes() {
  printf '\\%03o\\%03o' $(($1 / 256)) $(($1 % 256))
}

# decide VERDICT: about all that is held.
decide() {
  send "$1" "$bytes_in" '\177\377\377\377'
  send "$1" "$bytes_out" '\177\377\377\377'
}

# send VERDICT QUEUE ID: one message (netlink header, nfgenmsg, NFQA_VERDICT_HDR: verdict and the largest id that is meant).
send() {
  printf '\040\000\000\000\003\003\001\000\000\000\000\000\000\000\000\000\000\000'"$2"'\014\000\002\000\000\000\000\00'"$1$3" >&3
}

# held: how many packets wait, in and out, and the id that the oldest of them has at the most.
held() {
  held_in=0 held_out=0 oldest_in=0 oldest_out=0
  while read -r number _ waiting _ _ _ unread sequence _; do
    case $number in
      "$queue_in") held_in=$waiting oldest_in=$((sequence - waiting + unread + 1)) ;;
      "$queue_out") held_out=$waiting oldest_out=$((sequence - waiting + unread + 1)) ;;
    esac
  done </proc/self/fd/4
  held=$((held_in + held_out))
}

# has_ended: asks the chain about the oldest packet alone. It goes on if the lease has ended; if not, it is queued again,
# and nothing else has been touched: asking about all of them would number them anew each time, and fill the socket.
has_ended() {
  before=$held
  if [ "$held_in" -gt 0 ]; then
    send 4 "$bytes_in" "$(queue_bytes $((oldest_in / 65536)))$(queue_bytes $((oldest_in % 65536)))"
  else
    send 4 "$bytes_out" "$(queue_bytes $((oldest_out / 65536)))$(queue_bytes $((oldest_out % 65536)))"
  fi
  held
  [ "$held" -lt "$before" ]
}

# end_lease: gives back what is held; what is more than a second late helps nobody and is dropped, but for the oldest
# packet, by which the chain is asked.
end_lease() {
  late=$((now - due)) due=''
  held
  last_in=$held_in last_out=$held_out
  if [ "$late" -gt 100 ] && [ "$tries" -le 5 ]; then
    # The one packet that was asked about has gone on.
    if [ "$held" -gt 0 ]; then
      if [ "$held_in" -gt 0 ]; then last_in=1 last_out=0; else last_in=0 last_out=1; fi
      has_ended || return 0
      decide 0
    fi
    leave_word repeat
  elif give_back "$tries"; then
    leave_word repeat
  fi
}

# give_back TRIES: fails when the lease is in force still: somebody has extended it, and sees to its end.
give_back() {
  left=$1
  held
  while [ "$held" -gt 0 ] && [ "$left" -gt 0 ]; do
    if has_ended; then
      decide 4
    else
      left=$((left - 1))
    fi
    held
    [ "$held" -eq 0 ] || { pause 2; held; }
  done
  [ "$held" -eq 0 ]
}

# leave_word VERDICT: what was released or dropped, for whoever counts later.
leave_word() {
  [ "$word" != - ] || return 0
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
  for place in /proc/[0-9]*; do
    process=${place#/proc/}
    [ "$process" != $$ ] || continue
    if [ "$place/ns/net" -ef /proc/self/fd/6 ]; then
      anchor=$place/ns/net
      return 0
    fi
  done
  while read -r _ _ _ root point _; do
    case $root in
      net:*) if [ "$point" -ef /proc/self/fd/6 ]; then anchor=$point; return 0; fi ;;
    esac
  done </proc/self/mountinfo
  for place in /proc/[0-9]*/fd/*; do
    [ "$place" -ef /proc/self/fd/6 ] || continue
    read -r name <"${place%/fd/*}/comm" || continue
    case $name in
      netfreeze-keepe*) ;;
      *) anchor=$place; return 0 ;;
    esac
  done 2>/dev/null
  return 1
}

main "$@"
