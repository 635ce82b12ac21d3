#!/usr/bin/env bash
# npm run lab: freezes a network all ways side by side, and keeps what came of it in docs/lab.md and docs/lab.svg.
#
#   npm run lab -- SECONDS...   only freezes of these lengths, once each; the page is printed and not kept
#
# It takes about eight minutes. Progress goes to standard error.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/prepare.sh
source scripts/prepare.sh
# shellcheck source=scripts/page.sh
source scripts/page.sh

((EUID == 0)) || fail 'The lab makes network namespaces, which needs root: sudo npm run lab'
for seconds in "$@"; do
  [[ $seconds =~ ^[1-9][0-9]?$ ]] || fail "not a length of freeze in seconds: $seconds"
done

prefix=nfz-lab-$$
work=$(mktemp -d -t nfz-lab.XXXXXX)
export NETFREEZE_STATE_DIR=$work/state
lab=

tidy_up() {
  set +e
  {
    # Its programs end with it.
    [[ -n $lab ]] && kill "$lab" && wait "$lab"
    for namespace in /run/netns/"$prefix"-*; do
      [[ -e $namespace ]] || continue
      # A freeze may have a process of its own, which ends with it.
      bin/netfreeze off "${namespace##*/}"
      ip netns delete "${namespace##*/}"
    done
    rm -rf "$work"
  } >/dev/null 2>&1
}
trap tidy_up EXIT
end_on_signals

install_packages iproute2 libnftables1 nftables python3 util-linux
prepare
unset NODE_EXTRA_CA_CERTS NODE_OPTIONS

page=$work/lab.md
cat >"$page" <<'END'
# The lab

This page and its picture are made by `npm run lab`; a change made by hand is lost with its next run. Times are noisy:
trust what differs by a factor.

END
machine_of_the_page >>"$page"
printf '\n' >>"$page"

# In the background, so that a signal ends the lab at once.
node bench/lab/run.mjs "$prefix" "$work" "$@" >>"$page" &
lab=$!
wait "$lab"
lab=

cat "$page"
(($# == 0)) || exit 0
# Only a whole page takes the old one's place.
cp "$page" docs/lab.md
cp "$work/lab.svg" docs/lab.svg
