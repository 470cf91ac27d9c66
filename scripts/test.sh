#!/usr/bin/env bash
# Every test: Swift, then the black-box tests in Python against the debug binaries. A group that fails does not keep the
# next from running: the last lines name the groups that failed, and the exit code is 1 then.
#
#   scripts/test.sh                       all
#   scripts/test.sh swift [ARGS]          only `swift test ARGS`
#   scripts/test.sh integration [ARGS]    only `pytest ARGS`
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

step() { printf '==> [%4ds] %s\n' "$SECONDS" "$*"; }

failed=()
failures=""
finish() {
  [ ${#failed[@]} -gt 0 ] || exit 0
  [ -z "$failures" ] || printf '%s\n' "$failures"
  printf 'failed: %s\n' "${failed[@]}" >&2
  exit 1
}

part=all
case "${1:-}" in
  "") ;;
  swift | integration) part=$1; shift ;;
  *) echo "usage: $0 [swift|integration] [arguments of the runner]" >&2; exit 64 ;;
esac

step "bootstrap"
scripts/bootstrap.sh test

step "vocabularies of the tokenizer"
export TOKENIZER_DIR="${TOKENIZER_DIR:-$PWD/var/tokenizer}"
python3 scripts/fetch_vocabulary.py "$TOKENIZER_DIR"

# SwiftPM leaves a directory in TMPDIR at each build.
swift_tmp=$(mktemp -d /tmp/swift.XXXXXX)
trap 'rm -rf "$swift_tmp"' EXIT

step "swift build --build-tests (minutes, the first time)"
TMPDIR="$swift_tmp" swift build --build-tests
step "built"
# Makes the tables where they are missing, which takes a debug build half a minute; every start of it finds them then.
for encoding in o200k_base cl100k_base; do
  .build/debug/tollgate tokenizer count --encoding "$encoding" /dev/null >/dev/null
done
step "tables of the tokenizer are there"

if [ "$part" != integration ]; then
  swift_test() {
    step "swift test $*"
    log=$(mktemp)
    if ! swift test --skip-build --disable-xctest "$@" 2>&1 | tee "$log"; then
      failures+=$(grep -E -A 2 '^✘|: Fatal error|\*\*\* .* crashed' "$log" || true)
      failed+=("swift test $*")
    fi
    rm -f "$log"
  }
  if [ $# -gt 0 ]; then
    swift_test "$@"
  else
    # What only computes keeps two cores busy for minutes, and whatever shares its process waits, as everything that
    # begins does for the databases of the ledger; the hold store and its neighbours have deadlines of 100 ms; the data
    # plane has both.
    computing="MeteringTests|MoneyPathTests|LedgerSimTests|RateCardsTests|TokenTablesTests"
    timed="RedisHoldsTests|SettlementTests|MockOpenAITests"
    swift_test --filter "$computing"
    swift_test --filter PostgresLedgerTests
    swift_test --filter ControlPlaneTests
    swift_test --skip "ProxyTests|PostgresLedgerTests|ControlPlaneTests|$computing|$timed"
    swift_test --filter "$timed"
    swift_test --filter ProxyTests
  fi
fi
[ "$part" != swift ] || finish

step "Python packages in .build/venv"
scripts/venv.sh

export PYTHONDONTWRITEBYTECODE=1 TOLLGATE_BIN="$PWD/.build/debug"
pytest() {
  step "pytest $*"
  .build/venv/bin/python -m pytest -ra -p no:cacheprovider "$@" || failed+=("pytest $*")
}
if [ "$part" = integration ] && [ $# -gt 0 ]; then
  pytest Tests/IntegrationTests "$@"
  finish
fi
# Most of them wait for processes: two files at a time, each worker with a stack of its own. What measures how long
# something takes, or has a deadline of its own, comes behind them, alone. In order of their names: the longest tests
# stand alone in their files, and a run that begins with the files of many tests ends with one worker waiting for them.
alone=(
  test_flags.py test_hostile.py test_lost_refresh.py test_monitoring_live.py test_restored_ledger.py test_vanish.py
  test_within_a_second.py)
alone=("${alone[@]/#/Tests/IntegrationTests/}")
pytest -n 2 --dist loadfile --no-loadscope-reorder "${alone[@]/#/--ignore=}" Tests/IntegrationTests
pytest "${alone[@]}"
finish
