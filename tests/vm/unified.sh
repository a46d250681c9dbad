#!/usr/bin/env bash
# Runs a subset of the integration and e2e tests in a machine with pure cgroup v2, in one boot.
# usage: tests/vm/unified.sh BIN_DIR     the directory, below the checkout, of executables and test programs.
# Exit status as of run.sh: 77 when a machine cannot run here.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
bin=$(cd "${1:?the directory of noded and the test programs}" && pwd)
[[ $bin == "$(cd "$here/../.." && pwd)"/* ]] || { echo "unified: $bin is not below the checkout" >&2; exit 2; }

# A disk of its own, for tests of block io and swap.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$here/run.sh" --limit "${LIMIT:-400}" --disk "$work/disk.img" "tests/vm/unified_guest.sh '$bin'"
