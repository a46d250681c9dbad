#!/usr/bin/env bash
# Boots Debian's own kernel in qemu, where cgroup v2 is all there is, and runs a command on it.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
checkout=$(cd "$here/../.." && pwd)
# shellcheck source=tests/vm/kernel.sh
. "$here/kernel.sh"

usage() {
  cat <<'USAGE'
usage: tests/vm/run.sh [FLAG…] 'COMMAND'
Boots a small virtual machine with Debian's kernel and pure cgroup v2, runs COMMAND there by bash, as root and in this
checkout, and turns it off. The command sees the host's files as they are now, builds included; what it writes is gone
afterwards and never reaches the host. Output and exit status are the command's.
  --systemd         systemd is PID 1; the command is a service of it, and the shutdown is orderly
  --limit SECONDS   for the whole run, boot included (default 300)
  --disk FILE       an ext4 image, mounted on /disk for writing; made (256 MiB) unless it exists
  --append WORDS    more words for the kernel's command line, e.g. systemd.unified_cgroup_hierarchy=0
  --check           only say whether a machine can run here, and how
  -h, --help        this text
Needs root (deploy/install-deps.sh --test installs the rest). /dev/kvm is used when a kernel really boots with it;
else qemu emulates, 10 to 20 times slower, and NODED_TEST_TIME_FACTOR=10 in the machine stretches tests' patience.
Exit status beside the command's: 77 a machine cannot run here, 124 the time limit, 125 the machine itself broke.
USAGE
}

mode=command limit=300 disk='' append='' check=false command=''
while [ $# -gt 0 ]; do
  case $1 in
    --systemd) mode=systemd ;;
    --limit | --disk | --append)
      [ $# -ge 2 ] || { usage >&2; exit 2; }
      printf -v "${1#--}" '%s' "$2"
      shift
      ;;
    --check) check=true ;;
    -h | --help) usage && exit 0 ;;
    -*) usage >&2 && exit 2 ;;
    *) [ -z "$command" ] || { usage >&2; exit 2; }; command=$1 ;;
  esac
  shift
done
$check || [ -n "$command" ] || { usage >&2; exit 2; }
[[ $limit =~ ^[1-9][0-9]*$ ]] || { echo "vm: --limit $limit: must be a number of seconds" >&2; exit 2; }

cannot() { echo "vm: a machine cannot run here: $*" >&2; exit 77; }
broke() { echo "vm: the machine broke: $*" >&2; exit 125; }

[ "$(uname -m)" = x86_64 ] || cannot "the recipe is for x86_64, this is $(uname -m)"
[ "$(id -u)" -eq 0 ] || cannot "must be root to export the host's files read-only"
virtiofsd=/usr/lib/qemu/virtiofsd
for program in qemu-system-x86_64 "$virtiofsd" /bin/busybox; do
  command -v "$program" >/dev/null || cannot "$program is missing (deploy/install-deps.sh --test)"
done
kernel=$("$here/kernel.sh" --offline) || cannot "no kernel in $(vm_cache) (deploy/install-deps.sh --test)"
version=$(ls "$kernel/lib/modules")

# --- the initramfs -------------------------------------------------------------------------------

# add_module NAME: after those it depends on, which its own .modinfo names; depmod may not be there.
add_module() {
  local file dependency
  ! grep -qxF "$1" "$work/initrd/modules/order" || return 0
  file=$(find "$kernel/lib/modules" -name "$1.ko" -o -name "${1//_/-}.ko" | head -1)
  [ -n "$file" ] || return 0 # built in
  for dependency in $(tr '\0' '\n' <"$file" | sed -n 's/^depends=//p' | tr ',' ' '); do
    add_module "$dependency"
  done
  cp "$file" "$work/initrd/modules/$1.ko"
  echo "$1" >>"$work/initrd/modules/order"
}

# make_initramfs MODE MODULE…
make_initramfs() {
  local mode=$1 module
  shift
  rm -rf "$work/initrd"
  mkdir -p "$work/initrd"/{bin,modules,proc,sys,dev,lower,writes,root}
  : >"$work/initrd/modules/order"
  for module in "$@"; do add_module "$module"; done
  cp /bin/busybox "$work/initrd/bin/"
  install -m 0755 "$here/init.sh" "$work/initrd/init"
  cp "$here/guest.sh" "$work/initrd/"
  printf '%s\n' "$command" >"$work/initrd/command"
  printf '%s=%q\n' MODE "$mode" CHECKOUT "$checkout" DISK "$([ -n "$disk" ] && echo 1)" \
    TIME_FACTOR "$([ "$accelerator" = kvm ] && echo 2 || echo 10)" >"$work/initrd/settings"
  printf '%s\n' '[Unit]' 'After=basic.target' '[Service]' 'ExecStart=/bin/bash /noded-vm/guest.sh' \
    'KillMode=process' 'TimeoutStopSec=5' >"$work/initrd/noded-vm.service"
  (cd "$work/initrd" && find . | busybox cpio -o -H newc 2>/dev/null) >"$work/initramfs"
}

# --- qemu ----------------------------------------------------------------------------------------

# boot ACCELERATOR FLAG…: in the background, as $qemu.
boot() {
  local accelerator=$1 khz words cpu=max
  shift
  words="console=ttyS0 quiet panic=-1 reboot=t apparmor=1 $append"
  # Without it about a quarter of emulated boots hang at "tsc: Unable to calibrate against PIT".
  khz=$(awk '/MHz/ { print int($4 * 1000); exit }' /proc/cpuinfo)
  [ -z "$khz" ] || words+=" tsc_early_khz=$khz"
  [ "$accelerator" != kvm ] || cpu=host
  : >"$work/console"
  [ "$accelerator" = kvm ] || accelerator+=,thread=multi
  qemu-system-x86_64 -M microvm,acpi=on,memory-backend=mem -accel "$accelerator" -cpu "$cpu" -smp 2 -m 2G \
    -object memory-backend-memfd,id=mem,size=2G,share=on -global virtio-mmio.force-legacy=false \
    -nodefaults -no-user-config -display none -no-reboot -serial "file:$work/console" \
    -kernel "$kernel/boot/vmlinuz-$version" -initrd "$work/initramfs" -append "$words" "$@" \
    >"$work/qemu.log" 2>&1 </dev/null &
  qemu=$!
}
# booted SECONDS: whether the kernel has come as far as our init by then.
booted() {
  local end=$((SECONDS + $1))
  until grep -qs 'noded-vm: booted' "$work/console"; do
    kill -0 "$qemu" 2>/dev/null && [ "$SECONDS" -lt "$end" ] || return 1
    sleep 0.05
  done
}
end_qemu() {
  [ -z "${qemu:-}" ] || { kill -KILL "$qemu" && wait "$qemu"; } 2>/dev/null || true
  qemu=''
}

# /dev/kvm may be there and yet no kernel ever leaves its decompressor (nested virtualization that half works), so a
# kernel is booted to see, once for each boot of the host.
find_accelerator() {
  local found
  accelerator=tcg
  [ -w /dev/kvm ] || return 0
  found=$(vm_cache)/accelerator-$(cat /proc/sys/kernel/random/boot_id)
  if [ ! -s "$found" ]; then
    make_initramfs probe
    boot kvm
    if booted 10; then accelerator=kvm; fi
    end_qemu
    rm -f "$(vm_cache)"/accelerator-*
    echo "$accelerator" >"$found" 2>/dev/null || true
  else
    accelerator=$(cat "$found")
  fi
}

# Only the file system of / is exported, and the checkout when that is on another. virtiofsd has no read-only mode, hence
# read-only binds of both in a mount namespace of its own: nothing in the machine can write to the host.
export_files() {
  rm -f "$work/virtiofs"
  mkdir -p "$work/export"
  # shellcheck disable=SC2016  # expanded by that shell
  unshare -m --propagation private bash -ec '
    mount --bind / "$1/export" && mount -o remount,bind,ro "$1/export"
    if [ "$(stat -c %d /)" != "$(stat -c %d "$2")" ]; then
      mount --bind "$2" "$1/export$2" && mount -o remount,bind,ro "$1/export$2"
    fi
    exec "$3" --socket-path="$1/virtiofs" -o source="$1/export" -o sandbox=chroot -o cache=always -o xattr' \
    export_files "$work" "$checkout" "$virtiofsd" >"$work/virtiofsd.log" 2>&1 </dev/null &
  files=$!
  until [ -S "$work/virtiofs" ]; do
    kill -0 "$files" 2>/dev/null || { cat "$work/virtiofsd.log" >&2; broke "the host's files cannot be exported"; }
    sleep 0.02
  done
}

clean_up() {
  end_qemu
  [ -z "${files:-}" ] || kill "$files" 2>/dev/null || true
  rm -rf --one-file-system "$work"
}
work=$(mktemp -d /tmp/noded-vm.XXXXXX)
trap clean_up EXIT
trap 'exit 130' INT TERM

find_accelerator
if $check; then
  echo "vm: $(basename "$kernel") by $accelerator"
  exit 0
fi

# shellcheck disable=SC2054  # the commas are qemu's
flags=(-device virtio-serial-device
  -chardev "file,id=output,path=$work/output" -device virtserialport,chardev=output
  -chardev "file,id=status,path=$work/status" -device virtserialport,chardev=status
  -chardev "socket,id=files,path=$work/virtiofs" -device vhost-user-fs-device,chardev=files,tag=root)
# make_disk FILE SIZE LABEL
make_disk() { truncate -s "$2" "$1" && mke2fs -q -t ext4 -L "$3" "$1"; }
# For /tmp, where tests keep containers: no overlay goes on the overlay that the root is, and 6.1 cannot id-map a tmpfs.
make_disk "$work/scratch" 2G scratch
# shellcheck disable=SC2054
flags+=(-drive "file=$work/scratch,format=raw,if=none,id=scratch,cache=unsafe" -device virtio-blk-device,drive=scratch)
if [ -n "$disk" ]; then
  [ -e "$disk" ] || make_disk "$disk" 256M disk
  # shellcheck disable=SC2054
  flags+=(-drive "file=$disk,format=raw,if=none,id=disk" -device virtio-blk-device,drive=disk)
fi
make_initramfs "$mode" virtio_mmio virtio_console virtio_blk virtiofs overlay loop ext4 zram bfq

deadline=$((SECONDS + limit))
for attempt in first second; do
  : >"$work/output"
  : >"$work/status"
  export_files
  boot "$accelerator" "${flags[@]}"
  booted $((limit < 60 ? limit : 60)) && break
  # Seen to help: the hang is one of timing in an emulated machine's first second.
  tail -5 "$work/console" "$work/qemu.log" >&2
  [ "$attempt" = first ] && [ "$SECONDS" -lt "$deadline" ] || broke "the kernel did not come up"
  echo "vm: the kernel did not come up: once more" >&2
  end_qemu
  kill "$files" 2>/dev/null || true
done

tail -c +1 -s 0.1 -f --pid="$qemu" "$work/output" &
reader=$!
while kill -0 "$qemu" 2>/dev/null; do
  if [ "$SECONDS" -ge "$deadline" ]; then
    end_qemu
    wait "$reader" || true
    echo "vm: not done within $limit s" >&2
    exit 124
  fi
  sleep 0.05
done
wait "$reader" || true
if ! read -r status <"$work/status" || [[ ! $status =~ ^[0-9]+$ ]]; then
  tail -20 "$work/console" "$work/qemu.log" >&2
  broke "it ended without an exit status of the command"
fi
exit "$status"
