#!/usr/bin/env bash
# Logs: follow, tail, since, until, streams, cursors; across rotation and restart; every byte kept.
source "$(dirname "$0")/noded.bash"
CLIENT="$E2E_DIR/grpc_client.py"
start_noded

call() { "$CLIENT" "$NODECTL_ADDRESS" call "node.v1.ContainerService/$1" "${@:2}"; }
run_with_log() { # run_with_log NAME LOG_OPTIONS_JSON SCRIPT
  call RunContainer "$(jq -nc --arg root "$ROOTFS" --arg script "$3" --argjson log "$2" \
    "{spec: {name: \"$1\", root: {hostDirectory: \$root}, log: \$log, process: {argv: [\"/bin/sh\", \"-c\", \$script]}}}")" >/dev/null
}

test_follow_ends_with_the_last_line() {
  local round
  for round in 1 2 3 4 5; do
    check 0 nodectl run -d --name "f$round" --rootfs "$ROOTFS" /bin/sh -c 'for i in $(seq 50); do echo $i; done; sleep 0.2; echo last'
    check 0 nodectl logs -f "f$round"
    same "$OUT" "$(seq 50)"$'\nlast' "followed log"
    check 0 nodectl rm "f$round"
  done
}

test_tail() {
  check 0 nodectl run --name tailed --rootfs "$ROOTFS" seq 1000
  check 0 nodectl logs --tail 3 tailed
  same "$OUT" $'998\n999\n1000' "last three"
  check 0 nodectl logs --tail 0 tailed
  same "$OUT" "" "last none"
  check 0 nodectl logs tailed
  same "$OUT" "$(seq 1000)" all
}

test_since_and_until() {
  check 0 nodectl run -d --name timed --rootfs "$ROOTFS" /bin/sh -c 'echo early; while [ ! -e /tmp/go ]; do sleep 0.02; done; echo late'
  eventually 10 bash -c 'nodectl logs timed | grep -q early'
  sleep 0.1
  local between
  between=$(date -u +%Y-%m-%dT%H:%M:%S.%NZ)
  check 0 nodectl exec timed touch /tmp/go
  check 0 nodectl wait timed
  check 0 call Logs "{\"container\": \"timed\", \"since\": \"$between\"}"
  same "$(jq -r '.entries[].line' <<<"$OUT" | base64 -d)" late "since"
  check 0 call Logs "{\"container\": \"timed\", \"until\": \"$between\"}"
  same "$(jq -r '.entries[].line' <<<"$OUT" | base64 -d)" early "until"
}

test_streams_can_be_chosen() {
  check 0 nodectl run --name both --rootfs "$ROOTFS" /bin/sh -c 'echo out; echo err >&2'
  check 0 call Logs '{"container": "both", "stream": "LOG_STREAM_STDERR"}'
  same "$(jq -r '.entries[].line' <<<"$OUT" | base64 -d)" err "standard error alone"
}

test_long_binary_and_unfinished_lines_are_exact() {
  check 0 nodectl run -d --name raw --rootfs "$ROOTFS" /bin/sh -c \
    'dd if=/dev/urandom bs=1024 count=1024 2>/dev/null | tr "\n" "x" | tee /tmp/long; echo; printf "\000\001\377\r\n"; printf unfinished; while [ ! -e /tmp/go ]; do sleep 0.05; done'
  eventually 20 bash -c 'nodectl exec raw test -s /tmp/long'
  eventually 20 bash -c 'nodectl exec raw sh -c "[ \$(wc -c < /tmp/long) -eq 1048576 ]"'
  nodectl exec raw cat /tmp/long >"$WORK/long"
  check 0 nodectl exec raw touch /tmp/go
  check 0 nodectl wait raw
  nodectl logs raw >"$WORK/logged"
  { cat "$WORK/long"; printf '\n\000\001\377\r\nunfinished'; } >"$WORK/written"
  cmp "$WORK/written" "$WORK/logged" || fail "the log is not what was written ($(wc -c <"$WORK/logged") of $(wc -c <"$WORK/written") bytes)"
}

test_rotation_bounds_the_disk_and_keeps_the_newest() {
  run_with_log rotated '{"maxFileBytes": 65536, "maxFiles": 3}' 'seq 100000'
  check 0 nodectl wait rotated
  local directory
  directory=$(field rotated .log_directory)
  ls -l "$directory" >&2
  at_most "$(find "$directory" -type f -name '*log*' | wc -l)" 3 "log files"
  at_most "$(du -sb "$directory" | cut -f1)" 270000 "bytes of log"
  nodectl logs rotated >"$WORK/rotated"
  same "$(tail -1 "$WORK/rotated")" 100000 "newest line"
  same "$(head -c 300000 "$WORK/rotated" | tail -n +1 | awk 'NR > 1 && $1 != last + 1 {print "gap at", $1; exit} {last = $1}')" "" "gaps"
}

test_cursor_resumes_across_rotation_without_loss_or_repetition() {
  run_with_log cursor '{"maxFileBytes": 65536, "maxFiles": 50}' 'i=0; while [ $i -lt 20000 ]; do i=$((i + 1)); echo $i; done'
  : >"$WORK/collected"
  local cursor='' got rounds=0
  while true; do
    "$CLIENT" --responses 1 "$NODECTL_ADDRESS" call node.v1.ContainerService/Logs \
      "{\"container\": \"cursor\", \"cursor\": \"$cursor\"}" >"$WORK/page"
    got=$(jq -r '.entries | length' "$WORK/page")
    if [ -n "$got" ] && [ "$got" -gt 0 ]; then
      jq -r '.entries[].line' "$WORK/page" | base64 -di --wrap=0 2>/dev/null >/dev/null || true
      jq -r '.entries[] | .line | @base64d' "$WORK/page" >>"$WORK/collected"
      cursor=$(jq -r '.entries[-1].cursor' "$WORK/page")
    elif state_is cursor EXITED; then
      break
    fi
    rounds=$((rounds + 1))
    at_most "$rounds" 5000 "rounds"
  done
  cmp <(seq 20000) "$WORK/collected" || fail "lines were lost or repeated"
}

test_cursor_holds_over_a_restart() {
  check 0 nodectl run -d --name over --rootfs "$ROOTFS" /bin/sh -c 'seq 100; while [ ! -e /tmp/go ]; do sleep 0.02; done; seq 101 200'
  eventually 10 bash -c 'nodectl logs over | grep -qx 100'
  check 0 call Logs '{"container": "over"}'
  jq -r '.entries[] | .line | @base64d' <<<"$OUT" >"$WORK/over"
  local cursor
  cursor=$(jq -r '.entries[-1].cursor' <<<"$OUT" | tail -1)
  kill_noded KILL
  start_noded
  check 0 nodectl exec over touch /tmp/go
  check 0 nodectl wait over
  check 0 call Logs "{\"container\": \"over\", \"cursor\": \"$cursor\"}"
  jq -r '.entries[] | .line | @base64d' <<<"$OUT" >>"$WORK/over"
  cmp <(seq 200) "$WORK/over" || fail "lines were lost or repeated"
}

test_files_are_in_the_format_of_cri() {
  check 0 nodectl run --name cri --rootfs "$ROOTFS" /bin/sh -c 'echo whole; printf part'
  local file
  file=$(find "$(field cri .log_directory)" -type f -name '*log*' | head -1)
  cat "$file" >&2
  grep -qE '^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{9}(Z|[+-][0-9]{2}:[0-9]{2}) stdout F whole$' "$file" ||
    fail "no whole line as CRI has it"
  grep -qE ' stdout P part$' "$file" || fail "no partial line as CRI has it"
}

test_a_bad_cursor_is_refused() {
  check 1 call Logs '{"container": "cri", "cursor": "nonsense"}'
  same "$(jq -r .code <<<"$OUT")" INVALID_ARGUMENT code
}

run_tests
