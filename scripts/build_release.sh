#!/usr/bin/env bash
# The programs as they are shipped and measured: in .build/release. What is said goes to `swift build`:
#
#   scripts/build_release.sh [--product tollgate]
#
# As Package.swift does for the data plane, the libraries below it are built without exclusivity checks. The functions of an
# exchange stand beside each other in the program (bench/function_order.py); of those that it lost the linker says nothing.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

order=$PWD/bench/function-order.txt
stamp=.build/release.flags
flags=(
  --static-swift-stdlib
  -Xswiftc -enforce-exclusivity=unchecked
  -Xswiftc -Xfrontend -Xswiftc -function-sections -Xcc -ffunction-sections -Xcxx -ffunction-sections
  -Xswiftc -use-ld=lld -Xlinker "--symbol-ordering-file=$order" -Xlinker --no-warn-symbol-ordering
)

# The compiler keeps an object whose code is the same, whatever flags it was made with.
if [ "$(cat "$stamp" 2>/dev/null)" != "${flags[*]}" ]; then
  rm -rf "$(swift build -c release --show-bin-path)"
  mkdir -p .build
  echo "${flags[*]}" >"$stamp"
fi
# To `swift build` the order is a name on a command line, not a file that changes; the list of objects is one.
objects=.build/release/tollgate.product/Objects.LinkFileList
if [ -e "$objects" ] && [ "$order" -nt .build/release/tollgate ]; then touch "$objects"; fi

exec swift build -c release "${flags[@]}" "$@"
