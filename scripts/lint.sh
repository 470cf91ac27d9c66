#!/usr/bin/env bash
# Formatting, marks of unfinished work, and the dependencies between targets. Reports all it finds, then fails.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
failed=0

echo "==> swift format lint"
swift format lint --strict --parallel --recursive Package.swift Sources Tests bench || failed=1

echo "==> marks of unfinished work"
# Written so that this line does not find itself.
marks='\b(TO[D]O|FIXM[E]|XX[X])\b'
if grep -rnIE --exclude-dir=__pycache__ "$marks" Sources Tests bench scripts; then
  echo "lint: finish or remove what is marked above" >&2
  failed=1
fi

echo "==> dependencies and arrows"
python3 scripts/check_dependencies.py || failed=1

if [ "$failed" != 0 ]; then
  echo "lint: failed" >&2
  exit 1
fi
echo "lint: clean"
