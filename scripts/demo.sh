#!/usr/bin/env bash
# npm run demo: freezes a namespace under a live TCP stream and pings, proves that it is frozen, and gives it back.
# Every command that is shown is really run, and every claim is checked: the exit status is 0 only if all of them held.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/prepare.sh
source scripts/prepare.sh

((EUID == 0)) || fail 'The demo makes network namespaces, which needs root: sudo npm run demo'

web=nfz-demo-$$-web
client=nfz-demo-$$-client
work=$(mktemp -d -t nfz-demo.XXXXXX)
export NETFREEZE_STATE_DIR=$work/state
streams=()
broken=0

tidy_up() {
  # Whatever fails here must not keep the rest from being removed, nor change how the demo ended.
  set +e
  {
    if ((${#streams[@]} > 0)); then
      kill -KILL "${streams[@]}"
      wait "${streams[@]}"
    fi
    ip netns delete "$web"
    ip netns delete "$client"
    rm -rf "$work"
  } >/dev/null 2>&1
}
trap tidy_up EXIT
end_on_signals

bold='' plain=''
if [[ -t 1 && -z ${NO_COLOR:-} ]]; then bold=$'\e[1m' plain=$'\e[0m'; fi

heading() { printf '\n%s%s%s\n' "$bold" "$*" "$plain"; }
say() { printf '%s\n' "${@/#/  }"; }

# show COMMAND...: prints the command, runs it, and prints what it says a little to the right.
show() {
  printf '\n  $ %s\n' "$*"
  "$@" 2>&1 | sed -u '/^$/d; s/^/    /'
}

# set_up COMMAND...: a command that says nothing, and without which there is no demo.
set_up() {
  printf '  $ %s\n' "$*"
  "$@" || fail "This command failed, so the demo ends here: $*"
}

# must COMMAND...: a shown command without which there is no demo.
must() {
  show "$@" || fail "This command failed, so the demo ends here: $*"
}

# claim WORDS TEST...: what the demo claims, and a test that must hold.
claim() {
  local words=$1
  shift
  if "$@"; then
    printf '  ✓ %s\n' "$words"
  else
    printf '  ✗ NOT SO: %s\n' "$words"
    broken=$((broken + 1))
  fi
}

in_web() { ip netns exec "$web" "$@"; }

# counter NAMESPACE NAME: one of the kernel's own counters of a namespace.
counter() { ip netns exec "$1" nstat -asz "$2" | awk -v name="$2" '$1 == name { print $2 }'; }

# received END: how many lines of the stream an end has received. stream_state END: `live`, or what became of it.
received() { cut -d' ' -f1 "$work/$1"; }
sent() { cut -d' ' -f2 "$work/$1"; }
stream_state() { cut -d' ' -f3- "$work/$1"; }

# both_beyond WEB CLIENT: whether both ends have received more lines than that.
both_beyond() { (($(received web) > $1 && $(received client) > $2)); }

now_ms() { date +%s%3N; }

# within SECONDS TEST...: whether the test comes true in time.
within() {
  local limit=$(($(now_ms) + $1 * 1000))
  shift
  until "$@"; do
    (($(now_ms) < limit)) || return 1
    sleep 0.02
  done
}

install_packages iproute2 iputils-ping nftables
prepare

nothing_left() {
  [[ -z $(in_web nft list ruleset) && -z $(in_web cat /proc/self/net/netfilter/nfnetlink_queue) ]] &&
    ! pgrep -f "^netfreeze-keeper .* netns:$web " >/dev/null
}

heading '1. Two namespaces with a cable between them'
say "$web plays the container," "$client is somebody who talks to it."
printf '\n'
set_up ip netns add "$web"
set_up ip netns add "$client"
set_up ip link add eth0 netns "$web" type veth peer name eth0 netns "$client"
set_up ip -n "$web" address add 10.77.0.1/24 dev eth0
set_up ip -n "$client" address add 10.77.0.2/24 dev eth0
set_up ip -n "$web" link set eth0 up
set_up ip -n "$client" link set eth0 up

heading '2. Live traffic: pings, and a TCP stream with numbered lines both ways'
must ip netns exec "$client" ping -c 3 -i 0.2 -W 1 10.77.0.1
must ip netns exec "$web" ping -c 3 -i 0.2 -W 1 10.77.0.2
printf '\n'
ip netns exec "$web" node scripts/demo-stream.mjs listen 10.77.0.1 7000 "$work/web" &
streams+=($!)
within 5 test -s "$work/web" || fail 'The TCP stream could not be opened: nobody listens.'
ip netns exec "$client" node scripts/demo-stream.mjs connect 10.77.0.1 7000 "$work/client" &
streams+=($!)
within 5 test -s "$work/client" || fail 'The TCP stream could not be opened: no connection.'
claim 'the stream runs: each end receives 50 lines a second' within 5 both_beyond 25 25

heading '3. Freeze'
say 'One atomic change closes both directions. It is rehearsed in a scratch namespace first,' \
  "then loaded, read back from the kernel and compared. The namespace's programs notice nothing."
must bin/netfreeze on "$web" --reason demo
frozen_at=$(now_ms)
arrived=$(counter "$client" IpInReceives)
delivered=$(counter "$web" IpInDelivers)
# What had arrived before the freeze still lies in the programs' buffers: they may read it.
sleep 0.3
at_web=$(received web) at_client=$(received client)

heading '4. The proof: neither side sees anything'
if show ip netns exec "$client" ping -c 3 -i 0.2 -W 0.5 10.77.0.1; then ping_in=0; else ping_in=1; fi
if show ip netns exec "$web" ping -c 3 -i 0.2 -W 0.5 10.77.0.2; then ping_out=0; else ping_out=1; fi
printf '\n'
claim 'no ping was answered, whoever sent it' test "$ping_in $ping_out" = '1 1'
claim "the stream stands still at both ends: line $at_web in web, line $at_client in client" \
  test "$(received web) $(received client)" = "$at_web $at_client"
claim 'the connection is not broken, it waits' test "$(stream_state web) $(stream_state client)" = 'live live'
claim "the client's kernel: 0 IPv4 packets have arrived since the freeze" \
  test "$(counter "$client" IpInReceives)" = "$arrived"
claim "the web's kernel: 0 IPv4 packets were delivered to its programs since the freeze" \
  test "$(counter "$web" IpInDelivers)" = "$delivered"

must bin/netfreeze status "$web"
must bin/netfreeze verify "$web"
read -r state verified stopped_in stopped_out < <(bin/netfreeze status "$web" --json | node -p '
  const [{ state, verified, counters }] = JSON.parse(require("fs").readFileSync(0)).targets;
  [state, verified, counters.in.packets, counters.out.packets].join(" ")')
printf '\n'
claim 'frozen, and the kernel shows what was frozen' test "$state $verified" = 'frozen true'
claim "packets were stopped in both directions: $stopped_in in, $stopped_out out" \
  test "$stopped_in" -gt 0 -a "$stopped_out" -gt 0

printf '\n'
say 'What the kernel itself shows, without netfreeze:'
must ip netns exec "$web" nft list table inet netfreeze

heading '5. A dry run: what would another freeze change?'
say 'Resolved, rendered and rehearsed like a real one, but the namespace is not touched.'
before=$(in_web nft -s list ruleset)
must bin/netfreeze on "$web" --allow 10.77.0.2 --dry-run
printf '\n'
claim 'the namespace has the same ruleset as before' test "$(in_web nft -s list ruleset)" = "$before"
claim 'still not a line has come through' test "$(received web) $(received client)" = "$at_web $at_client"

heading '6. Thaw'
must bin/netfreeze off "$web"
thawed_at=$(now_ms)
within 30 both_beyond "$at_web" "$at_client" || true
resumed_at=$(now_ms)
printf '\n'
say "The freeze lasted $((thawed_at - frozen_at)) ms. TCP kept what it could not send. netfreeze makes this side send it now; the other" \
  "side waits for its own timer."
claim "the same stream goes on at both ends, $((resumed_at - thawed_at)) ms after the thaw" both_beyond "$at_web" "$at_client"
claim 'netfreeze has left no rule behind' test -z "$(in_web nft list ruleset)"
must ip netns exec "$client" ping -c 3 -i 0.2 -W 1 10.77.0.1
must ip netns exec "$web" ping -c 3 -i 0.2 -W 1 10.77.0.2

heading '7. Again, and this time the packets are held: --mode steal'
say 'Nothing is dropped: the kernel holds each packet in a queue, and the thaw gives them back in order.'
must bin/netfreeze on "$web" --mode steal
sleep 0.3
at_web=$(received web) at_client=$(received client)
sleep 1
claim "the stream stands still: line $at_web in web, line $at_client in client" \
  test "$(received web) $(received client)" = "$at_web $at_client"
must bin/netfreeze status "$web"
must bin/netfreeze off "$web"
thawed_at=$(now_ms)
within 10 both_beyond "$at_web" "$at_client" || true
resumed_at=$(now_ms)
printf '\n'
claim "the stream goes on at both ends, $((resumed_at - thawed_at)) ms after netfreeze has ended" both_beyond "$at_web" "$at_client"
claim 'netfreeze has left no rule, no queue and no keeper behind' nothing_left

heading '8. Was a byte lost?'
say 'Both ends stop sending, and what one has sent is compared with what the other has received.'
kill -TERM "${streams[@]}"
both_done() { [[ $(stream_state web) != live && $(stream_state client) != live ]]; }
within 30 both_done || true
claim 'both ends closed the connection in peace' test "$(stream_state web), $(stream_state client)" = 'done, done'
claim "from web to client: $(sent web) lines sent, $(received client) received, all in order" \
  test "$(sent web)" = "$(received client)"
claim "from client to web: $(sent client) lines sent, $(received web) received, all in order" \
  test "$(sent client)" = "$(received web)"

if ((broken > 0)); then
  heading "The demo FAILED: $broken of its claims did not hold."
  exit 1
fi
heading 'All claims held. The namespaces of the demo are removed.'
