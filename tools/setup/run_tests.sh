#!/bin/bash
# run_tests.sh JOBS PRESET...: builds each preset, runs its tests, says what was slow and what was skipped, and closes with one
# line over all of them.
set -euo pipefail
cd "$(dirname "$0")/../.."

jobs=$1
shift
passed=0
failed=0

for preset in "$@"; do
  echo "== $preset: build"
  cmake --preset "$preset"
  cmake --build --preset "$preset" -j "$jobs"
  echo "== $preset: test"
  log=build/$preset/ctest.log
  ctest --preset "$preset" -j "$jobs" | tee "$log" || true
  read -r bad total < <(sed -nE 's/.*tests passed, ([0-9]+) tests? failed out of ([0-9]+).*/\1 \2/p' "$log") || {
    echo "ctest did not finish for preset $preset" >&2
    exit 1
  }
  python3 tools/setup/test_summary.py "build/$preset/Testing/Temporary/LastTest.log"
  failed=$((failed + bad))
  passed=$((passed + total - bad))
done

if [ -d ../shared/golden ]; then
  echo "reference data: repository + golden"
else
  echo "reference data: repository"
fi
total=$((passed + failed))
[ "$total" -gt 0 ] || { echo "no tests ran" >&2; exit 1; }
echo "$((100 * passed / total))% tests passed, $failed tests failed out of $total ($*)"
[ "$failed" -eq 0 ]
