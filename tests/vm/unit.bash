# For scripts that test noded as a unit, in a machine with systemd as PID 1: what they have alike. To be sourced by a
# script that was given BIN_DIR; then come its tests, functions test_*, and run_unit_tests.
# shellcheck shell=bash disable=SC2034  # what the tests use
set -uo pipefail
bin=$1
repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cgroup=/sys/fs/cgroup
scope=/noded.slice/noded-containers.scope
factor=${NODED_TEST_TIME_FACTOR:-1}
passed=0 failed=0

fail() { echo "    FAILED: $*"; return 1; }
same() { [ "$1" = "$2" ] || fail "${3:-value} is '$1', expected '$2'"; }
eventually() {
  local end=$((SECONDS + 10 * factor))
  until "$@"; do
    [ "$SECONDS" -lt "$end" ] || { fail "never came true: $*"; return 1; }
    sleep 0.1
  done
}
unit() { systemctl show --value -p "$2" "$1"; }
unit_is() { [ "$(unit "$1" ActiveState)" = "$2" ] || { [ "${3:-}" != loud ] || fail "$1 is $(unit "$1" ActiveState)"; }; }
field() { nodectl inspect -o json "$1" | jq -r "(if type == \"array\" then .[0] else . end) | (.container // .) | $2 // \"\""; }
state_is() { [ "$(field "$1" .state)" = "CONTAINER_STATE_$2" ]; }
group_of() { sed -n 's/^0:://p' "/proc/$1/cgroup"; }
parent_of() { sed -n 's/^PPid:\t//p' "/proc/$1/status"; }
run() { nodectl run -d --rootfs /tmp/rootfs "$@" >/dev/null; }

install_noded() {
  "$repo/deploy/busybox-rootfs.sh" /tmp/rootfs
  install "$bin"/{noded,nodectl,node-shim} /usr/local/bin/
  install -D "$repo/deploy/noded-shutdown.sh" /usr/local/libexec/noded-shutdown
  install -m 0644 "$repo"/deploy/noded{,-shutdown}.service /etc/systemd/system/
  install -D -m 0644 "$repo/deploy/noded.toml" /etc/noded/noded.toml
  # No overlay goes on the overlay that the root is.
  mkdir -p /tmp/noded /var/lib/noded && mount --bind /tmp/noded /var/lib/noded
  systemctl daemon-reload
}

run_unit_tests() {
  echo "systemd $(systemctl --version | sed -n '1s/systemd \([0-9]*\).*/\1/p') is PID 1"
  local name output
  install_noded || exit 1
  for name in $(grep -oE '^test_\w+' "$0"); do
    # Every check of a test must hold, as with set -e, which bash forgets inside conditions.
    if output=$("$name" 2>&1) && ! grep -q 'FAILED' <<<"$output"; then
      passed=$((passed + 1)) && echo "  ok      ${name#test_}"
    else
      failed=$((failed + 1)) && printf '  FAILED  %s\n%s\n' "${name#test_}" "$output"
      journalctl -u noded -n 8 --no-pager -o cat | cut -c1-300 | sed 's/^/    : /'
    fi
  done
  echo "in the machine: $passed passed, $failed failed"
  [ "$failed" -eq 0 ]
}
