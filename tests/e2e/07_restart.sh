#!/usr/bin/env bash
# The daemon dies and comes back: containers go on, statuses are true, requests are remembered.
source "$(dirname "$0")/noded.bash"
CLIENT="$E2E_DIR/grpc_client.py"
start_noded

test_a_container_survives_kill_9() {
  check 0 nodectl run -d --name steady --rootfs "$ROOTFS" /bin/sh -c 'i=0; while true; do i=$((i + 1)); echo $i; sleep 0.01; done'
  local pid id
  pid=$(field steady .pid) id=$(field steady .id)
  eventually 10 bash -c 'nodectl logs steady | grep -q "^20$"'
  kill_noded KILL
  kill -0 "$pid" || fail "the container died with the daemon"
  start_noded
  state_is steady RUNNING || fail "state is $(field steady .state)"
  same "$(field steady .pid)" "$pid" pid
  same "$(field steady .id)" "$id" id
  check 0 nodectl exec steady /bin/echo still here
  same "$OUT" "still here" exec
  check 0 nodectl stop -t 1 steady
  check 0 nodectl logs steady
  same "$OUT" "$(seq "$(wc -l <<<"$OUT")")" "numbered lines of the log"
  [ "$(wc -l <<<"$OUT")" -ge 20 ] || fail "lines are missing"
  check 0 nodectl rm steady
}

test_status_of_one_that_ended_meanwhile() {
  check 0 nodectl run -d --name seven --rootfs "$ROOTFS" /bin/sh -c 'while [ ! -e /tmp/go ]; do sleep 0.02; done; echo last words; exit 7'
  check 0 nodectl run -d --name killed --rootfs "$ROOTFS" /bin/sleep 1000
  local root_of_seven pid
  root_of_seven=/proc/$(field seven .pid)/root pid=$(field killed .pid)
  kill_noded KILL
  : >"$root_of_seven/tmp/go"
  kill -TERM "$pid" # PID 1 ignores what it does not handle
  kill -KILL "$pid"
  eventually 10 gone "$pid"
  eventually 10 bash -c "[ ! -e $root_of_seven/tmp ]"
  start_noded
  eventually 10 state_is seven EXITED
  same "$(field seven .exit_status.code)" 7 "code of the one that exited"
  same "$(field killed .exit_status.signal)" 9 "signal of the one that was killed"
  same "$(field killed .exit_reason)" EXIT_REASON_SIGNALED reason
  check 0 nodectl logs seven
  same "$OUT" "last words" log
  check 0 nodectl wait seven
  same "$OUT" 7 "what wait prints"
  check 0 nodectl rm seven killed
}

test_auto_remove_of_one_that_ended_meanwhile() {
  check 0 nodectl run -d --rm --name brief --rootfs "$ROOTFS" /bin/sleep 1000
  local pid
  pid=$(field brief .pid)
  kill_noded KILL
  kill -KILL "$pid"
  eventually 10 gone "$pid"
  start_noded
  removed() { [ -z "$(command nodectl ps -a -q)" ]; }
  eventually 10 removed
}

test_request_id_is_remembered() {
  local request id
  request=$(jq -nc --arg root "$ROOTFS" '{requestId: "once", spec: {name: "once", root: {hostDirectory: $root}, process: {argv: ["/bin/sleep", "1000"]}}}')
  check 0 "$CLIENT" "$NODECTL_ADDRESS" call node.v1.ContainerService/RunContainer "$request"
  id=$(jq -r .container.id <<<"$OUT")
  check 0 "$CLIENT" "$NODECTL_ADDRESS" call node.v1.ContainerService/RunContainer "$request"
  same "$(jq -r .container.id <<<"$OUT")" "$id" "id of the repeat"
  kill_noded KILL
  start_noded
  check 0 "$CLIENT" "$NODECTL_ADDRESS" call node.v1.ContainerService/RunContainer "$request"
  same "$(jq -r .container.id <<<"$OUT")" "$id" "id of the repeat after a restart"
  same "$(command nodectl ps -a -q | wc -l)" 1 "number of containers"
  check 0 nodectl rm -f once
}

test_request_id_when_the_first_caller_went_away() {
  local request i ids
  request=$(jq -nc --arg root "$ROOTFS" '{requestId: "fled", spec: {name: "fled", root: {hostDirectory: $root}, process: {argv: ["/bin/sleep", "1000"]}}}')
  "$CLIENT" --deadline 0.002 "$NODECTL_ADDRESS" call node.v1.ContainerService/RunContainer "$request" >&2 || true
  for i in 1 2 3; do
    check 0 "$CLIENT" "$NODECTL_ADDRESS" call node.v1.ContainerService/RunContainer "$request"
    ids+="$(jq -r .container.id <<<"$OUT") "
    : "$i"
  done
  same "$(tr ' ' '\n' <<<"$ids" | grep . | sort -u | wc -l)" 1 "number of ids answered"
  same "$(command nodectl ps -a -q | wc -l)" 1 "number of containers"
  check 0 nodectl rm -f fled
}

test_a_second_daemon_on_the_same_root_says_so() {
  local status=0 output
  output=$(timeout 20 noded --listen "unix://$WORK/second.sock" --root "$ROOT" --state-dir "$STATE" --cgroup-parent "$CGROUP" 2>&1) || status=$?
  say "$output"
  [[ $status -ne 0 && $status -ne 124 ]] || fail "the second daemon ended with $status"
  matches "$output" "$(noded_pid)|lock|another|already" "what it said"
  check 0 nodectl version
}

test_sigterm_drains_and_containers_stay() {
  check 0 nodectl run -d --name stays --rootfs "$ROOTFS" /bin/sleep 1000
  local pid noded
  pid=$(field stays .pid) noded=$(noded_pid)
  kill_noded TERM
  gone "$noded" || fail "noded did not exit"
  kill -0 "$pid" || fail "the container died with the daemon"
  start_noded
  state_is stays RUNNING
  check 0 nodectl rm -f stays
}

test_a_damaged_record_stops_nothing() {
  check 0 nodectl run -d --name whole --rootfs "$ROOTFS" /bin/sleep 1000
  check 0 nodectl run -d --name torn --rootfs "$ROOTFS" /bin/sleep 1000
  local id
  id=$(field torn .id)
  kill_noded KILL
  head -c 100 "$ROOT/containers/$id/container.json" >"$WORK/torn" && cp "$WORK/torn" "$ROOT/containers/$id/container.json"
  start_noded
  state_is whole RUNNING || fail "the undamaged one is $(field whole .state)"
  state_is "$id" UNKNOWN || fail "the damaged one is $(field "$id" .state)"
  check 0 nodectl rm -f "$id"
  check 0 nodectl rm -f whole
}

test_repeated_kill_9_while_starting() {
  local round
  for round in 1 2 3 4 5; do
    for i in 1 2 3 4; do
      (command nodectl run -d --name "r$round-$i" --rootfs "$ROOTFS" /bin/sleep 1000 >/dev/null 2>&1 || true) &
    done
    # A different moment each round, from before the first container to after the last.
    sleep "0.0$((round * 2))"
    kill_noded KILL
    wait
    start_noded
  done
  # What was half-made is gone or complete: each that is listed can be used.
  local id
  for id in $(command nodectl ps -q); do
    check 0 nodectl exec "$id" /bin/true
  done
  check 0 nodectl ps -a
  for id in $(command nodectl ps -a -q); do
    check 0 nodectl rm -f "$id"
  done
}

run_tests
