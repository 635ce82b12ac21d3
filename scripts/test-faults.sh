#!/usr/bin/env bash
# npm run test:faults: what is left when netfreeze, nft or the kernel fails in the middle of something: signals at hundreds
# of moments, and faults in every step of a freeze. On real namespaces, so as root.
#
#   npm run test:faults -- PATTERN   only test files whose path matches, and jest's other options, as for npm test
#   TEST_RESULTS_DIR=DIR             keep jest's result there as faults.json
#
# Whoever is not root is told so; where CI is true that is a failure.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/prepare.sh
source scripts/prepare.sh
end_on_signals

if ((EUID != 0)) && [[ ${CI:-} != true ]]; then
  echo 'fault tests: left out: they make namespaces, which needs root (sudo npm run test:faults)'
  exit 0
fi
if ((EUID == 0)); then
  mapfile -t packages <test/kernel/rig/packages.txt
  install_packages "${packages[@]}"
fi
prepare
results=()
if [[ -n ${TEST_RESULTS_DIR:-} ]]; then
  mkdir -p "$TEST_RESULTS_DIR"
  results=(--json "--outputFile=$TEST_RESULTS_DIR/faults.json")
  rm -f "$TEST_RESULTS_DIR/faults.json"
fi
exec node_modules/.bin/jest --selectProjects faults "${results[@]}" "$@"
