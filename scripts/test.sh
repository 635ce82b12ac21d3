#!/usr/bin/env bash
# npm test: the unit tests, then, as root, the kernel tests on real namespaces and packets, then many of those again in a
# machine with a stock kernel, systemd and CRIU (scripts/test-vm.sh). What takes longer is in scripts/test-faults.sh.
#
#   npm test -- PATTERN      only test files whose path matches, as jest takes it; any other option of jest too
#   TEST_RESULTS_DIR=DIR     keep jest's results there, one NAME.json for each project
#
# Whoever is not root gets the unit tests and is told what was left out. Where CI is true nothing is left out: tests
# that cannot run fail there.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/prepare.sh
source scripts/prepare.sh
end_on_signals

if [[ -n ${TEST_RESULTS_DIR:-} ]]; then
  results=$TEST_RESULTS_DIR
  mkdir -p "$results"
else
  results=$(mktemp -d -t nfz-test.XXXXXX)
  trap 'rm -rf "$results"' EXIT
fi
# What an earlier run left must not be taken for this one's.
rm -f "$results"/{unit,kernel,vm}.json
summary=()
status=0

# project NAME OPTION...: runs one of jest's projects; its failure does not keep the next one from running.
project() {
  local name=$1 began=$SECONDS
  shift
  printf '\n== %s tests ==\n' "$name"
  if ! node_modules/.bin/jest --selectProjects "$name" --json --outputFile="$results/$name.json" "$@"; then
    status=1
  fi
  count "$name" "$began"
}

# vm OPTION...: the machine's tests; a machine that can't be had, or nothing to run in it, leaves no results.
vm() {
  local began=$SECONDS said=$results/vm.txt
  printf '\n== vm tests ==\n'
  if TEST_RESULTS_DIR=$results bash scripts/test-vm.sh --of test "$@" | tee "$said"; then
    if [[ -e $results/vm.json ]]; then
      count vm "$began"
    else
      summary+=("$(printf '%-7s %s' vm "$(tail -n 1 "$said" | sed 's/^vm tests: //')")")
    fi
  else
    status=1
    count vm "$began"
  fi
  rm -f "$said"
}

# count NAME BEGAN: adds a line about a project's results to the summary.
count() {
  local counts
  read -ra counts < <(node scripts/count-results.mjs "$results/$1.json")
  summary+=("$(printf '%-7s %s passed, %s failed, %s skipped (%s s)' "$1" "${counts[@]}" $((SECONDS - $2)))")
}

if ((EUID == 0)); then
  mapfile -t packages < <(cat test/kernel/rig/packages.txt test/kernel/rig/packages-engines.txt)
  install_packages "${packages[@]}"
fi
prepare

options=("$@")
# A pattern may well match files of one project only.
(($# == 0)) || options+=(--passWithNoTests)
# The machine's disk takes a minute or two, in which the processors have little to do; what fails is said when it is needed.
if (($# == 0 && EUID == 0)); then
  nice -n 19 bash scripts/test-vm.sh --only-image >/dev/null 2>&1 &
fi
project unit "${options[@]}"
if ((EUID == 0)) || [[ ${CI:-} == true ]]; then
  # On the library; what both engines can do is tried on the program by test:faults.
  NETFREEZE_TEST_ENGINES=${NETFREEZE_TEST_ENGINES:-replay} project kernel "${options[@]}"
  vm "${options[@]}"
else
  summary+=('kernel  left out: they make namespaces, which needs root (sudo npm test)' 'vm      left out, too')
fi

printf '\n== summary ==\n'
printf '%s\n' "${summary[@]}"
exit "$status"
