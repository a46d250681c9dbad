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
# What only this hierarchy can tell; the rest is as on the other.
test_bad_limits_of_v2_change_nothing() {
  local group before flags pattern
  group=/sys/fs/cgroup$(field web .cgroup_path)
  before=$(cat "$group"/{memory.max,memory.high,pids.max,hugetlb.2MB.max})
  while IFS='|' read -r flags pattern; do
    # shellcheck disable=SC2086
    check 1 nodectl update --pids-limit 30 $flags web
    matches "$ERR" "$pattern" "message for $flags"
    same "$(cat "$group"/{memory.max,memory.high,pids.max,hugetlb.2MB.max})" "$before" "limits in force after $flags"
  done <<'TABLE'
--hugetlb 3MB:6m|limits\.hugetlb\[0\].*3MB.*2MB
--memory-high 0|limits\.memory\.high_bytes.*0 must be 6291456 to 67108864
--memory-high 65m|limits\.memory\.high_bytes.*must be 6291456 to 67108864
TABLE
  check 125 run_busybox --cgroup-parent "$CGROUP/nowhere" true
  matches "$ERR" "spec\.cgroup_parent.*must be a cgroup that exists"
  [ ! -e "/sys/fs/cgroup$CGROUP/nowhere" ] || fail "it was made"
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
