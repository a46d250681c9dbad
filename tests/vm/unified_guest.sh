#!/usr/bin/env bash
# Runs in the machine (tests/vm/unified.sh): what of the tests shows whether containers work where cgroup v2 is all there
# is. About ten times slower than on a host, so what only repeats itself is left out. usage: unified_guest.sh BIN_DIR
set -uo pipefail
export NODED_BIN=$1
# shellcheck source=tests/gtest_report.sh
. tests/gtest_report.sh
passed=0 failed=0 skipped=0

# count NAME PASSED FAILED SKIPPED, then the log when something failed or was skipped.
count() {
  passed=$((passed + $2)) failed=$((failed + $3)) skipped=$((skipped + $4))
  printf '  %-8s%-22s %3d passed, %d failed, %d skipped  (%d s)\n' \
    "$([ "$3" -eq 0 ] && echo ok || echo FAILED)" "$1" "$2" "$3" "$4" "$((SECONDS - begin))"
  [ "$3" -eq 0 ] || tail -c 8000 /tmp/log | sed 's/^/    /'
  [ "$4" -eq 0 ] || grep -h -A1 ': Skipped$' /tmp/log | sed 's/^/    SKIPPED /'
}
# program NAME FILTER: a GoogleTest program's cases.
program() {
  local status=0
  begin=$SECONDS
  rm -f /tmp/report.json
  "$NODED_BIN/$1" --gtest_filter="$2" --gtest_output=json:/tmp/report.json >/tmp/log 2>&1 || status=$?
  # shellcheck disable=SC2046  # three numbers
  set -- "$1" $(gtest_counts /tmp/report.json)
  [ "$status" -eq 0 ] && [ "$2" -gt 0 ] || [ "$3" -gt 0 ] || set -- "$1" "$2" 1 "$4"
  count "$@"
  gtest_failures /tmp/report.json | sed 's/^/    /'
}
# script NAME: one that says in its last line what passed.
script() {
  local status=0 cases
  begin=$SECONDS
  "tests/vm/$1.sh" >/tmp/log 2>&1 || status=$?
  cases=$(tail -1 /tmp/log | sed -nE 's/^.*: ([0-9]+) passed, ([0-9]+) failed, ([0-9]+) skipped$/\1 \2 \3/p')
  # shellcheck disable=SC2086
  set -- "$1" ${cases:-0 1 0}
  [ "$status" -eq 0 ] || [ "$3" -gt 0 ] || set -- "$1" "$2" 1 "$4"
  count "$@"
}

echo "Linux $(uname -r), cgroup v2 with $(cat /sys/fs/cgroup/cgroup.controllers)"
program integration_cgroup '-*v1*'
# What is of v1 alone would only be skipped.
program integration_shim 'ExecTest.*:ReaperTest.*:LaunchTest.HelloWorld:SupervisorTest.*Group*:LaunchTest.*UserNamespace*:LaunchTest.OnlyTheContainersMountsAreSeenInside:SupervisorTest.KilledSupervisorTakesInitWithIt:LaunchTest.Seccomp*:-*EntersTheGroupsThatAreGiven'
program integration_engine 'UnifiedTest.*:UpdateTest.*:PauseTest.*:LifeTest.*:MeasureTest.*:RecoveryTest.RunningContainersAreThereAgain:RecoveryTest.ALost*:RecoveryTest.WhatNoRecordSpeaksOfIsRemoved:RecoveryTest.AnotherCgroupParent*:RecoveryTest.ANestedCgroupParent*'
script ../e2e/15_systemd_inside
script commands_guest
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
