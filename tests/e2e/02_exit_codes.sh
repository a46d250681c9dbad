#!/usr/bin/env bash
# The exit status of run and exec is the process's own; 125 is the agent's, 126 and 127 the command's.
source "$(dirname "$0")/noded.bash"
start_noded

test_of_the_process() {
  local code
  for code in 0 1 42 125 255; do
    check "$code" nodectl run --rm --rootfs "$ROOTFS" /bin/sh -c "exit $code"
  done
}

test_of_a_signal_is_128_and_its_number() {
  check 137 nodectl run --rm --rootfs "$ROOTFS" --init /bin/sh -c 'kill -KILL $$'
  check 143 nodectl run --rm --rootfs "$ROOTFS" --init /bin/sh -c 'kill -TERM $$'
}

test_of_a_missing_command_is_127() {
  check 127 nodectl run --rm --rootfs "$ROOTFS" no-such-command
  matches "$ERR" no-such-command message
  check 127 nodectl run --rm --rootfs "$ROOTFS" /no/such/command
  check 0 nodectl ps -a -q
  same "$OUT" "" "containers that are left"
}

test_of_a_command_that_is_not_executable_is_126() {
  check 126 nodectl run --rm --rootfs "$ROOTFS" /etc/passwd
  check 126 nodectl run --rm --rootfs "$ROOTFS" /etc
  check 0 nodectl ps -a -q
  same "$OUT" "" "containers that are left"
}

test_of_the_agent_is_125() {
  check 125 nodectl run --rm --rootfs /no/such/directory /bin/true
  check 125 nodectl run --rm --rootfs "$ROOTFS" -u nobody-of-that-name /bin/true
  matches "$ERR" nobody-of-that-name message
  check 125 nodectl exec no-such-container /bin/true
  check 125 nodectl -a "unix://$WORK/nobody-listens" run --rm --rootfs "$ROOTFS" /bin/true
  # A command that runs nothing has no status to keep clear of.
  check 1 nodectl -a "unix://$WORK/nobody-listens" ps
}

test_of_exec() {
  check 0 nodectl run -d --name x --rootfs "$ROOTFS" /bin/sleep 1000
  check 9 nodectl exec x /bin/sh -c 'exit 9'
  check 137 nodectl exec x /bin/sh -c 'kill -KILL $$'
  check 127 nodectl exec x no-such-command
  check 126 nodectl exec x /etc/passwd
  check 125 nodectl exec -u nobody-of-that-name x /bin/true
  check 0 nodectl rm -f x
}

test_of_usage_errors() {
  local status=0
  command nodectl run --no-such-flag >/dev/null 2>&1 || status=$?
  [ "$status" -ne 0 ] || fail "an unknown flag was accepted"
  status=0
  command nodectl >/dev/null 2>&1 || status=$?
  say "nodectl alone ends with $status"
}

run_tests
