#!/usr/bin/env bash
# Runs a subset of the integration and e2e tests in a machine with pure cgroup v2, in one boot.
# usage: tests/vm/unified.sh BIN_DIR     the directory, below the checkout, of executables and test programs
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
bin=$(cd "${1:?the directory of noded and the test programs}" && pwd)
[[ $bin == "$(cd "$here/../.." && pwd)"/* ]] || { echo "unified: $bin is not below the checkout" >&2; exit 2; }

status=0
"$here/run.sh" --limit "${LIMIT:-400}" "tests/vm/unified_guest.sh '$bin'" || status=$?
case $status in
  0 | 1) ;; # its last line has been told
  77) echo "unified: SKIPPED: a machine cannot run here"; echo "unified: 0 passed, 0 failed, 1 skipped"; exit 0 ;;
  *) echo "unified: 0 passed, 1 failed, 0 skipped" ;;
esac
exit "$status"
