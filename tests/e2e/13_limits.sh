#!/usr/bin/env bash
# Limits at a terminal: what an update does to a container that runs, what is refused and leaves all as it was,
# pause and unpause.
source "$(dirname "$0")/noded.bash"
start_noded

# limit_file ID CONTROLLER V1_FILE V2_FILE: what the kernel has.
limit_file() {
  local group
  group=$(field "$1" .cgroup_path)
  if [ -d "/sys/fs/cgroup/$2$group" ]; then
    cat "/sys/fs/cgroup/$2$group/$3"
  else
    cat "/sys/fs/cgroup$group/$4"
  fi
}
memory_of() { limit_file "$1" memory memory.limit_in_bytes memory.max; }
pids_of() { limit_file "$1" pids pids.max pids.max; }
# A container that counts in its log; its number of lines.
count_up() { check 0 run_busybox -d --name "$1" "${@:2}" /bin/sh -c 'i=0; while :; do i=$((i+1)); echo $i; usleep 10000; done'; }
lines_of() { command nodectl logs "$1" | wc -l; }
goes_on() { [ "$(lines_of "$1")" -gt "$2" ]; }

test_update_holds_at_once_and_later() {
  count_up web -m 64m --pids-limit 50
  same "$(memory_of web)" 67108864 memory
  check 0 nodectl update -m 128m --pids-limit 20 --cpus 0.5 --cpu-shares 512 web
  same "$OUT" web "output"
  same "$(memory_of web)" 134217728 "memory after the update"
  same "$(pids_of web)" 20 "tasks after the update"
  same "$(field web .spec.limits.memory.max_bytes)" 134217728 "memory as recorded"
  same "$(field web .spec.limits.cpu.quota_us)" 50000 "quota as recorded"
  kill_noded KILL
  start_noded
  same "$(field web .spec.limits.pids)" 20 "tasks after a restart of noded"
  same "$(pids_of web)" 20 "tasks in force after a restart of noded"
  check 0 nodectl stop -t 0 web
  check 0 nodectl start web
  same "$(memory_of web)" 134217728 "memory after a restart of the container"
}

test_update_takes_a_limit_away() {
  check 0 nodectl update --clear memory.max_bytes --pids-limit -1 web
  same "$(field web .spec.limits.memory.max_bytes)" "" "memory as recorded"
  same "$(pids_of web)" max tasks
}

test_what_is_refused_changes_nothing() {
  check 0 nodectl update --pids-limit 33 web
  local before flags pattern
  before=$(field web '.spec.limits' | jq -Sc .)
  while IFS='|' read -r flags pattern; do
    # shellcheck disable=SC2086
    check 1 nodectl update $flags web
    matches "$ERR" "$pattern" "message for $flags"
    same "$(field web '.spec.limits' | jq -Sc .)" "$before" "recorded limits after $flags"
    same "$(pids_of web)" 33 "tasks after $flags"
  done <<'TABLE'
--pids-limit 0|limits\.pids.*must be 1 to 4194304
--pids-limit 4194305|limits\.pids.*must be 1 to 4194304
--pids-limit 40 --memory 1m|limits\.memory\.max_bytes.*must be 6291456 or more
--cpu-quota 999|limits\.cpu\.quota_us.*must be 1000 to
--cpu-quota 20000 --cpu-burst 20001|limits\.cpu\.burst_us.*must be 0 to 20000
--cpu-idle|limits\.cpu\.idle.*excludes shares
--swap 1m|limits\.memory\.swap_bytes.*needs max_bytes
-m 64m --memory-reservation 65m|limits\.memory\.reservation_bytes.*must be 0 to 67108864
--pids-limit 40 --cpuset-cpus 0-4000|limits\.cpu\.cpuset_cpus.*must be within
--cpuset-cpus 2-1|limits\.cpu\.cpuset_cpus.*must be a list
--pids-limit 40 --device-read-bps /dev/no-such-disk:1m|limits\.block_io\.devices\[0\]\.device.*no such file
--device-read-bps 0:77:1m|limits\.block_io\.devices\[0\]\.device.*no such block device
--device-read-bps /dev/null:1m|limits\.block_io\.devices\[0\]\.device.*not a block device
--hugetlb 3MB:6m|limits\.hugetlb
--device /dev/no-such-device|devices\.devices\[0\]\.host_path
--clear memory.most|clear\[0\].*not the name of a limit
TABLE
  # What the command itself can tell never leaves it.
  check 2 nodectl update --cpu-period 1000001 web
  check 2 nodectl update --pids-limit 10m web
  matches "$ERR" '--pids-limit: "10m" is not a whole number: 1 to 4194304, or -1'
  check 2 nodectl update --device-read-iops /dev/null:4294967296 web
  matches "$ERR" "1 to 4294967295"
  check 2 nodectl update -m -1 web
  check 2 nodectl update -m 99999999999999g web
  check 2 nodectl update web
  check 1 nodectl update --pids-limit 5 nobody
}

test_update_of_an_ended_container() {
  check 0 run_busybox --name over /bin/true
  check 1 nodectl update --pids-limit 5 over
  matches "$ERR" "container over is exited"
  check 0 nodectl rm over
  check 0 nodectl create --name new --rootfs "$ROOTFS" /bin/sleep 100
  check 0 nodectl update --pids-limit 5 new
  check 0 nodectl start new
  same "$(pids_of new)" 5 "tasks of one that was updated before its start"
  check 0 nodectl rm -f new
}

test_what_the_host_does_not_keep_is_refused_or_told() {
  ! grep -qs '\[bfq\]' /sys/block/*/queue/scheduler || skip "a disk has the bfq scheduler"
  check 125 run_busybox --blkio-weight 50 /bin/true
  matches "$ERR" "limits\.block_io\.weight: .*what would help"
  check 0 run_busybox -d --name told --best-effort --blkio-weight 50 --pids-limit 9 /bin/sleep 100
  matches "$(field told '.unenforced_limits["limits.block_io.weight"]')" "scheduler" reason
  same "$(pids_of told)" 9 "tasks"
  check 0 nodectl update --clear block_io told
  same "$(field told '.unenforced_limits')" "" "what is told once it is no longer wanted"
  check 125 nodectl create --dry-run --blkio-weight 50 --rootfs "$ROOTFS" /bin/true
  check 0 nodectl rm -f told
}

# all_groups NAME: where it is.
all_groups() { find /sys/fs/cgroup -mindepth 2 -maxdepth 4 -type d -path "*$CGROUP/$1"; }
test_a_parent_of_ones_own() {
  local parent=$CGROUP/team controllers=/sys/fs/cgroup
  [ ! -d "/sys/fs/cgroup/memory$CGROUP" ] || controllers=/sys/fs/cgroup/memory
  check 125 run_busybox --cgroup-parent "$parent" /bin/true
  matches "$ERR" "spec\.cgroup_parent.*\"$parent\" must be a cgroup that exists"
  check 125 run_busybox --dry-run --cgroup-parent "$parent" /bin/true
  check 125 run_busybox --cgroup-parent "$CGROUP/../.." /bin/true
  matches "$ERR" 'spec\.cgroup_parent.*must not contain "\.\."'
  same "$(all_groups team)" "" "groups that were made"
  mkdir "$controllers$parent"
  check 0 run_busybox -d --name nested --cgroup-parent "$parent" --pids-limit 7 /bin/sleep 1000
  same "$(field nested .cgroup_path)" "$parent/$(field nested .id)" "its group"
  kill_noded KILL
  start_noded
  state_is nested RUNNING || fail "a restart of noded has ended it"
  same "$(pids_of nested)" 7 "tasks after a restart of noded"
  check 0 nodectl rm -f nested
  all_groups team | xargs rmdir
}

test_pause_and_unpause() {
  local lines
  eventually 10 goes_on web 5 || fail "the container does not count"
  check 0 nodectl pause web
  state_is web PAUSED || fail "it is not shown as paused"
  check 0 nodectl ps
  matches "$OUT" "web.*\(Paused\)" "ps"
  sleep 0.1
  lines=$(lines_of web)
  sleep 0.3
  same "$(lines_of web)" "$lines" "lines while it is paused"
  check 1 nodectl pause web
  matches "$ERR" "container web is paused"
  check 125 nodectl exec web true
  matches "$ERR" "container web is paused"
  check 0 nodectl stats --no-stream web
  check 0 nodectl update --pids-limit 44 web
  same "$(pids_of web)" 44 "tasks of a paused container"
  kill_noded KILL
  start_noded
  state_is web PAUSED || fail "it is not paused any more after a restart"
  check 0 nodectl unpause web
  eventually 10 goes_on web "$lines" || fail "it does not go on"
  check 1 nodectl resume web
  matches "$ERR" "container web is running"
}

test_the_end_of_a_paused_container() {
  check 0 nodectl pause web
  check 0 nodectl stop web
  same "$(field web .exit_reason)" EXIT_REASON_STOPPED "reason of the end"
  check 0 nodectl start web
  check 0 nodectl pause web
  check 0 nodectl kill web
  eventually 10 state_is web EXITED || fail "a paused container does not die"
  check 0 nodectl start web
  check 0 nodectl pause web
  check 0 nodectl rm -f web
}

run_tests
