#!/usr/bin/env bash
# npm run test:vm: the tests that test/vm/suite.txt lists, in a machine with Debian 12's own kernel, systemd as init and
# CRIU. QEMU emulates it, so no hardware support is needed; see test/vm/README.md.
#
#   npm run test:vm -- PATTERN     only test files whose path matches, and jest's other options, as for npm test
#   TEST_RESULTS_DIR=DIR           keep jest's result there as vm.json
#   --of test | --of test:faults   only those that the list gives to that npm script; the first argument
#   --only-image                   make the machine's disk, unless it is there, and run nothing
#
# The first run builds the machine, which takes minutes, and keeps it under .cache/vm. Where it can't be had (not root, no
# QEMU, no packages of Debian 12) the tests are left out with a word; where CI is true that is a failure.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/prepare.sh
source scripts/prepare.sh
end_on_signals

# How long all tests may take, in seconds; as long again where the machine locks up.
limit=1500

# leave_out REASON: ends the run, well or badly.
leave_out() {
  if [[ ${CI:-} == true ]]; then fail "vm tests: they cannot run here: $*"; fi
  printf 'vm tests: left out: %s\n' "$*"
  exit 0
}

rig() { node .cache/vm/rig.cjs "$@"; }

((EUID == 0)) || leave_out 'the machine is built and run as root (sudo npm run test:vm)'
mapfile -t packages <test/vm/rig/packages.txt
(install_packages "${packages[@]}") || leave_out "Debian packages are missing: ${packages[*]}"
for program in mke2fs mmdebstrap qemu-system-x86_64 qemu-img setpriv xz; do
  command -v "$program" >/dev/null || leave_out "$program is missing"
done
prepare

mkdir -p .cache/vm
node_modules/.bin/esbuild test/vm/rig/main.ts --bundle --packages=external --platform=node --target=node20 \
  --format=cjs --outfile=.cache/vm/rig.cjs --log-level=warning
if [[ ${1:-} == --only-image ]]; then
  flock .cache/vm/lock node .cache/vm/rig.cjs image
  exit
fi
rig compile
has_pattern=no
if [[ ${1:-} == --of ]]; then
  (($# < 3)) || has_pattern=yes
  case $2 in
    test) set -- "${@:3}" --testPathIgnorePatterns=/vm/suite/test-faults/ ;;
    test:faults) set -- "${@:3}" --testPathIgnorePatterns=/vm/suite/test/ ;;
    *) fail "--of wants test or test:faults: $2" ;;
  esac
elif (($# > 0)); then
  has_pattern=yes
fi
jest=(node_modules/.bin/jest --config test/vm/jest.config.cjs)
listed=$("${jest[@]}" --listTests "$@") || fail 'vm tests: jest cannot list them, for the reason above'
if [[ -z $listed ]]; then
  # A pattern may well match none; without one there is always something to run.
  [[ $has_pattern == yes ]] || fail 'vm tests: there are none (test/vm/suite.txt)'
  echo 'vm tests: none matches'
  exit 0
fi
# One run at a time builds.
(quietly 'Making the machine, unless it is there' flock .cache/vm/lock node .cache/vm/rig.cjs prepare) ||
  leave_out 'the machine could not be built, for the reason above'

if [[ -n ${TEST_RESULTS_DIR:-} ]]; then
  results=$TEST_RESULTS_DIR
  mkdir -p "$results"
else
  results=$(mktemp -d -t nfz-vm.XXXXXX)
  trap 'rm -rf "$results"' EXIT
fi
rm -f "$results/vm.json"
# One worker for each of the machine's processors.
tests=$(printf '%q ' node "${jest[@]}" --maxWorkers=2 --json --outputFile=/results/vm.json "$@")
# The tests wait as many times longer (test/kernel/rig/wait.ts) as the machine takes longer than the 40 ms in which a real
# one starts Node, with a little else to do, once it has done so before; how long that is depends on what the host is doing.
rig run --again --limit "$limit" --results "$results" -- "
  node -e 0
  began=\$(date +%s%N)
  for start in 1 2 3; do node -e 0 & done
  wait
  patience=\$(((\$(date +%s%N) - began) / 40000000))
  export NETFREEZE_TEST_PATIENCE=\$((patience < 8 ? 8 : patience > 25 ? 25 : patience)) CI=${CI:-}
  echo \"the tests wait \$NETFREEZE_TEST_PATIENCE times as long as on a real machine\"
  exec $tests"
