#!/usr/bin/env bash
# Runs in a machine whose systemd has set up cgroup v1 with a small v2 beside it (tests/vm/hybrid.sh): what of the unit and
# its scope is not as on v2. usage: hybrid_guest.sh BIN_DIR
# shellcheck source=tests/vm/unit.bash
. "$(dirname "${BASH_SOURCE[0]}")/unit.bash"

# controller_group PID CONTROLLER
controller_group() { sed -nE "s/^[0-9]+:([^:]*,)?$2(,[^:]*)?:(.*)/\\3/p" "/proc/$1/cgroup"; }
# Its processes are where they were, under its limits.
web_id='' web_pid='' web_supervisor='' # set by /tmp/web
web_goes_on() {
  local controller
  # shellcheck disable=SC1091
  . /tmp/web
  same "$(cat "$cgroup/memory$scope/$web_id/memory.limit_in_bytes" "$cgroup/cpu$scope/$web_id/cpu.cfs_quota_us" \
    "$cgroup/pids$scope/$web_id/pids.max" | tr '\n' ' ')" "67108864 50000 50 " limits || return 1
  for controller in memory cpu cpuset pids devices freezer blkio name=systemd; do
    same "$(controller_group "$web_pid" $controller)" "$scope/$web_id" "its group of $controller" || return 1
  done
  for controller in memory pids name=systemd; do
    same "$(controller_group "$web_supervisor" $controller)" "$scope/supervisors" "its supervisor's group of $controller" || return 1
  done
  [ "${1:-}" = without-noded ] || same "$(nodectl exec web echo here)" here "an exec"
}

test_the_unit_starts_on_a_hybrid_host() {
  systemctl start noded || { journalctl -u noded -n 20 --no-pager; return 1; }
  unit_is noded active loud && unit_is noded-containers.scope active loud
  same "$(nodectl info -o json | jq -r '.cgroup.mode + " " + .cgroup.parent')" "hybrid $scope" "noded's hierarchy"
}
test_a_container_is_in_the_scope_of_each_hierarchy() {
  run --name web -m 64m --cpus 0.5 --pids-limit 50 sleep 10000 || return 1
  local pid
  pid=$(field web .pid)
  printf '%s\n' "web_id=$(field web .id) web_pid=$pid web_supervisor=$(parent_of "$pid")" >/tmp/web
  web_goes_on
}
test_restart_and_reload_leave_it_alone() {
  systemctl restart noded && web_goes_on && systemctl daemon-reload && web_goes_on
}
test_stop_leaves_it_alone() {
  systemctl stop noded && unit_is noded inactive loud && unit_is noded-containers.scope active loud &&
    web_goes_on without-noded && systemctl start noded && web_goes_on
}
test_out_of_memory_inside_is_the_containers_own() {
  run --name hungry -m 16m sh -c 'tail /dev/zero' || return 1
  eventually state_is hungry EXITED || return 1
  same "$(field hungry .exit_reason)" EXIT_REASON_OOM_KILLED "the reason"
  unit_is noded-containers.scope active loud && nodectl rm hungry >/dev/null && web_goes_on
}
test_pause_and_end() {
  nodectl pause web >/dev/null && nodectl stop -t 1 web >/dev/null && state_is web EXITED && nodectl rm web >/dev/null
}
test_the_scope_ends_when_empty_and_is_made_again() {
  systemctl stop noded && eventually unit_is noded-containers.scope inactive || return 1
  systemctl start noded && unit_is noded-containers.scope active loud && run --name again sleep 1000 &&
    nodectl rm -f again >/dev/null
}

# v1's own that hosts of tests seldom have: huge pages, net_cls and net_prio.
test_controllers_of_this_machine_alone() {
  "$bin/integration_cgroup" --gtest_filter='*HugePages*/v1*:NetTest.*' >/tmp/log 2>&1 || { tail -n 30 /tmp/log; fail "see above"; return; }
  same "$(grep -c '^\[       OK \]' /tmp/log)" 2 "tests that passed, and were not skipped"
}

run_unit_tests
