# shellcheck shell=bash
# What GoogleTest's JSON report says; sourced by what runs its programs.

# gtest_counts REPORT: "PASSED FAILED SKIPPED"; "0 0 0" without a report.
gtest_counts() {
  jq -r '[.testsuites[].testsuite[]] |
    [(map(select((.failures | not) and .result == "COMPLETED")) | length), (map(select(.failures)) | length),
     (map(select(.result == "SKIPPED")) | length)] | join(" ")' "$1" 2>/dev/null || echo 0 0 0
}

# gtest_failures REPORT: each failed case with what it said.
gtest_failures() {
  jq -r '.testsuites[].testsuite[] | select(.failures) |
    "FAILED \(.classname).\(.name)", (.failures[].failure | split("\n")[] | "  " + .)' "$1" 2>/dev/null
}
