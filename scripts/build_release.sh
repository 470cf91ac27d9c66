#!/usr/bin/env bash
# The programs as they are shipped and measured: in .build/release. What is said goes to `swift build`:
#
#   scripts/build_release.sh [--product tollgate]
#
# As Package.swift does for the data plane, the libraries below it are built without exclusivity checks. The functions of an
# exchange stand beside each other in the program (bench/function_order.py); of those that it lost the linker says nothing.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

exec swift build -c release --static-swift-stdlib \
  -Xswiftc -enforce-exclusivity=unchecked \
  -Xswiftc -Xfrontend -Xswiftc -function-sections \
  -Xswiftc -use-ld=lld -Xlinker --symbol-ordering-file="$PWD/bench/function-order.txt" -Xlinker --no-warn-symbol-ordering \
  "$@"
