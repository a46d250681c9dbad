#!/usr/bin/env bash
# Inside the machine: mounts what tests want, runs the command with its output on one port and its exit status on
# another, and turns the machine off. PID 1, or a service of systemd's.
. /noded-vm/settings
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8
export NODED_TEST_TIME_FACTOR=$TIME_FACTOR
# Under their names where udev runs, and else as the kernel calls them, in the order of qemu's command line.
ports=(/dev/vport*p1 /dev/vport*p2)

if [ "$MODE" = command ]; then
  mount -t tmpfs r /run
  mkdir -p /dev/pts /dev/shm && mount -t devpts p /dev/pts && mount -t tmpfs s /dev/shm
  mount -t cgroup2 c /sys/fs/cgroup
  ip link set lo up
  ln -sfn /proc/self/fd /dev/fd && ln -sf fd/0 /dev/stdin && ln -sf fd/1 /dev/stdout && ln -sf fd/2 /dev/stderr
fi
# virtio-mmio devices are found last first, so names say nothing about the order of the command line.
disk_labelled() { for device in /dev/vd?; do [ "$(blkid -o value -s LABEL "$device")" != "$1" ] || echo "$device"; done; }
# The checkout stays visible when it is itself below /tmp.
exec {checkout}<"$CHECKOUT"
mountpoint -q /tmp && umount /tmp
mount -t ext4 "$(disk_labelled scratch)" /tmp && chmod 1777 /tmp
if [[ $CHECKOUT == /tmp/* ]]; then
  mkdir -p "$CHECKOUT" && mount --bind "/proc/self/fd/$checkout" "$CHECKOUT"
fi
exec {checkout}<&-
if [ "$DISK" = 1 ]; then
  mkdir -p /disk && mount -t ext4 "$(disk_labelled disk)" /disk
fi

cd "$CHECKOUT" && bash /noded-vm/command </dev/null >"${ports[0]}" 2>&1
echo $? >"${ports[1]}"
sync
if [ "$MODE" = systemd ]; then
  # In order, so that a test can leave to the shutdown what it wants to see of it.
  systemctl poweroff --no-block
else
  [ "$DISK" != 1 ] || umount /disk
  poweroff -ff
fi
