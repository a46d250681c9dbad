#!/usr/bin/env bash
# Runs the e2e scripts, or those named, against build/release/bin (or NODED_BIN).
# usage: tests/e2e/run.sh [NAME…]   e.g. tests/e2e/run.sh 03 logs
set -euo pipefail
cd "$(dirname "$0")"

passed=0 failed=0 skipped=0
for script in [0-9]*.sh; do
  if [ $# -gt 0 ]; then
    chosen=false
    for name in "$@"; do [[ $script == *"$name"* ]] && chosen=true; done
    $chosen || continue
  fi
  echo "$script"
  output=$("./$script" 2>&1) || true
  echo "$output"
  cases=$(tail -1 <<<"$output" | sed -nE 's/^.*: ([0-9]+) passed, ([0-9]+) failed, ([0-9]+) skipped$/\1 \2 \3/p')
  read -r p f s <<<"${cases:-0 1 0}"
  passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
done
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
