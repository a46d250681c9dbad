#!/usr/bin/env bash
# Runs in the machine with systemd as PID 1 (tests/vm/systemd.sh): noded as its unit runs it. Leaves two containers to the
# shutdown that follows. usage: systemd_guest.sh BIN_DIR
# shellcheck source=tests/vm/unit.bash
. "$(dirname "${BASH_SOURCE[0]}")/unit.bash"

test_the_unit_starts_and_has_its_scope_made() {
  systemctl start noded || { journalctl -u noded -n 20 --no-pager; return 1; }
  unit_is noded active loud && unit_is noded-shutdown active loud && unit_is noded-containers.scope active loud
  same "$(unit noded-containers.scope Slice)" noded.slice slice
  same "$(unit noded-containers.scope ControlGroup)" "$scope" "control group"
  same "$(unit noded-containers.scope Delegate)" yes delegation
  same "$(unit noded-containers.scope TasksMax)" infinity "bound of tasks"
  same "$(nodectl info -o json | jq -r .cgroup.parent)" "$scope" "noded's parent"
}
test_noded_enables_nothing_in_its_own_unit() {
  same "$(cat "$cgroup/system.slice/noded.service/cgroup.subtree_control")" "" "subtree_control of the unit"
  same "$(find "$cgroup/system.slice/noded.service" -mindepth 1 -type d)" "" "groups below the unit"
}
test_a_container_has_its_limits_and_its_supervisor_a_place() {
  run --name web -m 64m --cpus 0.5 --pids-limit 50 sh -c 'while :; do sleep 0.2; date +%s >>/beat; done' || return 1
  local id pid
  read -r id pid <<<"$(field web '"\(.id) \(.pid)"')"
  same "$(field web .cgroup_path)" "$scope/$id" "its group"
  same "$(group_of "$pid")" "$scope/$id/payload" "its process's group"
  same "$(group_of "$(parent_of "$pid")")" "$scope/supervisors" "its supervisor's group"
  same "$(cat "$cgroup/system.slice/noded.service/cgroup.procs")" "$(unit noded MainPID)" "processes of the unit"
  # For what follows, which runs in shells of its own.
  printf '%s\n' "web_id=$id web_pid=$pid web_supervisor=$(parent_of "$pid")" >/tmp/web
  web_goes_on
}
# The same processes in the same groups under the same limits, and noded knows it.
web_id='' web_pid='' web_supervisor='' # set by /tmp/web
web_goes_on() {
  # shellcheck disable=SC1091
  . /tmp/web
  same "$(cat "$cgroup$scope/$web_id"/{memory.max,cpu.max,pids.max} | tr '\n' ' ')" "67108864 50000 100000 50 " limits &&
    same "$(group_of "$web_pid")" "$scope/$web_id/payload" "its process's group" &&
    same "$(parent_of "$web_pid")" "$web_supervisor" "its supervisor" &&
    same "$(group_of "$web_supervisor")" "$scope/supervisors" "its supervisor's group" || return 1
  [ "${1:-}" = without-noded ] || same "$(nodectl exec web echo here)" here "an exec"
}
test_restart_leaves_it_alone() {
  local old
  old=$(unit noded MainPID)
  systemctl restart noded || return 1
  [ "$old" != "$(unit noded MainPID)" ] || fail "noded was not restarted"
  web_goes_on
}
test_stop_leaves_it_alone() {
  local beats root
  # shellcheck disable=SC1091
  . /tmp/web
  root=/proc/$web_pid/root
  systemctl stop noded || return 1
  unit_is noded inactive loud && unit_is noded-containers.scope active loud && unit_is noded-shutdown active loud
  web_goes_on without-noded
  beats=$(wc -l <"$root/beat")
  eventually beats_more_than "$beats" "$root" || return 1
  systemctl start noded && web_goes_on
}
beats_more_than() { [ "$(wc -l <"$2/beat")" -gt "$1" ]; }
test_daemon_reload_and_reexec_leave_it_alone() {
  systemctl daemon-reload && web_goes_on without-noded && systemctl daemon-reexec && web_goes_on &&
    unit_is noded-containers.scope active loud
}
test_out_of_memory_inside_is_the_containers_own() {
  run --name hungry -m 16m sh -c 'tail /dev/zero' || return 1
  eventually state_is hungry EXITED || return 1
  same "$(field hungry .exit_reason)" EXIT_REASON_OOM_KILLED "the reason"
  unit_is noded active loud && unit_is noded-containers.scope active loud && nodectl rm hungry >/dev/null
  web_goes_on
}
test_the_scope_ends_when_empty_and_is_made_again() {
  nodectl rm -f web >/dev/null || return 1
  systemctl stop noded && eventually unit_is noded-containers.scope inactive || return 1
  [ ! -e "$cgroup$scope" ] || fail "its group is still there"
  systemctl start noded && unit_is noded-containers.scope active loud && run --name again sleep 1000 &&
    same "$(group_of "$(parent_of "$(field again .pid)")")" "$scope/supervisors" "its supervisor's group" &&
    nodectl rm -f again >/dev/null
}
test_a_scope_that_was_stopped_is_made_again() {
  run --name victim sleep 1000 || return 1
  systemctl stop noded-containers.scope || return 1
  eventually state_is victim EXITED || return 1
  nodectl rm victim >/dev/null
  run --name again -m 32m sleep 1000 && unit_is noded-containers.scope active loud || return 1
  same "$(cat "$cgroup$(field again .cgroup_path)/memory.max")" 33554432 limit
  nodectl rm -f again >/dev/null
}
test_containers_are_stopped_in_order_while_noded_is_not_there() {
  run --name polite -v /tmp/polite:/out sh -c 'trap "sleep 1; echo bye >/out/bye; exit" TERM; while :; do sleep 0.1; done'
  systemctl stop noded && systemctl stop noded-shutdown || return 1
  same "$(cat /tmp/polite/bye)" bye "its last word"
  systemctl start noded noded-shutdown && state_is polite EXITED && nodectl rm polite >/dev/null
}
test_containers_are_left_to_the_shutdown() {
  run --name last -v /disk/last:/out --stop-signal USR1 \
    sh -c 'trap "sleep 2; echo bye >/out/bye; sync; exit" USR1; touch /out/up; while :; do sleep 0.1; done' &&
    run --name stubborn -v /disk/stubborn:/out sh -c 'trap "echo told >/out/told" TERM; touch /out/up; while :; do sleep 0.1; done' &&
    eventually test -e /disk/last/up && eventually test -e /disk/stubborn/up
}

run_unit_tests
