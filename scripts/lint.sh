#!/usr/bin/env bash
# Formatting, names in Python, marks of unfinished work, the dependencies between targets, and the tests that a
# document names. Reports all it finds, then fails.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
failed=0

echo "==> swift format lint"
swift format lint --strict --parallel --recursive Package.swift Sources Tests bench || failed=1

echo "==> names in Python"
# A name that is not there fails a test only after half an hour of others.
scripts/venv.sh && .build/venv/bin/ruff check --no-cache --quiet --select F,E9 Tests/IntegrationTests bench scripts || failed=1

echo "==> marks of unfinished work"
# Written so that this line does not find itself.
marks='\b(TO[D]O|FIXM[E]|XX[X])\b'
if grep -rnIE --exclude-dir=__pycache__ --exclude-dir='.venv*' "$marks" Sources Tests bench scripts; then
  echo "lint: finish or remove what is marked above" >&2
  failed=1
fi

echo "==> dependencies and arrows"
python3 scripts/check_dependencies.py || failed=1

echo "==> known failures and their tests"
python3 scripts/known_failures.py || failed=1

if [ "$failed" != 0 ]; then
  echo "lint: failed" >&2
  exit 1
fi
echo "lint: clean"
