# shellcheck shell=bash
# What every e2e script stands on: a daemon of its own, checks that print what was typed and what came
# back, and the proof that nothing is left behind. Sourced, never run.
#
# A script defines functions test_<what it shows> and ends with `run_tests`, which runs them in the order of
# their definition, each in a subshell with -e, against one daemon. Output is shown for a failure only, or for all
# with VERBOSE=1. `skip REASON` ends a test as skipped. The last line is "N passed, N failed, N skipped".
set -euo pipefail

E2E_DIR=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
REPO=$(cd "$E2E_DIR/../.." && pwd)
BIN=${NODED_BIN:-$REPO/build/release/bin}
SCRIPT=$(basename "$0" .sh)

[ "$(id -u)" -eq 0 ] || { echo "$SCRIPT: must be root" >&2; exit 1; }
for program in noded nodectl node-shim; do
  [ -x "$BIN/$program" ] || { echo "$SCRIPT: $BIN/$program is missing: build first" >&2; exit 1; }
done

# sun_path holds 108 bytes, so the directory's name is short.
WORK=$(mktemp -d /tmp/nde2e.XXXXXX)
ROOTFS=$WORK/rootfs
ROOT=$WORK/root
STATE=$WORK/state
SOCKET=$WORK/noded.sock
CGROUP=/noded-e2e-$$
NODED_LOG=$WORK/noded.log
PID_FILE=$WORK/noded.pid
export NODECTL_ADDRESS=unix://$SOCKET
export PATH=$BIN:$PATH

# --- the daemon ----------------------------------------------------------------------------------

noded_pid() { cat "$PID_FILE"; }

# start_noded [flag…]: returns when it answers. EXTRA_LISTEN flags may be given.
start_noded() {
  "$BIN/noded" --listen "unix://$SOCKET" --root "$ROOT" --state-dir "$STATE" \
    --cgroup-parent "$CGROUP" "$@" >>"$NODED_LOG" 2>&1 </dev/null &
  echo $! >"$PID_FILE"
  disown $!
  eventually 30 answers || { echo "noded did not answer:"; tail -20 "$NODED_LOG"; return 1; }
}
answers() {
  kill -0 "$(noded_pid)" 2>/dev/null || { echo "noded has ended"; return 2; }
  command nodectl version >/dev/null 2>&1
}
gone() { ! kill -0 "$1" 2>/dev/null; }

# kill_noded [SIGNAL]: ends the daemon, by default as a crash does, and waits for its end.
kill_noded() {
  local pid
  pid=$(noded_pid)
  kill "-${1:-KILL}" "$pid" 2>/dev/null || true
  eventually 30 gone "$pid"
}

# --- what is typed -------------------------------------------------------------------------------

say() { printf '%s\n' "$*" >&2; }
fail() { say "FAILED: $*"; exit 1; }
skip() { say "SKIPPED: $*"; exit 77; }

# nodectl is the shipped one; what is typed goes to the test's log.
nodectl() {
  [ "${TYPED:-}" = 1 ] || say "\$ nodectl $*"
  command nodectl "$@"
}

# check STATUS COMMAND…: runs it, leaves its output in OUT and ERR, and fails unless it exits with STATUS.
check() {
  local expected=$1 status=0
  shift
  say "\$ $*"
  local out err
  out=$(mktemp "$WORK/out.XXXXXX") err=$(mktemp "$WORK/err.XXXXXX")
  TYPED=1 "$@" >"$out" 2>"$err" || status=$?
  # shellcheck disable=SC2034  # for the script that asks
  OUT=$(tr -d '\0' <"$out") ERR=$(tr -d '\0' <"$err")
  head -c 4000 "$out" >&2
  head -c 4000 "$err" >&2
  rm -f "$out" "$err"
  [ "$status" -eq "$expected" ] || fail "exit status $status, expected $expected: $*"
}
same() { [ "$1" = "$2" ] || fail "${3:-value} is '$1', expected '$2'"; }
matches() { [[ $1 =~ $2 ]] || fail "${3:-value} is '$1', expected a match of '$2'"; }
at_most() { [ "$1" -le "$2" ] || fail "${3:-value} is $1, expected at most $2"; }

# eventually SECONDS COMMAND…: runs it until it succeeds. Status 2 of the command gives up at once. A slow machine gets
# NODED_TEST_TIME_FACTOR times as long.
eventually() {
  local end=$((SECONDS + $1 * ${NODED_TEST_TIME_FACTOR:-1})) status
  shift
  while true; do
    status=0
    "$@" || status=$?
    [ "$status" -ne 0 ] || return 0
    if [ "$status" -eq 2 ] || [ "$SECONDS" -gt "$end" ]; then
      break
    fi
    sleep 0.02
  done
  say "never came true: $*"
  return 1
}
# field ID PATH: a field of a container as JSON names it, "" when absent.
field() { command nodectl inspect -o json "$1" | jq -r "(if type == \"array\" then .[0] else . end) | (.container // .) | $2 // \"\""; }
state_is() { [ "$(field "$1" .state)" = "CONTAINER_STATE_$2" ]; }
run_busybox() { nodectl run --rootfs "$ROOTFS" "$@"; }

# --- what is left behind -------------------------------------------------------------------------

mounts() { cut -d' ' -f3- /proc/self/mountinfo; }
cgroups() { find /sys/fs/cgroup -depth -type d -path "*$CGROUP/*" 2>/dev/null; }
# Processes that were started with this script's directories, or live in its cgroups.
processes() {
  local pid
  # Two greps for all of them: two for each were seconds on a slow machine.
  {
    grep -lsE -- "${CGROUP}(/|\$)" /proc/[0-9]*/cgroup || true
    grep -lsa -- "$STATE" /proc/[0-9]*/cmdline || true
  } | sed 's|^/proc/\([0-9]*\)/.*|\1|' | sort -un | while read -r pid; do
    # A grep names what it looks for itself.
    [ "$pid" != "${1:-}" ] && [ -d "/proc/$pid" ] || continue
    echo "$pid $(tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null)"
  done
}
# Namespaces held by the daemon itself: none of its containers' may outlive them in it.
held_namespaces() { find "/proc/$1/fd" -lname '*:\[*' -printf '%l\n' 2>/dev/null | sed 's/^\(pidfd\|anon_inode\|socket\|pipe\).*//' | grep . || true; }
descriptors() { find "/proc/$(noded_pid)/fd" -mindepth 1 | wc -l; }
empty_of_processes() { [ -z "$(processes "$(noded_pid)")" ]; }
empty_of_cgroups() { [ -z "$(cgroups)" ]; }

remember() {
  mounts >"$WORK/mounts.before"
  ls /run/netns 2>/dev/null >"$WORK/netns.before" || true
}

# Removes every container, then looks for what should not be there; stops the daemon and looks again.
nothing_left() {
  local id ids
  ids=$(command nodectl ps -a -q)
  for id in $ids; do
    nodectl rm -f "$id" >/dev/null
  done
  eventually 10 empty_of_processes || { processes "$(noded_pid)"; fail "processes are left"; }
  eventually 10 empty_of_cgroups || { cgroups; fail "cgroups are left"; }
  local left
  left=$(find "$ROOT/containers" "$STATE" -mindepth 1 ! -name '*.lock' ! -name lock 2>/dev/null |
    grep -vE "^$STATE/(shims|supervisors|containers)$" || true)
  [ -z "$left" ] || { say "$left"; fail "files are left"; }
  left=$(held_namespaces "$(noded_pid)")
  [ -z "$left" ] || { say "$left"; fail "noded holds namespaces"; }
  diff "$WORK/mounts.before" <(mounts) >&2 || fail "the host's mounts have changed"
  diff "$WORK/netns.before" <(ls /run/netns 2>/dev/null || true) >&2 || fail "network namespaces are left"
  kill_noded TERM
  left=$(processes)
  [ -z "$left" ] || { say "$left"; fail "processes are left after noded's end"; }
  [ ! -e "$SOCKET" ] || fail "the socket is left"
}

# Whatever has happened, this script's processes, cgroups and files go.
clean_up() {
  local pid path round
  for round in 1 2 3; do
    : "$round"
    processes | while read -r pid _; do kill -KILL "$pid" 2>/dev/null || true; done
    for path in /sys/fs/cgroup/freezer"$CGROUP"/*/freezer.state; do
      [ ! -e "$path" ] || echo THAWED >"$path" 2>/dev/null || true
    done
    empty_of_processes_now && break
    sleep 0.2
  done
  find /sys/fs/cgroup -depth -type d -path "*$CGROUP*" -exec rmdir {} \; 2>/dev/null || true
  rm -rf --one-file-system "$WORK"
}
empty_of_processes_now() { [ -z "$(processes)" ]; }

# --- the runner ----------------------------------------------------------------------------------

run_tests() {
  local test status log passed=0 failed=0 skipped=0
  local log=$WORK/test.log
  for test in $(declare -F | sed -n 's/^declare -f \(test_.*\)$/\1/p' | in_order_of_definition) test_leaves_nothing_behind; do
    status=0
    set +e
    (set -e; "$test") >"$log" 2>&1 </dev/null
    status=$?
    set -e
    case $status in
      0) passed=$((passed + 1)); echo "  ok      ${test#test_}" ;;
      77) skipped=$((skipped + 1)); echo "  SKIPPED ${test#test_}: $(sed -n 's/^SKIPPED: //p' "$log" | tail -1)" ;;
      *)
        failed=$((failed + 1))
        echo "  FAILED  ${test#test_} (status $status)"
        tail -c 6000 "$log" | sed 's/^/    | /'
        echo "    noded's log:"
        tail -8 "$NODED_LOG" 2>/dev/null | cut -c1-400 | sed 's/^/    : /'
        ;;
    esac
    [ "${VERBOSE:-}" != 1 ] || [ "$status" -ne 0 ] || sed 's/^/    | /' "$log"
  done
  echo "$SCRIPT: $passed passed, $failed failed, $skipped skipped"
  [ "$failed" -eq 0 ]
}
# declare -F sorts by name; a story is told in the order it was written.
in_order_of_definition() {
  local names
  names=$(cat)
  grep -oE '^test_\w+' "$0" | grep -xF -- "$names"
}
test_leaves_nothing_behind() { nothing_left; }

trap clean_up EXIT
trap 'exit 130' INT TERM
remember
"$REPO/deploy/busybox-rootfs.sh" "$ROOTFS"
