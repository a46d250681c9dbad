#!/usr/bin/env bash
# Tests noded as a unit of a systemd that uses cgroup v1 with a small v2 beside it. usage: tests/vm/hybrid.sh BIN_DIR
# Exit status as of run.sh: 77 when a machine cannot run here.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
bin=$(cd "${1:?the directory of noded, nodectl and node-shim}" && pwd)
[[ $bin == "$(cd "$here/../.." && pwd)"/* ]] || { echo "hybrid: $bin is not below the checkout" >&2; exit 2; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
status=0
"$here/run.sh" --systemd --append systemd.unified_cgroup_hierarchy=0 --limit "${LIMIT:-300}" \
  "tests/vm/hybrid_guest.sh '$bin'" | tee "$work/output" || status=$?
[ "$status" -ne 77 ] || exit 77 # run.sh has said why
passed=$(sed -n 's/^in the machine: \([0-9]*\) passed.*/\1/p' "$work/output")
failed=$(sed -n 's/^in the machine: .* \([0-9]*\) failed$/\1/p' "$work/output")
[ -n "$passed" ] || { echo "hybrid: the machine told nothing (status $status)"; passed=0 failed=1; }
echo "hybrid: $passed passed, $failed failed, 0 skipped"
[ "$failed" -eq 0 ]
