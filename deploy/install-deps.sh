#!/usr/bin/env bash
# Installs what noded is built with on Debian 12, and nothing else.
# Safe to repeat: when all is there it changes nothing and needs no network.
set -euo pipefail

usage() {
  cat <<'USAGE'
usage: deploy/install-deps.sh [--test] [--dev] [--list]
  (no flag)  what the build and deploy/quickstart.sh need
  --test     also what tests/run.sh needs: for unit, integration and e2e tests, and qemu with a kernel for its virtual
             machine; that kernel is unpacked to a cache directory (/var/cache/noded-vm), never installed. Of the package
             prometheus only promtool is wanted: unless it was there before, its server is masked and not started
  --dev      also clang's tools, fuzzing, shellcheck, npm (for buf), and crun and runc to measure against
  --list     only print the packages that are missing
USAGE
}

# The libraries come with headers and static archives: release binaries link gRPC statically.
packages=(
  cmake g++ ninja-build pkg-config
  libabsl-dev libarchive-dev libc-ares-dev libcli11-dev libcurl4-openssl-dev libgrpc++-dev libgrpc-dev
  libisal-dev libprotobuf-dev libre2-dev libseccomp-dev libspdlog-dev libssl-dev libzstd-dev
  nlohmann-json3-dev prometheus-cpp-dev protobuf-compiler protobuf-compiler-grpc zlib1g-dev
  busybox-static procps
)
test_packages=(
  apache2-utils ccache curl docker-registry iproute2 jq libbenchmark-dev libgmock-dev libgtest-dev openssl prometheus python3
  python3-grpcio python3-protobuf skopeo tmux umoci
)
# For tests/vm: qemu-system-common has virtiofsd, and systemd and dbus run in the machine, not here.
[ "$(uname -m)" != x86_64 ] ||
  test_packages+=(dbus e2fsprogs qemu-system-common qemu-system-x86 systemd)
dev_packages=(clang clang-format clang-tidy containerd crun libclang-rt-14-dev runc shellcheck)

list_only=false
vm_kernel=false
for argument in "$@"; do
  case $argument in
    --test)
      packages+=("${test_packages[@]}")
      vm_kernel=true
      ;;
    --dev)
      packages+=("${dev_packages[@]}")
      # A Node.js from elsewhere brings its own npm, and Debian's would conflict with it.
      command -v npm >/dev/null || packages+=(npm)
      ;;
    --list) list_only=true ;;
    -h | --help) usage && exit 0 ;;
    *) usage >&2 && exit 2 ;;
  esac
done

installed=$(dpkg-query -W -f '${db:Status-Abbrev} ${Package}\n' 2>/dev/null | sed -n 's/^[a-z]i  *//p')
missing=()
for package in "${packages[@]}"; do
  grep -qxF -- "$package" <<<"$installed" || missing+=("$package")
done

if $list_only; then
  [ "${#missing[@]}" -eq 0 ] || printf '%s\n' "${missing[@]}"
  exit 0
fi

# Without it the tests in the virtual machine are skipped aloud, so it is no failure of the installation.
fetch_vm_kernel() {
  $vm_kernel && [ "$(uname -m)" = x86_64 ] || return 0
  "$(dirname "$0")/../tests/vm/kernel.sh" >/dev/null ||
    echo "install-deps: no kernel for tests/vm: its tests will be skipped" >&2
}
if [ "${#missing[@]}" -eq 0 ]; then
  echo "install-deps: all ${#packages[@]} packages are there"
  fetch_vm_kernel
  exit 0
fi

as_root=()
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null || {
    echo "install-deps: must be root to install: ${missing[*]}" >&2
    exit 1
  }
  as_root=(sudo)
fi
# promtool comes with the server, which must not run because of us, neither now nor after the next boot. Where systemd
# does not run the package starts it by its init script, unless a policy forbids it.
keep_prometheus_down() {
  [[ " ${missing[*]} " == *" prometheus "* ]] || return 0
  "${as_root[@]}" mkdir -p /etc/systemd/system
  [ -e /etc/systemd/system/prometheus.service ] ||
    "${as_root[@]}" ln -s /dev/null /etc/systemd/system/prometheus.service
  local policy=/usr/sbin/policy-rc.d
  [ ! -e "$policy" ] || return 0
  trap '"${as_root[@]}" rm -f /usr/sbin/policy-rc.d' EXIT
  printf '%s\n' '#!/bin/sh' 'case " $* " in *" prometheus "*) exit 101 ;; esac' 'exit 0' |
    "${as_root[@]}" tee "$policy" >/dev/null
  "${as_root[@]}" chmod 0755 "$policy"
}
echo "install-deps: installing ${missing[*]}"
keep_prometheus_down
# A list that is a few days old names files that the mirror no longer has, hence the update first; a
# third-party source that is down must not stop us, so only the installation decides.
"${as_root[@]}" apt-get update -q || echo "install-deps: apt-get update failed; going on with the lists there are" >&2
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
  apt-get install -y -q --no-install-recommends "${missing[@]}"
fetch_vm_kernel
