#!/bin/bash
# Records what nft makes of each golden ruleset: loads NAME.nft into a namespace of its own and keeps what
# `nft -s list ruleset` shows of it as NAME.listing. To be run by hand, as root, when a golden file has changed.
# The machine's own namespace is not touched. Those of mode steal need a kernel with nft's own `queue`, as the test machine has.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

namespace=
clean() {
  if [[ -n $namespace ]]; then ip netns delete "$namespace"; fi
  namespace=
}
trap clean EXIT

for golden in *.nft; do
  name=${golden%.nft}
  namespace=nfg-$$-$name
  ip netns add "$namespace"
  # A chain that is bound to a device needs one of that name; a bridge is a kind that every kernel has.
  for device in $(sed -n 's/.* device "\([^"]*\)".*/\1/p' "$golden"); do
    ip -n "$namespace" link add "$device" type bridge
  done
  ip netns exec "$namespace" nft -f "$golden"
  ip netns exec "$namespace" nft -s list ruleset >"$name.listing"
  clean
done
nft --version >&2
