#!/usr/bin/env bash
# npm run bench: measures what netfreeze costs, prints it, and keeps it in docs/benchmarks.md.
# Each bench/*.mjs is given a namespace of its own and prints a section in Markdown; progress goes to standard error.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/prepare.sh
source scripts/prepare.sh
# shellcheck source=scripts/page.sh
source scripts/page.sh

((EUID == 0)) || fail 'The benchmark makes network namespaces, which needs root: sudo npm run bench'

namespace=nfz-bench-$$
work=$(mktemp -d -t nfz-bench.XXXXXX)
export NETFREEZE_STATE_DIR=$work/state

tidy_up() {
  set +e
  {
    for made in /run/netns/"$namespace" /run/netns/"$namespace"-*; do
      [[ -e $made ]] || continue
      # A freeze may have a process of its own, which ends with it.
      bin/netfreeze off "${made##*/}"
      ip netns delete "${made##*/}"
    done
    rm -rf "$work"
  } >/dev/null 2>&1
}
trap tidy_up EXIT
end_on_signals

install_packages iperf3 iproute2 libnftables1 nftables python3 util-linux
prepare

# Both cost every start of Node time that is none of netfreeze's: 75 ms for the certificates alone.
unset NODE_EXTRA_CA_CERTS NODE_OPTIONS

heading_of_the_page() {
  cat <<'END'
# Benchmarks

This page is written by `npm run bench`; a change made by hand is lost with its next run. Times are noisy: trust the
ratios, which compare runs that followed each other at once.

END
  machine_of_the_page
}

ip netns add "$namespace"
page=$work/benchmarks.md
heading_of_the_page | tee "$page"
for bench in bench/*.mjs; do
  printf '\n'
  node "$bench" "$namespace" "$work"
done | tee -a "$page"
# Only a whole page takes the old one's place.
cp "$page" docs/benchmarks.md
