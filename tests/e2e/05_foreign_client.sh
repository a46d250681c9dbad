#!/usr/bin/env bash
# Clients that know nothing of noded run a container and read its log, through reflection alone: one written
# with Debian's python3-grpcio, and buf from npm where npm reaches its registry.
source "$(dirname "$0")/noded.bash"
CLIENT="$E2E_DIR/grpc_client.py"
BUF=$REPO/build/npm/node_modules/.bin/buf
SERVICE=node.v1.ContainerService
PORT=$((20000 + $$ % 20000))
start_noded --listen "127.0.0.1:$PORT" --insecure

python_call() { "$CLIENT" "$NODECTL_ADDRESS" call "$SERVICE/$1" "${@:2}"; }
request() { jq -nc --arg root "$ROOTFS" "{spec: {name: \"$1\", root: {hostDirectory: \$root}, process: {argv: [\"/bin/sh\", \"-c\", \"$2\"]}}}"; }
# Lines of a log as they were written: `line` is bytes, so JSON has it in base64.
log_lines() { jq -r '.entries[].line' | while read -r line; do base64 -d <<<"$line"; echo; done; }

test_python_sees_the_services() {
  check 0 "$CLIENT" "$NODECTL_ADDRESS" list
  for service in node.v1.ContainerService node.v1.NodeService grpc.health.v1.Health grpc.reflection.v1alpha.ServerReflection; do
    grep -qxF "$service" <<<"$OUT" || fail "$service is not listed"
  done
}

test_python_runs_a_container_and_reads_its_log() {
  check 0 python_call RunContainer "$(request foreign 'echo hello from python; echo and more')"
  matches "$(jq -r .container.id <<<"$OUT")" '^[0-9a-f]{64}$' id
  check 0 python_call Wait '{"container": "foreign"}'
  # proto3 JSON leaves a zero out unless the field is optional.
  same "$(jq -r .status.code <<<"$OUT")" 0 code
  check 0 python_call Logs '{"container": "foreign"}'
  same "$(log_lines <<<"$OUT")" $'hello from python\nand more' log
  check 0 python_call Remove '{"container": "foreign"}'
}

test_python_execs_with_standard_input() {
  check 0 python_call RunContainer "$(request target 'sleep 1000')"
  check 0 python_call Exec '{"start": {"container": "target", "process": {"argv": ["cat"], "stdin": true}}}' \
    "{\"stdin\": \"$(base64 <<<'through cat')\"}" '{"closeStdin": {}}'
  same "$(jq -r '.stdout // empty' <<<"$OUT" | base64 -d)" "through cat" output
  same "$(tail -1 <<<"$OUT" | jq -r .exited.status.code)" 0 code
  check 0 python_call Remove '{"container": "target", "force": true}'
}

test_python_asks_for_health() {
  check 0 "$CLIENT" "$NODECTL_ADDRESS" call grpc.health.v1.Health/Check '{}'
  same "$(jq -r .status <<<"$OUT")" SERVING health
}

test_python_over_loopback() {
  check 0 "$CLIENT" "127.0.0.1:$PORT" call node.v1.NodeService/GetInfo
  same "$(jq -r .pid <<<"$OUT")" "$(noded_pid)" pid
}

test_dry_run_returns_the_plan() {
  check 0 python_call RunContainer "$(request dry true | jq -c '.dryRun = true')"
  jq -r .launchPlanJson <<<"$OUT" | jq . >/dev/null || fail "the plan is no JSON"
  same "$(command nodectl ps -a -q)" "" "containers after a dry run"
}

test_lists_come_in_pages() {
  local i
  for i in 1 2 3 4 5; do
    python_call CreateContainer "$(request "page-$i" true | jq -c ".spec.labels = {n: \"$i\", odd: \"$((i % 2))\"}")" >/dev/null
  done
  local token='' seen=0
  while true; do
    check 0 python_call List "{\"pageSize\": 2, \"pageToken\": \"$token\"}"
    seen=$((seen + $(jq '.containers | length' <<<"$OUT")))
    token=$(jq -r '.nextPageToken // ""' <<<"$OUT")
    [ -n "$token" ] || break
  done
  same "$seen" 5 "containers on all pages"
  check 0 python_call List '{"filter": {"labels": {"odd": "1"}}}'
  same "$(jq '.containers | length' <<<"$OUT")" 3 "containers with label odd=1"
  check 0 python_call List '{"filter": {"name": "page-2", "states": ["CONTAINER_STATE_CREATED"]}}'
  same "$(jq '.containers | length' <<<"$OUT")" 1 "containers by name and state"
  for i in 1 2 3 4 5; do python_call Remove "{\"container\": \"page-$i\"}" >/dev/null; done
}

test_watch_goes_on_from_a_list() {
  check 0 python_call List
  local revision
  revision=$(jq -r .revision <<<"$OUT")
  python_call CreateContainer "$(request watched true)" >/dev/null
  python_call Remove '{"container": "watched"}' >/dev/null
  "$CLIENT" --responses 1 --deadline 30 "$NODECTL_ADDRESS" call "$SERVICE/Watch" \
    "{\"fromRevision\": \"$((revision + 1))\"}" >"$WORK/watched"
  cat "$WORK/watched" >&2
  matches "$(jq -r '.events[]?.type' "$WORK/watched" | tr '\n' ' ')" 'CREATED .*REMOVED' "events since the list"
  same "$(jq -s '[.[].events[]?.revision | tonumber] | . == (. | unique) and .[0] == '"$((revision + 1))" "$WORK/watched")" true \
    "revisions that follow on the list's, in order"
}

test_too_large_a_message_is_answered_by_grpc() {
  local request
  request=$WORK/big.py
  cat >"$request" <<'PYTHON'
import sys
import grpc
channel = grpc.insecure_channel(sys.argv[1], [("grpc.max_send_message_length", -1)])
call = channel.unary_unary("/node.v1.ContainerService/Get")
for body in (b"\x0a" + b"\xff\xff\xff\x7f" + b"x" * (40 << 20), b"\xff\xff\xff", b"\x0a\x02\xff\xfe"):
    try:
        call(body, timeout=20)
        print("OK")
    except grpc.RpcError as error:
        print(error.code().name)
PYTHON
  check 0 /usr/bin/python3 "$request" "$NODECTL_ADDRESS"
  same "$(sed -n 1p <<<"$OUT")" RESOURCE_EXHAUSTED "answer to 40 MiB"
  same "$(sed -n 2p <<<"$OUT")" UNIMPLEMENTED "answer to malformed protobuf"
  same "$(sed -n 3p <<<"$OUT")" UNIMPLEMENTED "answer to text that is not UTF-8"
  check 0 nodectl version
}

buf_call() { "$BUF" curl --protocol grpc --http2-prior-knowledge --reflect -d "$2" "http://127.0.0.1:$PORT/$SERVICE/$1"; }

test_buf_runs_a_container_and_reads_its_log() {
  [ -x "$BUF" ] || skip "buf is not there: npm is missing or its registry cannot be reached"
  check 0 buf_call RunContainer "$(request by-buf 'echo hello from buf')"
  matches "$(jq -r .container.id <<<"$OUT")" '^[0-9a-f]{64}$' id
  check 0 buf_call Wait '{"container": "by-buf"}'
  check 0 buf_call Logs '{"container": "by-buf"}'
  same "$(log_lines <<<"$OUT")" "hello from buf" log
  check 0 buf_call Remove '{"container": "by-buf"}'
}

test_buf_over_the_unix_socket() {
  [ -x "$BUF" ] || skip "buf is not there: npm is missing or its registry cannot be reached"
  check 0 "$BUF" curl --protocol grpc --http2-prior-knowledge --reflect --unix-socket "$SOCKET" -d '{}' \
    http://localhost/node.v1.NodeService/GetInfo
  same "$(jq -r .pid <<<"$OUT")" "$(noded_pid)" pid
}

run_tests
