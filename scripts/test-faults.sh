#!/usr/bin/env bash
# npm run test:faults: what takes longer than npm test may, on real namespaces, so as root:
# - what is left when netfreeze, nft or the kernel fails in the middle of something: signals at hundreds of moments, faults in
#   every step of a freeze, and in the test machine failing units and dumps (scripts/test-vm.sh);
# - those kernel tests that concern every engine, on libnftables and on the nft program; npm test runs them on the replay.
#
#   npm run test:faults -- PATTERN   only test files whose path matches, and jest's other options, as for npm test; then the
#                                    kernel tests are left out (NETFREEZE_TEST_ENGINES=libnftables,nft npm run test:kernel -- PATTERN)
#   TEST_RESULTS_DIR=DIR             keep jest's results there: faults.json, kernel-nft.json, vm.json
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
keep() { if [[ -n ${TEST_RESULTS_DIR:-} ]]; then printf '%s\n' --json "--outputFile=$TEST_RESULTS_DIR/$1.json"; fi; }
if [[ -n ${TEST_RESULTS_DIR:-} ]]; then
  mkdir -p "$TEST_RESULTS_DIR"
  rm -f "$TEST_RESULTS_DIR"/{faults,kernel-nft,vm}.json
fi
status=0
# A pattern may well match files of one part only.
options=("$@")
(($# == 0)) || options+=(--passWithNoTests)

printf '\n== faults ==\n'
mapfile -t results < <(keep faults)
node_modules/.bin/jest "${results[@]}" "${options[@]}" --selectProjects faults || status=1

if (($# == 0)); then
  printf '\n== kernel tests on libnftables and the nft program ==\n'
  # A file without a test for it would fail.
  mapfile -t files < <(grep -lE '^\s*describeEngines\(' test/kernel/*.test.ts)
  mapfile -t results < <(keep kernel-nft)
  NETFREEZE_TEST_ENGINES=libnftables,nft node_modules/.bin/jest "${results[@]}" --selectProjects kernel --runTestsByPath "${files[@]}" ||
    status=1
fi

printf '\n== faults in the machine ==\n'
bash scripts/test-vm.sh --of test:faults "$@" || status=1
exit "$status"
