#!/usr/bin/env bash
# Runs in the machine: noded and nodectl as a user types them, in few calls, because each costs a second there.
# shellcheck source=tests/e2e/noded.bash
. "$(dirname "${BASH_SOURCE[0]}")/../e2e/noded.bash"
start_noded

test_run_with_limits_on_v2() {
  check 0 nodectl info -o json
  same "$(jq -r '.cgroup.mode + " " + .cgroup.parent' <<<"$OUT")" "v2 $CGROUP"
  check 0 run_busybox -d --name web -m 64m --cpus 0.5 --pids-limit 20 sh -c 'echo up; sleep 1000'
  local group
  group=/sys/fs/cgroup$(field web .cgroup_path)
  same "$(cat "$group"/{memory.max,cpu.max,pids.max} | tr '\n' ' ')" "67108864 50000 100000 20 " limits
  check 0 nodectl exec web grep ^0:: /proc/self/cgroup
  same "$OUT" "0::/" "what the container sees of its group"
}
test_a_killed_noded_finds_it_again() {
  kill_noded KILL
  start_noded
  check 0 nodectl exec web echo here
  same "$OUT" here
  check 0 nodectl stop web
  check 0 nodectl logs web
  same "$OUT" up
}
test_out_of_memory_is_told() {
  check 137 run_busybox --name hungry -m 16m tail /dev/zero
  same "$(field hungry .exit_reason)" EXIT_REASON_OOM_KILLED
}
run_tests
