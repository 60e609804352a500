#!/usr/bin/env bash
# setup: fetches what the guests, tests and benches need beyond npm. Says what it installs; says one line when all is
# there already.
#
#   setup.sh          tools and guest
#   setup.sh tools    Debian packages: QEMU, cross compiler, native compiler, OpenSBI, dtc, gdb, Chromium, openssl
#   setup.sh guest    the Debian guest, into the user's cache directory
#
# Packages are installed only as root on Debian; elsewhere their names are printed and the exit status is 1.
set -euo pipefail
cd "$(dirname "$0")/.."

# What each is for: the rival of tests and benches; bare-metal programs; their native checksums; firmware; device trees;
# gdb sessions; the reference of LZ4; the page.
packages=(qemu-system-misc qemu-utils gcc-riscv64-unknown-elf gcc libc6-dev opensbi device-tree-compiler gdb-multiarch lz4 chromium openssl)

say() { printf 'setup: %s\n' "$*" >&2; }

# The packages among $packages that are not installed, one a line.
missing_packages() {
  local package
  for package in "${packages[@]}"; do
    case "$(dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2>/dev/null || true)" in
      ii*) ;;
      *) echo "$package" ;;
    esac
  done
}

is_debian() {
  [ -r /etc/os-release ] && (. /etc/os-release && [ "${ID:-}" = debian ]) &&
    command -v apt-get >/dev/null && command -v dpkg-query >/dev/null
}

apt_quietly() {
  local log
  log=$(mktemp)
  if ! DEBIAN_FRONTEND=noninteractive apt-get -q -y -o Dpkg::Use-Pty=0 "$@" >"$log" 2>&1 </dev/null; then
    cat "$log" >&2
    rm -f "$log"
    say "apt-get $1 failed: see above"
    return 1
  fi
  rm -f "$log"
}

install_tools() {
  if ! is_debian; then
    say "this is not Debian: install the equivalents of ${packages[*]} yourself"
    return 1
  fi
  local missing
  mapfile -t missing < <(missing_packages)
  if [ "${#missing[@]}" -eq 0 ]; then
    say "tools: all there (${packages[*]})"
    return 0
  fi
  if [ "$(id -u)" -ne 0 ]; then
    say "missing: ${missing[*]}; as root: apt-get install --no-install-recommends ${missing[*]}"
    return 1
  fi
  say "apt-get install --no-install-recommends ${missing[*]}"
  # Lists that were never fetched, or that name versions the mirror has dropped since.
  apt_quietly update
  apt_quietly install --no-install-recommends "${missing[@]}"
}

prepare_guest() {
  [ -f dist/src/cli.js ] || node .tools/build.mjs >&2
  node dist/src/cli.js guest prepare debian
}

case "${1:-all}" in
  all)
    install_tools
    prepare_guest
    ;;
  tools) install_tools ;;
  guest) prepare_guest ;;
  *)
    say "\"$1\": accepted are tools, guest, or nothing for both"
    exit 2
    ;;
esac
