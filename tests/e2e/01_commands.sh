#!/usr/bin/env bash
# Each nodectl command once, as the README's tour types it.
source "$(dirname "$0")/noded.bash"
start_noded

test_version_and_info() {
  check 0 nodectl version
  matches "$OUT" '0\.1\.0' version
  check 0 nodectl info
  matches "$OUT" "$(uname -r)" kernel
  check 0 nodectl info -o json
  same "$(jq -r .kernel_version <<<"$OUT")" "$(uname -r)" kernel_version
}

test_run_in_the_foreground_prints_and_removes() {
  check 0 nodectl run --rm --rootfs "$ROOTFS" /bin/echo hello world
  same "$OUT" "hello world" output
  check 0 nodectl ps -a -q
  same "$OUT" "" "list after --rm"
}

test_run_separates_stdout_and_stderr() {
  check 0 nodectl run --rm --rootfs "$ROOTFS" /bin/sh -c 'echo out; echo err >&2'
  same "$OUT" out stdout
  same "$ERR" err stderr
}

test_run_detached_is_listed() {
  check 0 nodectl run -d --name web --rootfs "$ROOTFS" /bin/sleep 1000
  matches "$OUT" '^[0-9a-f]{64}$' id
  local id=$OUT
  check 0 nodectl ps
  matches "$OUT" web ps
  matches "$OUT" "${id:0:12}" ps
  check 0 nodectl ps -q
  matches "$OUT" "^${id:0:12}" "ps -q"
  check 0 nodectl inspect web
  same "$(field web .id)" "$id" "inspected id"
  same "$(field "${id:0:8}" .name)" web "name found by a prefix of the id"
  state_is web RUNNING
}

test_exec_in_a_running_container() {
  check 0 nodectl exec web /bin/hostname
  same "$OUT" "$(field web .id | cut -c1-12)" hostname
  check 0 nodectl exec -w /tmp -e A=1 -e B=two web /bin/sh -c 'pwd; echo $A $B'
  same "$OUT" $'/tmp\n1 two' "directory and environment"
  check 0 nodectl exec -u app web id
  matches "$OUT" 'uid=1000\(app\) gid=1000\(app\) groups=.*29\(audio\)' user
  check 0 nodectl exec -u 1234:4321 web id
  matches "$OUT" 'uid=1234 gid=4321' "numeric user"
  check 0 bash -c 'printf "one\ntwo\n" | nodectl exec -i web wc -l'
  same "${OUT// /}" 2 "lines counted from standard input"
}

test_exec_detached_goes_on() {
  check 0 nodectl exec -d web /bin/sh -c 'echo ready > /tmp/detached; exec sleep 1000'
  eventually 10 nodectl exec web grep -q ready /tmp/detached
  check 0 nodectl top web
  matches "$OUT" 'sleep 1000' top
}

test_stats_once() {
  check 0 nodectl stats --no-stream web
  matches "$OUT" web stats
  check 0 nodectl stats --no-stream -o json web
  [ "$(jq -rs '[.. | .usage_bytes? // empty] | first | tonumber' <<<"$OUT")" -gt 0 ] || fail "no memory in use"
}

test_limits_are_seen_inside() {
  check 0 nodectl run -d --name limited -m 64m --cpus 0.5 --pids-limit 20 --rootfs "$ROOTFS" /bin/sleep 1000
  check 0 nodectl stats --no-stream -o json limited
  same "$(jq -rs '[.. | .limit_bytes? // empty] | first' <<<"$OUT")" 67108864 limit_bytes
  same "$(jq -rs '[.. | .pids? // empty] | first | .limit' <<<"$OUT")" 20 "pids limit"
  # 30 sleeps do not fit into 20 tasks.
  check 0 nodectl exec limited /bin/sh -c '(for i in $(seq 30); do sleep 100 & done) 2>&1; true'
  matches "$OUT$ERR" "can't fork|Resource temporarily unavailable" "forking over the limit"
  check 0 nodectl rm -f limited
}

test_create_start_wait() {
  check 0 nodectl create --name job --rootfs "$ROOTFS" /bin/sh -c 'exit 7'
  state_is job CREATED
  check 0 nodectl start job
  check 0 nodectl wait job
  same "$OUT" 7 "what wait prints"
  state_is job EXITED
  same "$(field job .exit_status.code)" 7 "exit code"
  same "$(field job .exit_reason)" EXIT_REASON_COMPLETED reason
  check 0 nodectl rm job
}

test_attach_before_start_misses_nothing() {
  check 0 nodectl create -i --name early --rootfs "$ROOTFS" /bin/sh -c 'echo first; cat'
  (printf 'second\n' | nodectl attach early >"$WORK/attached" 2>&1) &
  local attach=$!
  # An attached client is told nothing before the start, so there is nothing to wait for but its connection.
  sleep 0.3
  check 0 nodectl start early
  nodectl exec early true || true
  eventually 10 grep -q first "$WORK/attached"
  eventually 10 grep -q second "$WORK/attached"
  check 0 nodectl rm -f early
  wait "$attach" || true
}

test_logs_of_a_running_container() {
  check 0 nodectl run -d --name talker --rootfs "$ROOTFS" /bin/sh -c 'for i in 1 2 3; do echo line $i; done; echo oops >&2; sleep 1000'
  eventually 10 bash -c 'nodectl logs talker 2>&1 | grep -q oops'
  check 0 nodectl logs talker
  same "$OUT" $'line 1\nline 2\nline 3' stdout
  same "$ERR" oops stderr
  check 0 nodectl logs --tail 1 talker
  same "$OUT$ERR" oops "last line"
  check 0 nodectl logs -t talker
  matches "$OUT" '^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+Z line 1' timestamps
}

test_kill_sends_a_signal() {
  check 0 nodectl run -d --name trap --rootfs "$ROOTFS" /bin/sh -c 'trap "echo caught; exit 3" USR1; echo ready; while true; do sleep 0.05; done'
  eventually 10 bash -c 'nodectl logs trap | grep -q ready'
  check 0 nodectl kill -s USR1 trap
  check 0 nodectl wait trap
  same "$OUT" 3 "exit code"
  check 0 nodectl logs trap
  matches "$OUT" caught log
}

test_stop_is_graceful_then_forceful() {
  check 0 nodectl run -d --name polite --rootfs "$ROOTFS" /bin/sh -c 'trap "exit 0" TERM; echo ready; while true; do sleep 0.05; done'
  eventually 10 bash -c 'nodectl logs polite | grep -q ready'
  check 0 nodectl stop polite
  same "$(field polite .exit_status.code)" 0 "code of one that obeyed"
  check 0 nodectl run -d --name stubborn --rootfs "$ROOTFS" /bin/sh -c 'trap "" TERM; while true; do sleep 0.05; done'
  check 0 nodectl stop -t 1 stubborn
  same "$(field stubborn .exit_status.signal)" 9 "signal of one that did not"
  same "$(field stubborn .exit_reason)" EXIT_REASON_STOPPED reason
  check 0 nodectl stop stubborn
}

test_events_are_told() {
  nodectl events -o json >"$WORK/events" 2>&1 &
  local events=$!
  eventually 10 test -s "$WORK/events"
  check 0 nodectl run --rm --name noisy --rootfs "$ROOTFS" /bin/true
  eventually 10 grep -q REMOVED "$WORK/events"
  kill "$events"
  wait "$events" || true
  cat "$WORK/events" >&2
  for kind in CREATED STARTED EXITED REMOVED; do
    grep -q "$kind" "$WORK/events" || fail "no $kind event"
  done
}

test_root_is_writable_and_the_host_never_written() {
  check 0 nodectl exec web /bin/sh -c 'echo x > /etc/written; cat /etc/written'
  [ ! -e "$ROOTFS/etc/written" ] || fail "the host's directory was written"
  check 0 nodectl run --rm --read-only --rootfs "$ROOTFS" /bin/sh -c 'echo x > /etc/written || echo refused'
  matches "$OUT" refused "write to a read-only root"
}

test_volumes() {
  mkdir -p "$WORK/data"
  echo from-host >"$WORK/data/file"
  check 0 nodectl run --rm --rootfs "$ROOTFS" -v "$WORK/data:/data" /bin/sh -c 'cat /data/file; echo from-inside > /data/back'
  same "$OUT" from-host "file of the host"
  same "$(cat "$WORK/data/back")" from-inside "file written inside"
  check 0 nodectl run --rm --rootfs "$ROOTFS" -v "$WORK/data:/data:ro" /bin/sh -c 'echo x > /data/no 2>&1 || echo refused'
  matches "$OUT" refused "write through :ro"
  check 0 nodectl run --rm --rootfs "$ROOTFS" -v "$WORK/made:/made" /bin/sh -c 'test -d /made && echo there'
  same "$OUT" there "missing source, made as -v does"
  check 0 nodectl run --rm --rootfs "$ROOTFS" --tmpfs /scratch:size=1m /bin/sh -c 'mount | grep /scratch'
  matches "$OUT" 'tmpfs on /scratch .*size=1024k' tmpfs
}

test_network_and_hostname() {
  check 0 nodectl run --rm --hostname box --rootfs "$ROOTFS" /bin/sh -c 'hostname; cat /etc/hostname; grep -c box /etc/hosts; ip -o link'
  matches "$OUT" $'^box\nbox\n1\n' hostname
  matches "$OUT" 'lo: <LOOPBACK,UP' "loopback"
  [ "$(grep -c '<' <<<"$OUT")" -eq 1 ] || fail "more than loopback in a private network"
  check 0 nodectl run --rm --net host --rootfs "$ROOTFS" readlink /proc/self/ns/net
  same "$OUT" "$(readlink /proc/self/ns/net)" "network namespace with --net host"
}

test_init_reaps_orphans() {
  check 0 nodectl run -d --init --name reaper --rootfs "$ROOTFS" /bin/sh -c '(sleep 0.1 &) ; exec sleep 1000'
  zombies_gone() { ! nodectl top reaper 2>&1 | grep -qiE 'defunct| Z '; }
  sleep 0.5
  eventually 10 zombies_gone
  nodectl exec reaper cat /proc/1/comm >&2
  check 0 nodectl exec reaper /bin/sh -c 'kill -0 1; readlink /proc/1/exe || true; ps'
  check 0 nodectl stop -t 1 reaper
}

test_remove() {
  check 1 nodectl rm web
  matches "$ERR" running "why a running container is not removed"
  check 0 nodectl rm -f web
  check 1 nodectl inspect web
  matches "$ERR" '[Nn]ot found|no such container|NOT_FOUND|no container' "unknown container"
}

run_tests
