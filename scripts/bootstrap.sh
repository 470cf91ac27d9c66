#!/usr/bin/env bash
# Installs what building and running need on Debian or Ubuntu, and checks the Swift toolchain.
# Safe to repeat; does nothing, quickly, when all is there. Starts no service and no database cluster.
#
#   scripts/bootstrap.sh          what building and running need
#   scripts/bootstrap.sh test     and what the tests need
#   scripts/bootstrap.sh bench    and what the bench harness compares with
set -euo pipefail

case "$#:${1:-}" in
  0: | 1:test | 1:bench) part=${1:-run} ;;
  *) echo "usage: $0 [test|bench]" >&2; exit 64 ;;
esac

step() { printf '[%4ds] %s\n' "$SECONDS" "$*"; }
fail() { printf '[%4ds] bootstrap: %s\n' "$SECONDS" "$*" >&2; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }

# --- What is missing: asked of the system, not of its package list, so that other ways to install count too. ---
have_library() { have pkg-config && pkg-config --exists "$1"; }
have_postgres() {
  have initdb && return
  compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null
}
have_redis() { have redis-server || have valkey-server; }
have_venv() { have python3 && python3 -c 'import ensurepip, venv' 2>/dev/null; }
have_faketime() { compgen -G '/usr/lib/*/faketime/libfaketime.so.1' >/dev/null; }
have_font() { have fc-list && [ -n "$(fc-list ':lang=en')" ]; }
have_browser() { have chromium || have chromium-browser || have google-chrome; }
have_chart_js() { [ -e /usr/share/javascript/chart.js/chart.min.js ]; }
# Ubuntu's brings a snap; a google-chrome that is there already does as well.
browser_package() {
  if [ "$(. "${OS_RELEASE:-/etc/os-release}" && echo "$ID")" = ubuntu ]; then echo chromium-browser; else echo chromium; fi
}
have_seccomp() { compgen -G '/usr/lib/*/libseccomp.so.2' >/dev/null; }
have_cxx_headers() { [ -d /usr/include/c++ ] && [ -e /usr/include/stdlib.h ]; }

missing_packages() {
  missing_to_run
  case "$part" in
    test) missing_to_test ;;
    bench) missing_to_bench ;;
  esac
}

missing_to_run() {
  have git || echo git
  have make || echo make
  have curl || echo curl
  have setpriv || echo util-linux
  have pkg-config || echo pkg-config
  [ -e /etc/ssl/certs/ca-certificates.crt ] || echo ca-certificates
  have_cxx_headers || echo g++ # the headers that the Swift toolchain compiles C and C++ with
  have_library libssl || echo libssl-dev
  have_library libcurl || echo libcurl4-openssl-dev
  have_library hiredis || echo libhiredis-dev
  have_library libpq || echo libpq-dev
  have_library pangocairo || echo libpango1.0-dev # statements as PDF
  have_font || echo fonts-dejavu-core
  have_postgres || echo postgresql
  have_redis || echo redis-server
  have_venv || echo python3-venv
  have_chart_js || echo libjs-chart.js # the chart of the credits page
}

# Proxies to compare with, and what makes their certificates.
missing_to_bench() {
  have strace || echo strace
  have cc || echo gcc
  have openssl || echo openssl
  have nginx || [ -x /usr/sbin/nginx ] || echo nginx-light
  have haproxy || [ -x /usr/sbin/haproxy ] || echo haproxy
}

# The tests' peers: proxies in front and behind, an HTTP/2 client, and readers of what we write.
missing_to_test() {
  have strace || echo strace # system calls of an exchange, for the limits of bench/limits.yaml
  have openssl || echo openssl
  have nginx || [ -x /usr/sbin/nginx ] || echo nginx-light
  have haproxy || [ -x /usr/sbin/haproxy ] || echo haproxy
  have h2load || echo nghttp2-client
  have_faketime || echo faketime # a proxy whose clock is off
  have promtool || echo prometheus # rules and dashboards, against a real one
  have amtool || echo prometheus-alertmanager
  have hledger || echo hledger # reads our books
  have_browser || browser_package # looks at our pages
  have pdftotext || echo poppler-utils # reads our statements
  have dpkg-shlibdeps || echo dpkg-dev # makes our package
  have lintian || echo lintian # looks at it
  have cc || echo gcc # makes programs to be packaged
  { have systemd-analyze && have systemd-sysusers; } || echo systemd # reads our unit; it is not started
  have_seccomp || echo libseccomp2 # forbids what our unit forbids
  have mandoc || echo mandoc # reads our manual page
}

# --- Installing ---
as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

policy=/usr/sbin/policy-rc.d
cluster_conf=/etc/postgresql-common/createcluster.conf
wrote_policy=
wrote_cluster_conf=

# Debian starts what it installs unless a policy says no; 101 means "not allowed".
forbid_starting() {
  if [ ! -e "$policy" ]; then
    wrote_policy=yes
    printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
    as_root chmod 755 "$policy"
  fi
  if [ ! -e "$cluster_conf" ]; then
    wrote_cluster_conf=yes
    as_root mkdir -p "$(dirname "$cluster_conf")"
    printf '# Written by scripts/bootstrap.sh while it installed Postgres.\ncreate_main_cluster = false\n' |
      as_root tee "$cluster_conf" >/dev/null
  fi
}

# Also after a failure: what we put in the way goes, and the distribution's own file takes its place.
allow_starting() {
  if [ -n "$wrote_policy" ]; then as_root rm -f "$policy"; fi
  if [ -n "$wrote_cluster_conf" ]; then
    as_root rm -f "$cluster_conf"
    local stock
    for stock in "$cluster_conf".ucf-dist "$cluster_conf".dpkg-dist; do
      [ ! -e "$stock" ] || as_root mv -f "$stock" "$cluster_conf"
    done
    as_root rmdir --ignore-fail-on-non-empty "$(dirname "$cluster_conf")" 2>/dev/null || true
  fi
  wrote_policy=
  wrote_cluster_conf=
}

apt() {
  as_root env DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1 apt-get -y -q \
    -o DPkg::Lock::Timeout=300 -o Dpkg::Options::=--force-confold -o Dpkg::Use-Pty=0 "$@"
}

install_packages() {
  local log code=0 redis_was_missing= unit
  local -a unwanted=()
  have_redis || redis_was_missing=yes
  if [ "$part" = test ]; then
    have promtool || unwanted+=(prometheus.service prometheus-node-exporter.service)
    have amtool || unwanted+=(prometheus-alertmanager.service)
  fi
  log=$(mktemp)
  trap 'allow_starting' EXIT
  trap 'exit 130' INT TERM
  forbid_starting
  step "apt-get update"
  apt update >"$log" 2>&1 || { tail -n 20 "$log" >&2; step "apt-get update failed; trying with the old lists"; }
  step "apt-get install $*"
  apt install --no-install-recommends "$@" >"$log" 2>&1 || code=$?
  allow_starting
  trap - EXIT INT TERM
  if [ "$code" != 0 ]; then
    tail -n 30 "$log" >&2
    rm -f "$log"
    fail "apt-get install failed (exit $code)"
  fi
  rm -f "$log"
  # A server that we install for private instances must not come up by itself at the next boot either.
  if [ -n "$redis_was_missing" ] && [ -d /run/systemd/system ]; then
    as_root systemctl disable --quiet redis-server.service 2>/dev/null || true
  fi
  for unit in "${unwanted[@]}"; do as_root systemctl disable --quiet "$unit" 2>/dev/null || true; done
}

check_swift() {
  have swift || fail "no swift in PATH. Install a Swift 6.2 (or newer) toolchain: see swift.org/install"
  local said version major minor
  said=$(swift --version 2>&1) || fail "swift --version does not run: $said"
  version=$(printf '%s\n' "$said" | sed -nE 's/.*Swift version ([0-9]+\.[0-9]+).*/\1/p' | head -n 1)
  major=${version%%.*} minor=${version##*.}
  [ -n "$version" ] || fail "cannot tell the version of $(command -v swift)"
  if [ "$major" -lt 6 ] || { [ "$major" = 6 ] && [ "$minor" -lt 2 ]; }; then
    fail "Swift $version is too old: 6.2 or newer is needed"
  fi
  step "Swift $version"
}

mapfile -t missing < <(missing_packages)
if [ "${#missing[@]}" -gt 0 ]; then
  step "missing: ${missing[*]}"
  command="apt-get install --no-install-recommends ${missing[*]}"
  have apt-get || fail "no apt-get here. Install what these Debian packages provide: ${missing[*]}"
  if [ "$(id -u)" != 0 ]; then
    have sudo || fail "not root, and no sudo. As root, run: $command"
    sudo -n true 2>/dev/null || { [ -t 0 ] && sudo true; } || fail "sudo is refused. As root, run: $command"
  fi
  install_packages "${missing[@]}"
  hash -r
  mapfile -t missing < <(missing_packages)
  [ "${#missing[@]}" = 0 ] || fail "still missing after the installation: ${missing[*]}"
fi
step "system packages are there"
check_swift
