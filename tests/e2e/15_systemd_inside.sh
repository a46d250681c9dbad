#!/usr/bin/env bash
# A container whose main process is systemd, which makes cgroups of its own below the container's: it comes up, its
# services run, an exec gets in, its stop signal ends it. The program is the host's, by way of a read-only /usr.
source "$(dirname "$0")/noded.bash"
start_noded

SYSTEMD=/usr/lib/systemd/systemd
SYSTEM=$WORK/system

make_system() {
  local directory
  mkdir -p "$SYSTEM"/{etc/systemd/system,run,tmp,var,proc,sys,dev,usr,root}
  for directory in bin sbin lib lib64; do
    ln -s "usr/$directory" "$SYSTEM/$directory"
  done
  echo 'root:x:0:0:root:/root:/bin/sh' >"$SYSTEM/etc/passwd"
  echo 'root:x:0:' >"$SYSTEM/etc/group"
  echo uninitialized >"$SYSTEM/etc/machine-id"
  cat >"$SYSTEM/etc/systemd/system/default.target" <<'UNIT'
[Unit]
DefaultDependencies=no
Wants=sleeper.service
UNIT
  cat >"$SYSTEM/etc/systemd/system/sleeper.service" <<'UNIT'
[Unit]
DefaultDependencies=no
[Service]
ExecStart=/bin/sleep 1000
MemoryMax=32M
UNIT
}
sleeper_is_active() { [ "$(command nodectl exec system systemctl is-active sleeper.service 2>/dev/null)" = active ]; }

test_it_comes_up_and_is_execed_into() {
  [ -x "$SYSTEMD" ] || skip "no $SYSTEMD on this host"
  make_system
  check 0 nodectl run -d --privileged --name system --rootfs "$SYSTEM" -v /usr:/usr:ro --tmpfs /run --tmpfs /tmp \
    -e container=docker --stop-signal SIGRTMIN+3 -m 128m "$SYSTEMD"
  eventually 20 sleeper_is_active || { nodectl logs system; fail "its service does not run"; }
  # shellcheck disable=SC2016  # the shell inside expands it
  check 0 nodectl exec system sh -c 'cat /proc/$(systemctl show -p MainPID --value sleeper.service)/cgroup'
  matches "$OUT" '/system.slice/sleeper.service' "the service's group"
}
test_its_groups_are_below_the_containers() {
  [ -x "$SYSTEMD" ] || skip "no $SYSTEMD on this host"
  local found
  found=$(cgroups | grep -c '/system.slice/sleeper.service$') || fail "not below $CGROUP"
  [ "$found" -gt 0 ]
}
test_it_survives_a_restart_of_noded_and_stops_by_its_own_signal() {
  [ -x "$SYSTEMD" ] || skip "no $SYSTEMD on this host"
  kill_noded KILL
  start_noded
  sleeper_is_active || fail "no exec gets in any more"
  check 0 nodectl stop -t 60 system
  same "$(field system .exit_reason)" EXIT_REASON_STOPPED
  # What the kernel ends an init with that powers its pid namespace off, reboot(2).
  same "$(field system .exit_status.signal)" 2 "the signal that ended it"
}
run_tests
