#!/usr/bin/env bash
# run -it and exec -it in a real terminal: raw mode, resize, signals by key, exit status.
source "$(dirname "$0")/noded.bash"
command -v tmux >/dev/null || { echo "$SCRIPT: tmux is missing" >&2; exit 1; }

TMUX_SOCKET=$WORK/tmux.sock
screen() { tmux -S "$TMUX_SOCKET" "$@"; }
shown() { screen capture-pane -p -t t; }
shows() { shown | grep -qE -- "$1"; }
type_line() { screen send-keys -t t -l -- "$1" && screen send-keys -t t Enter; }
open_terminal() {
  screen -f /dev/null new-session -d -s t -x 100 -y 30 "env PS1='host# ' NODECTL_ADDRESS=$NODECTL_ADDRESS PATH=$PATH bash --norc"
  eventually 10 shows 'host#'
}
# The new size and the keys take different ways into the container, so it is asked until it is there.
has_size() { type_line 'stty size' && shows "^$1"; }
close_terminal() { screen kill-server 2>/dev/null || true; }
expect_screen() { eventually 10 shows "$1" || { shown >&2; fail "the terminal does not show '$1'"; }; }

start_noded
trap 'close_terminal; clean_up' EXIT

test_run_it_is_a_terminal() {
  open_terminal
  type_line "nodectl run -it --rm --name tty --rootfs $ROOTFS /bin/sh"
  expect_screen '(/ #|\$) *$'
  type_line 'tty; echo $TERM-set; stty size'
  expect_screen '^/dev/(pts/0|console)'
  expect_screen '^30 100'
  expect_screen '[a-z].*-set'
}

test_the_window_is_resized() {
  screen resize-window -t t -x 120 -y 40
  eventually 10 has_size '40 120'
}

test_keys_reach_the_process_raw() {
  type_line 'sleep 1000; echo slept'
  # The shell starts its child at once or later; ^C is repeated until it has been seen.
  interrupted() { screen send-keys -t t C-c; shows '\^C' ; }
  eventually 10 interrupted
  type_line 'echo interrupted-$((40 + 2))'
  expect_screen 'interrupted-42'
  screen send-keys -t t -l 'echo abX'
  screen send-keys -t t BSpace
  type_line 'c'
  expect_screen '^abc'
}

test_the_exit_status_comes_back() {
  type_line 'exit 42'
  expect_screen '^host# *$'
  type_line 'echo status=$?'
  expect_screen 'status=42'
  # Left raw, the terminal would not echo.
  type_line 'stty -a | grep -o " echo "; stty -a | grep -o icanon'
  expect_screen '^ echo'
  expect_screen '^icanon'
}

test_exec_it() {
  check 0 nodectl run -d --name back --rootfs "$ROOTFS" /bin/sleep 1000
  screen clear-history -t t
  type_line 'clear; nodectl exec -it back /bin/sh; echo exec=$?'
  expect_screen '(/ #|\$) *$'
  screen resize-window -t t -x 90 -y 25
  eventually 10 has_size '25 90'
  type_line 'exit 5'
  expect_screen 'exec=5'
  check 0 nodectl rm -f back
}

test_attach_to_a_terminal() {
  check 0 nodectl run -d -i -t --name shell --rootfs "$ROOTFS" /bin/sh
  type_line 'clear; nodectl attach shell; echo attach=$?'
  type_line 'echo attached-$((1 + 1))'
  expect_screen 'attached-2'
  type_line 'exit 6'
  expect_screen 'attach=6'
  check 0 nodectl rm -f shell
}

run_tests
