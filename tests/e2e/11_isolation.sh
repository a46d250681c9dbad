#!/usr/bin/env bash
# What a container may see and do: its own namespaces, few capabilities, nothing of the host's.
source "$(dirname "$0")/noded.bash"
start_noded

inside() { check 0 nodectl run --rm --rootfs "$ROOTFS" "$@"; }

test_the_hosts_mounts_never_change() {
  check 0 nodectl run -d --name m --rootfs "$ROOTFS" -v "$WORK:/w" --tmpfs /t /bin/sleep 1000
  diff "$WORK/mounts.before" <(mounts) >&2 || fail "changed while a container runs"
  check 0 nodectl rm -f m
  diff "$WORK/mounts.before" <(mounts) >&2 || fail "changed afterwards"
}

test_namespaces_are_its_own() {
  local kind
  for kind in mnt pid net ipc uts cgroup; do
    inside readlink "/proc/self/ns/$kind"
    [ "$OUT" != "$(readlink "/proc/self/ns/$kind")" ] || fail "$kind is the host's"
  done
  inside readlink /proc/self/ns/user
  same "$OUT" "$(readlink /proc/self/ns/user)" "user namespace"
}

test_it_is_pid_1_and_sees_only_itself() {
  inside /bin/sh -c 'echo $$; ls -d /proc/[0-9]* | wc -l'
  same "$(head -1 <<<"$OUT")" 1 pid
  at_most "$(tail -1 <<<"$OUT")" 3 processes
}

test_capabilities_are_the_default_fourteen() {
  inside grep -E '^Cap(Eff|Bnd)|^NoNewPrivs' /proc/self/status
  matches "$OUT" $'CapEff:\t00000000a80425fb' "effective set"
  matches "$OUT" $'CapBnd:\t00000000a80425fb' "bounding set"
  matches "$OUT" $'NoNewPrivs:\t1' no_new_privs
}

test_a_user_has_no_capabilities() {
  inside -u app grep CapEff /proc/self/status
  matches "$OUT" $'CapEff:\t0000000000000000' "effective set"
}

test_paths_of_the_kernel_are_masked() {
  inside /bin/sh -c 'cat /proc/kcore | wc -c; echo x > /proc/sys/kernel/hostname && echo written; echo x > /proc/sysrq-trigger && echo written; ls /proc/acpi /sys/firmware 2>/dev/null | grep -v :$ | grep -c .; true'
  [[ $OUT != *written* ]] || fail "a protected path was written"
  same "$(head -1 <<<"$OUT")" 0 "bytes of /proc/kcore"
}

test_devices() {
  inside /bin/sh -c 'for d in null zero full random urandom tty; do test -c /dev/$d || echo missing $d; done; ls -l /dev/fd /dev/stdin /dev/ptmx /dev/shm >/dev/null && echo links; head -c 4 /dev/zero | wc -c; mknod /tmp/sda b 254 0 && head -c 1 /tmp/sda && echo read; true'
  matches "$OUT" '^links' links
  [[ $OUT != *missing* && $OUT != *read* ]] || fail "devices are wrong"
}

test_symlinks_in_the_image_do_not_reach_the_host() {
  local evil=$WORK/evil
  cp -a "$ROOTFS" "$evil"
  rm -rf "${evil:?}"/{etc,dev,sys}
  mkdir -p "$WORK/host-etc"
  echo untouched >"$WORK/host-etc/hosts"
  cp "$ROOTFS/etc/passwd" "$ROOTFS/etc/group" "$WORK/host-etc"
  ln -s "$WORK/host-etc" "$evil/etc"
  ln -s ../../../../../../../../dev "$evil/dev"
  ln -s /proc "$evil/sys"
  local status=0 before
  before=$(find "$WORK/host-etc" -type f | sort | xargs sha256sum; stat -c '%n %Y %i' /dev /etc/hosts /etc/resolv.conf)
  command nodectl run --rm --rootfs "$evil" /bin/busybox cat /etc/hosts >&2 || status=$?
  say "ended with $status"
  same "$(find "$WORK/host-etc" -type f | sort | xargs sha256sum; stat -c '%n %Y %i' /dev /etc/hosts /etc/resolv.conf)" "$before" "files of the host"
  diff "$WORK/mounts.before" <(mounts) >&2 || fail "the host's mounts have changed"
  rm -rf "$evil"
}

test_files_that_are_given() {
  inside --hostname given /bin/sh -c 'cat /etc/hostname; grep localhost /etc/hosts; grep given /etc/hosts; test -e /etc/resolv.conf && echo resolv'
  matches "$OUT" '^given' /etc/hostname
  matches "$OUT" 'resolv$' /etc/resolv.conf
}

test_namespaces_of_another_container() {
  check 0 nodectl run -d --name first --rootfs "$ROOTFS" /bin/sleep 1000
  inside --net container:first readlink /proc/self/ns/net
  local joined=$OUT
  check 0 nodectl exec first readlink /proc/self/ns/net
  same "$joined" "$OUT" "network namespace"
  check 0 nodectl rm -f first
}

test_a_fork_bomb_is_stopped_whole() {
  check 0 nodectl run -d --name bomb --pids-limit 60 --rootfs "$ROOTFS" /bin/sh -c 'b() { b | b & }; b; while true; do sleep 1; done'
  check 0 nodectl stop -t 0 bomb
  eventually 10 empty_of_processes || fail "processes are left"
  check 0 nodectl rm bomb
}

test_out_of_memory_is_told() {
  check 137 nodectl run --name eater -m 16m --rootfs "$ROOTFS" /bin/sh -c 'x=$(head -c 100000000 /dev/zero | tr "\0" x); echo survived'
  same "$(field eater .exit_reason)" EXIT_REASON_OOM_KILLED reason
  same "$(field eater .oom_killed)" true oomKilled
  check 0 nodectl rm eater
}

test_a_killed_child_is_an_event_and_no_exit_reason() {
  check 0 nodectl run --name parent -m 16m --rootfs "$ROOTFS" /bin/sh -c 'tail /dev/zero; exit 0'
  same "$(field parent .exit_reason)" EXIT_REASON_COMPLETED reason
  same "$(field parent .oom_kills)" 1 "kills"
  if [ -r /dev/kmsg ]; then same "$(field parent .last_oom_kill.process)" tail victim; fi
  check 0 nodectl rm parent
}

run_tests
