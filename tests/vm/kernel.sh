#!/usr/bin/env bash
# Prints the directory of the kernel that tests/vm/run.sh boots: Debian's cloud kernel, unpacked, never installed, so
# that the host's own boot loader and initramfs are left alone. Fetched once; what is there needs no network.
# usage: tests/vm/kernel.sh [--offline]     exit status 1: it is not there and cannot be had
set -euo pipefail

# vm_cache: where the kernel and what was found about KVM are kept.
vm_cache() {
  if [ -n "${XDG_CACHE_HOME:-}" ]; then
    echo "$XDG_CACHE_HOME/noded-vm"
  elif [ "$(id -u)" -eq 0 ]; then
    echo /var/cache/noded-vm
  else
    echo "$HOME/.cache/noded-vm"
  fi
}

newest() { find "$1" -mindepth 1 -maxdepth 1 -type d -name 'linux-image-*' ! -name '*.part' 2>/dev/null | sort -V | tail -1; }

fetch() {
  local cache=$1 package part
  # The metapackage names the version that Debian supports now.
  package=$(apt-cache depends linux-image-cloud-amd64 2>/dev/null |
    sed -n 's/.*Depends: \(linux-image-[0-9].*\)/\1/p' | head -1)
  [ -n "$package" ] || { echo "vm: apt knows no linux-image-cloud-amd64: apt-get update" >&2; return 1; }
  mkdir -p "$cache"
  part=$(mktemp -d "$cache/$package.XXXXXX.part")
  # As root, apt would complain that its own user cannot write here.
  if ! (cd "$part" && apt-get -o APT::Sandbox::User="$(id -un)" download -q "$package" >&2); then
    rm -rf "$part"
    return 1
  fi
  dpkg -x "$part"/*.deb "$part" && rm -f "$part"/*.deb
  # Two that fetch at the same time: the first wins.
  mv -T "$part" "$cache/$package" 2>/dev/null || rm -rf "$part"
}

if [ "${BASH_SOURCE[0]}" = "$0" ]; then
  cache=$(vm_cache)
  if [ -z "$(newest "$cache")" ]; then
    [ "${1:-}" != --offline ] && [ "$(uname -m)" = x86_64 ] && fetch "$cache" || exit 1
  fi
  newest "$cache"
fi
