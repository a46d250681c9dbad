#!/usr/bin/env bash
# Tests noded as a unit of systemd, in a machine that boots with it: the scope, restarts, OOM, and the shutdown, whose
# effect is read from the machine's disk afterwards. usage: tests/vm/systemd.sh BIN_DIR
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
bin=$(cd "${1:?the directory of noded, nodectl and node-shim}" && pwd)
[[ $bin == "$(cd "$here/../.." && pwd)"/* ]] || { echo "systemd: $bin is not below the checkout" >&2; exit 2; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
status=0
"$here/run.sh" --systemd --limit "${LIMIT:-400}" --disk "$work/disk" "tests/vm/systemd_guest.sh '$bin'" | tee "$work/output" || status=$?
[ "$status" -ne 77 ] || exit 77 # run.sh has said why
passed=$(sed -n 's/^in the machine: \([0-9]*\) passed.*/\1/p' "$work/output")
failed=$(sed -n 's/^in the machine: .* \([0-9]*\) failed$/\1/p' "$work/output")
[ -n "$passed" ] || { echo "systemd: the machine told nothing (status $status)"; passed=0 failed=1; }

# after NAME FILE CONTENT
after() {
  local found
  found=$(debugfs -R "cat $2" "$work/disk" 2>/dev/null)
  if [ "$found" = "$3" ]; then
    passed=$((passed + 1)) && echo "  ok      $1"
  else
    failed=$((failed + 1)) && echo "  FAILED  $1: $2 is '$found'"
  fi
}
after shutdown_gives_a_container_its_signal_and_time /last/bye bye
after shutdown_kills_what_does_not_listen_after_its_signal /stubborn/told told
echo "systemd: $passed passed, $failed failed, 0 skipped"
[ "$failed" -eq 0 ]
