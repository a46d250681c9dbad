#!/usr/bin/env bash
# Streams under load: bytes exact both ways, backpressure, clients that go away, clients that are stuck.
# E2E_FULL=1 sends 1 GiB instead of 256 MiB.
source "$(dirname "$0")/noded.bash"
CLIENT="$E2E_DIR/grpc_client.py"
MEGABYTES=256
[ "${E2E_FULL:-}" != 1 ] || MEGABYTES=1024
start_noded

# The same bytes each time, which do not compress into a repetition that a lost block would hide in.
stream() { openssl enc -aes-128-ctr -K 00000000000000000000000000000000 -iv 00000000000000000000000000000000 -in /dev/zero 2>/dev/null | head -c "$(($1 << 20))" || true; }
rss_kb() { awk '/VmRSS/ {print $2}' "/proc/$(noded_pid)/status"; }

test_through_exec_cat_byte_for_byte() {
  check 0 nodectl run -d --name pipe --rootfs "$ROOTFS" /bin/sleep 10000
  local sent received begin=$SECONDS
  sent=$(stream "$MEGABYTES" | sha256sum)
  received=$(stream "$MEGABYTES" | command nodectl exec -i pipe cat | sha256sum)
  same "$received" "$sent" "checksum of $MEGABYTES MiB through cat"
  say "$MEGABYTES MiB in $((SECONDS - begin)) s"
}

test_backpressure_keeps_the_daemon_small() {
  # Nobody reads: yes must stop, and neither daemon nor supervisor may collect what it writes.
  mkfifo "$WORK/unread"
  command nodectl exec pipe yes >"$WORK/unread" 2>/dev/null &
  local client=$! before
  exec 8<"$WORK/unread"
  before=$(rss_kb)
  sleep 1.5
  at_most "$(($(rss_kb) - before))" 16384 "growth of noded in kB"
  # TERM would be handed on to the process, and what it has written would still wait for a reader.
  kill -KILL "$client"
  wait "$client" || true
  exec 8<&-
  check 0 nodectl exec pipe /bin/true
}

test_half_close_ends_cat() {
  check 0 bash -c 'printf abc | nodectl exec -i pipe cat'
  same "$OUT" abc output
}

test_output_after_end_of_input() {
  check 0 bash -c 'printf "b\na\n" | nodectl exec -i pipe sh -c "sort; sleep 0.2; echo end"'
  same "$OUT" $'a\nb\nend' output
}

exec_runs() { command nodectl top pipe | grep -q "$1"; }
exec_ended() { ! exec_runs "$1"; }

test_a_client_that_goes_away_ends_its_process() {
  command nodectl exec pipe sleep 4321 &
  local client=$!
  eventually 10 exec_runs 'sleep 4321'
  kill -KILL "$client"
  wait "$client" || true
  eventually 10 exec_ended 'sleep 4321'
}

test_term_first_then_kill() {
  command nodectl exec pipe sh -c 'trap "" TERM; while true; do sleep 0.1; done; echo 8765' &
  local client=$!
  eventually 10 exec_runs 8765
  kill -KILL "$client"
  wait "$client" || true
  eventually 15 exec_ended 8765
}

test_a_detached_exec_stays() {
  check 0 nodectl exec -d pipe sleep 5432
  eventually 10 exec_runs 'sleep 5432'
}

test_many_execs_at_once() {
  local i
  for i in $(seq 40); do
    command nodectl exec pipe sh -c "echo $i; exit $i" >"$WORK/many.$i" &
    pids[i]=$!
  done
  for i in $(seq 40); do
    local status=0
    wait "${pids[i]}" || status=$?
    same "$status" "$i" "exit status of exec $i"
    same "$(cat "$WORK/many.$i")" "$i" "output of exec $i"
  done
}

test_time_limit() {
  check 0 "$CLIENT" "$NODECTL_ADDRESS" call node.v1.ContainerService/Exec \
    '{"start": {"container": "pipe", "process": {"argv": ["sleep", "1000"]}, "timeLimit": "0.3s"}}'
  same "$(tail -1 <<<"$OUT" | jq -r .exited.timedOut)" true timedOut
  same "$(tail -1 <<<"$OUT" | jq -r .exited.status.signal)" 9 signal
}

test_several_attached_clients_see_the_same() {
  check 0 nodectl create --name show --rootfs "$ROOTFS" /bin/sh -c 'seq 5000; echo end'
  local i
  for i in 1 2 3; do
    command nodectl attach show >"$WORK/show.$i" 2>/dev/null &
  done
  sleep 0.5
  check 0 nodectl start show
  wait
  for i in 1 2 3; do
    cmp <(seq 5000; echo end) "$WORK/show.$i" || fail "client $i saw something else"
  done
  check 0 nodectl rm show
}

test_a_stuck_attached_client_holds_up_nobody() {
  check 0 nodectl create --name busy --rootfs "$ROOTFS" /bin/sh -c 'head -c 50000000 /dev/zero | tr "\0" "x" | fold -w 100; echo; echo finished'
  mkfifo "$WORK/stuck"
  command nodectl attach busy >"$WORK/stuck" 2>/dev/null &
  local client=$!
  exec 7<"$WORK/stuck"
  sleep 0.3
  check 0 nodectl start busy
  check 0 timeout 60 nodectl wait busy
  same "$OUT" 0 "exit status"
  # TERM would be handed on to the process, and what it has written would still wait for a reader.
  kill -KILL "$client"
  wait "$client" || true
  exec 7<&-
  check 0 nodectl logs --tail 1 busy
  same "$OUT" finished "last line of the log"
  check 0 nodectl rm busy
}

test_descriptors_do_not_leak() {
  local before i
  before=$(descriptors)
  for i in $(seq 30); do
    command nodectl exec pipe /bin/true
    : "$i"
  done
  at_most "$(descriptors)" "$((before + 3))" "descriptors after 30 execs"
}

run_tests
