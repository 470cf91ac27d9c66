#!/usr/bin/env bash
# A Debian package of a program that is already built: binary, rate cards, what watches it, unit, manual page, completions.
#
#   scripts/package.sh [DIRECTORY_OF_BINARY] [OUTPUT_DIRECTORY]      default: .build/release, .build/packages
#
# The program stands in /usr/lib/tollgate, beside those libraries of Swift that no Debian package has: it finds them
# there by $ORIGIN. A program that was linked with --static-swift-stdlib needs none. What Debian has becomes a dependency.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

binaries=${1:-.build/release} output=${2:-.build/packages}
program=$binaries/tollgate
[ -x "$program" ] || { echo "package: there is no $program; run \`make build\` first" >&2; exit 64; }
command -v dpkg-shlibdeps >/dev/null || { echo "package: dpkg-dev is missing" >&2; exit 69; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root lib=$work/root/usr/lib/tollgate
version=$("$program" --version)
architecture=$(dpkg --print-architecture)

file() { install -D -m "${3:-644}" "$1" "$root/$2"; }

# --- The program and what of Swift it needs ---
install -D -m 755 "$program" "$lib/tollgate"
# Of a program that needs no library at all, ldd says so and fails.
needed=$(ldd "$program" || true)
awk '$3 ~ /\/swift\/linux\// { print $3 }' <<<"$needed" | sort -u | while read -r library; do
  install -m 644 "$library" "$lib/"
done
libraries=("$lib"/lib*.so)
[ -e "${libraries[0]}" ] || libraries=()
strip --strip-unneeded "$lib"/*
mkdir -p "$root/usr/bin"
ln -s ../lib/tollgate/tollgate "$root/usr/bin/tollgate"

# --- What it comes with ---
for card in ratecards/*.yaml; do file "$card" "usr/share/tollgate/$card"; done
find ops/prometheus ops/alertmanager ops/grafana -type f ! -name '*.test.yml' | while read -r watched; do
  file "$watched" "usr/share/tollgate/$watched"
done
file ops/systemd/tollgate.service usr/lib/systemd/system/tollgate.service
file ops/systemd/tollgate.sysusers usr/lib/sysusers.d/tollgate.conf
file ops/debian/tollgate.env etc/tollgate/tollgate.env 640
mkdir -p -m 750 "$root/etc/tollgate/secrets"
# What is said of Swift's libraries, only where they are.
for text in copyright lintian-overrides; do
  cat "ops/debian/$text" ${libraries:+"ops/debian/$text.swift-runtime"} >"$work/$text"
done
file "$work/copyright" usr/share/doc/tollgate/copyright
file "$work/lintian-overrides" usr/share/lintian/overrides/tollgate
"$program" --generate-completion-script bash | sed "1{/^#!/d}" >"$work/bash"
"$program" --generate-completion-script zsh >"$work/zsh"
"$program" --generate-completion-script fish >"$work/fish"
file "$work/bash" usr/share/bash-completion/completions/tollgate
file "$work/zsh" usr/share/zsh/vendor-completions/_tollgate
file "$work/fish" usr/share/fish/vendor_completions.d/tollgate.fish
python3 scripts/manual.py "$program" | gzip -9n >"$work/tollgate.1.gz"
file "$work/tollgate.1.gz" usr/share/man/man1/tollgate.1.gz
gzip -9nc CHANGELOG.md >"$work/changelog.gz"
file "$work/changelog.gz" usr/share/doc/tollgate/changelog.gz

# --- Control ---
control=$root/DEBIAN
mkdir -p "$control" "$work/debian"
printf 'Source: tollgate\n\nPackage: tollgate\nArchitecture: any\n' >"$work/debian/control"
depends=$(cd "$work" && dpkg-shlibdeps -O --ignore-missing-info --warnings=0 -l"$lib" -e"$lib/tollgate" \
  "${libraries[@]/#/-e}" | sed -n 's/^shlibs:Depends=//p')
cat >"$control/control" <<END
Package: tollgate
Version: $version
Architecture: $architecture
Maintainer: Tollgate operators <operators@tollgate.invalid>
Section: net
Priority: optional
Installed-Size: $(du -sk --exclude=DEBIAN "$root" | cut -f1)
Depends: ${depends:+$depends, }ca-certificates
Recommends: libjs-chart.js, postgresql-client
Description: metering reverse proxy for the OpenAI API
 Admits a request only if the prepaid credits of its user cover its worst case,
 passes every byte through as it comes, reads the usage out of the response, and
 charges exactly that: holds in Redis, a ledger in Postgres, payments by Stripe.
END
echo /etc/tollgate/tollgate.env >"$control/conffiles"
for script in postinst prerm postrm; do install -m 755 "ops/debian/$script" "$control/$script"; done
(cd "$root" && find . -type f ! -path './DEBIAN/*' -printf '%P\0' | sort -z | xargs -0 md5sum) >"$control/md5sums"
find "$root" -type d ! -path "$root/etc/tollgate/secrets" -exec chmod 755 {} +

mkdir -p "$output"
package=$output/tollgate_${version}_$architecture.deb
dpkg-deb --root-owner-group -Zxz -z1 --build "$root" "$package" >/dev/null
echo "$package"
