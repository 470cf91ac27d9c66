#!/usr/bin/env bash
# The Python packages of the black-box tests and of bench, in .build/venv; quick when they are there.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
venv=.build/venv
stamp="$(python3 --version) $(sha256sum scripts/requirements.txt)"
[ "$(cat "$venv/stamp" 2>/dev/null)" = "$stamp" ] && exit 0
python3 -m venv --clear "$venv"
"$venv/bin/pip" install --quiet --disable-pip-version-check -r scripts/requirements.txt
printf '%s\n' "$stamp" >"$venv/stamp"
