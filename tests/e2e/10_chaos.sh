#!/usr/bin/env bash
# kill -9 of the daemon under 50 containers that write numbered lines: nothing is lost, nothing is left.
source "$(dirname "$0")/noded.bash"
COUNT=${E2E_CHAOS_CONTAINERS:-50}
start_noded

each() { # each COMMAND…: runs it for every number at once, "{}" standing for the number
  seq "$COUNT" | xargs -P 8 -I '{}' "$@"
}

test_kill_9_under_writers() {
  local i
  each nodectl run -d --name 'w{}' --rootfs "$ROOTFS" /bin/sh -c 'i=0; while true; do i=$((i + 1)); echo $i; sleep 0.02; done' >/dev/null
  same "$(command nodectl ps -q | wc -l)" "$COUNT" "containers that run"
  for i in 1 2 3 4; do
    # Under load: execs and listings are under way when the daemon dies.
    (each nodectl exec 'w{}' /bin/true >/dev/null 2>&1 || true) &
    sleep "0.$((i * 2))"
    kill_noded KILL
    wait
    start_noded
    same "$(command nodectl ps -q | wc -l)" "$COUNT" "containers that run after kill -9 number $i"
  done
  check 0 nodectl exec w1 /bin/echo alive
  each nodectl stop -t 0 'w{}' >/dev/null
  for i in $(seq "$COUNT"); do
    command nodectl logs "w$i" >"$WORK/log"
    local lines
    lines=$(wc -l <"$WORK/log")
    [ "$lines" -gt 20 ] || fail "w$i has only $lines lines"
    cmp -s <(seq "$lines") "$WORK/log" || { diff <(seq "$lines") "$WORK/log" | head -5 >&2; fail "w$i has lost or repeated lines"; }
  done
  say "$COUNT logs without a gap"
}

test_statuses_of_those_that_end_while_it_is_dead() {
  local i
  each nodectl run -d --name 'e{}' --rootfs "$ROOTFS" /bin/sh -c 'while [ ! -e /mnt/go ]; do sleep 0.05; done; exit {}' \
    >/dev/null 2>&1 || true
  for i in $(command nodectl ps -a -q); do command nodectl rm -f "$i" >/dev/null; done
  mkdir -p "$WORK/signal"
  each nodectl run -d --name 'e{}' --rootfs "$ROOTFS" -v "$WORK/signal:/mnt" /bin/sh -c 'while [ ! -e /mnt/go ]; do sleep 0.05; done; exit {}' >/dev/null
  kill_noded KILL
  : >"$WORK/signal/go"
  sleep 1
  start_noded
  for i in $(seq "$COUNT"); do
    same "$(command nodectl wait "e$i")" "$i" "exit status of e$i"
  done
}

test_descriptors_of_the_daemon_are_bounded() {
  local idle
  for i in $(command nodectl ps -a -q); do command nodectl rm -f "$i" >/dev/null; done
  idle=$(descriptors)
  each nodectl run -d --name 'd{}' --rootfs "$ROOTFS" /bin/sleep 1000 >/dev/null
  at_most "$((($(descriptors) - idle) / COUNT))" 20 "descriptors a container"
  say "$((($(descriptors) - idle) / COUNT)) descriptors a container; $(awk '/VmRSS/ {print $2}' "/proc/$(noded_pid)/status") kB resident"
}

run_tests
