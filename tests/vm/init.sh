#!/bin/busybox sh
# shellcheck shell=dash
# PID 1 of the initramfs: puts a root together that looks like the host's, and hands over to guest.sh or to systemd.
# Writes go to a tmpfs over the host's files, which are exported read-only besides.
b=/bin/busybox
export PATH=/bin
$b mount -t devtmpfs d /dev && $b mount -t proc p /proc && $b mount -t sysfs s /sys
while read -r module; do
  $b insmod "/modules/$module.ko" || echo "noded-vm: module $module cannot be loaded" >/dev/console
done </modules/order
. /settings
[ "$MODE" != probe ] || { echo "noded-vm: booted" >/dev/console; $b poweroff -f; }
$b mount -t virtiofs root /lower || { echo "noded-vm: the host's files cannot be mounted" >/dev/console; $b poweroff -f; }
$b mount -t tmpfs t /writes && $b mkdir /writes/up /writes/work
$b mount -t overlay -o lowerdir=/lower,upperdir=/writes/up,workdir=/writes/work o /root
# With these systemd would think that it is in a container, and would wait for the host's disks.
$b rm -f /root/.dockerenv /root/run/.containerenv
: >/root/etc/fstab
$b mkdir -p /root/noded-vm
$b cp /settings /command /guest.sh /root/noded-vm/
for directory in proc sys dev; do $b mount --move /$directory /root/$directory; done
echo "noded-vm: booted" >/dev/console
[ "$MODE" = systemd ] || exec $b switch_root /root /bin/bash /noded-vm/guest.sh
$b cp /noded-vm.service /root/etc/systemd/system/
# It would empty /tmp, which is the host's until guest.sh mounts another: a walk over whatever is there, each file of which
# takes a descriptor of virtiofsd's. (systemd.mask= counts on the kernel's command line alone.)
$b ln -sf /dev/null /root/etc/systemd/system/systemd-tmpfiles-setup.service
exec $b switch_root /root /lib/systemd/systemd --unit=noded-vm.service
