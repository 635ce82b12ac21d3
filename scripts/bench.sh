#!/usr/bin/env bash
# npm run bench: measures what netfreeze costs, prints it, and keeps it in docs/benchmarks.md.
# Each bench/*.mjs is given a namespace of its own and prints a section in Markdown; progress goes to standard error.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/prepare.sh
source scripts/prepare.sh

((EUID == 0)) || fail 'The benchmark makes network namespaces, which needs root: sudo npm run bench'

namespace=nfz-bench-$$
work=$(mktemp -d -t nfz-bench.XXXXXX)
export NETFREEZE_STATE_DIR=$work/state

tidy_up() {
  set +e
  {
    ip netns delete "$namespace"
    rm -rf "$work"
  } >/dev/null 2>&1
}
trap tidy_up EXIT
end_on_signals

install_packages iproute2 nftables
prepare

# Both cost every start of Node time that is none of netfreeze's: 75 ms for the certificates alone.
unset NODE_EXTRA_CA_CERTS NODE_OPTIONS

# heading_of_the_page: what was measured on, without which no number means anything.
heading_of_the_page() {
  local system kernel cpu koffi load
  system=$(sed -n 's/^PRETTY_NAME="\(.*\)"$/\1/p' /etc/os-release)
  # Only the number: what a builder has added to it says nothing to others.
  kernel=$(uname -r | sed -E 's/^([0-9]+\.[0-9]+).*/\1/')
  cpu=$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)
  koffi=$(node -p 'JSON.parse(require("fs").readFileSync("node_modules/koffi/package.json")).version')
  load=$(cut -d' ' -f1 /proc/loadavg)
  cat <<END
# Benchmarks

This page is written by \`npm run bench\`; a change made by hand is lost with its next run. Times are noisy: trust the
ratios, which compare runs that followed each other at once.

| machine | |
|---|---|
| processor | ${cpu:-unknown}, $(nproc) in use |
| system | ${system:-unknown}, Linux $kernel |
| load when it began | $load |
| Node | $(node --version) |
| nft | $(nft --version | sed 's/^nftables //') |
| koffi | $koffi |
| netfreeze | $(node -p 'require("./package.json").version') |
| measured | $(date -u +%Y-%m-%d) |
END
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
