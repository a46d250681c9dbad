#!/usr/bin/env bash
# Installs what is needed, builds the release with its tests, runs them, and sums up.
# The last line is "N passed, N failed, N skipped"; the exit status is 0 only when nothing failed.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=tests/gtest_report.sh
. tests/gtest_report.sh

usage() {
  cat <<'USAGE'
usage: tests/run.sh [--skip-install] [KIND…]
  KIND   unit integration e2e vm tree   (the default, in this order)
         vm       in a virtual machine: a subset on pure cgroup v2, noded as a unit of systemd, and that with cgroup v1
         format   clang-format on every source
         lint     clang-tidy, shellcheck, and buf on the API
         fuzz     each fuzzer for ten seconds, built with clang
         asan     unit tests under AddressSanitizer and UndefinedBehaviorSanitizer
         tsan     unit tests under ThreadSanitizer
  VERBOSE=1 shows the output of what passed too
USAGE
}

install=true
kinds=()
for argument in "$@"; do
  case $argument in
    --skip-install) install=false ;;
    unit | integration | e2e | vm | tree | format | lint | fuzz | asan | tsan) kinds+=("$argument") ;;
    -h | --help) usage && exit 0 ;;
    *) usage >&2 && exit 2 ;;
  esac
done
[ "${#kinds[@]}" -gt 0 ] || kinds=(unit integration e2e vm tree)
wants() { [[ " ${kinds[*]} " == *" $1 "* ]]; }

if [ "$(id -u)" -ne 0 ] && { wants integration || wants e2e || wants vm; }; then
  echo "tests/run.sh: integration, e2e and vm tests make containers and must be root" >&2
  exit 2
fi

passed=0 failed=0 skipped=0
failures=()
# count NAME PASSED FAILED SKIPPED [NOTE]
count() {
  passed=$((passed + $2)) failed=$((failed + $3)) skipped=$((skipped + $4))
  [ "$3" -eq 0 ] || failures+=("$1")
  printf '%-8s %-28s %4d passed, %d failed, %d skipped%s\n' \
    "$([ "$3" -eq 0 ] && echo ok || echo FAILED)" "$1" "$2" "$3" "$4" "${5:+  ($5)}"
}
heading() { printf '\n== %s\n' "$*"; }

out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT

# show_log FILE RESULT: the end of what a test printed, when it failed or all is wanted.
show_log() {
  if [ "$2" != 0 ] || [ "${VERBOSE:-}" = 1 ]; then
    tail -c 20000 "$1" | sed 's/^/    /'
  fi
}

# step NAME COMMAND…: one check that passes or fails as a whole.
step() {
  local name=$1 status=0
  shift
  "$@" >"$out/log" 2>&1 || status=$?
  count "$name" $((status == 0)) $((status != 0)) 0
  show_log "$out/log" "$status"
}

# --- GoogleTest programs -------------------------------------------------------------------------

# programs BUILD_DIR LABEL: "name<TAB>timeout<TAB>program" of each test with that label.
programs() {
  ctest --test-dir "$1" --show-only=json-v1 | jq -r --arg wanted "$2" '
    .tests[] | ([.properties[] | {key: .name, value: .value}] | from_entries) as $properties
    | select(($properties.LABELS // []) | index($wanted))
    | [.name, ($properties.TIMEOUT // 300 | floor | tostring), .command[0]] | @tsv'
}

# A program is told by its cases; one whose every case is skipped shows nothing, and so fails.
run_program() {
  local name=$1 timeout=$2 program=$3 report=$out/report.json status=0 begin=$SECONDS
  rm -f "$report"
  timeout --kill-after=10 "$timeout" "$program" --gtest_output="json:$report" \
    >"$out/log" 2>&1 </dev/null || status=$?
  local case_passed case_failed case_skipped note="$((SECONDS - begin)) s"
  read -r case_passed case_failed case_skipped <<<"$(gtest_counts "$report")"
  if [ "$status" -ne 0 ] && [ "$case_failed" -eq 0 ]; then
    case_failed=1 note="ended with status $status"
  elif [ "$case_passed" -eq 0 ] && [ "$case_failed" -eq 0 ]; then
    case_failed=1 note="no case ran"
  fi
  count "$name" "$case_passed" "$case_failed" "$case_skipped" "$note"
  show_log "$out/log" "$case_failed"
  gtest_failures "$report" | sed 's/^/    /'
  [ "$case_skipped" -eq 0 ] || grep -h -A1 ': Skipped$' "$out/log" | sed 's/^/    SKIPPED /' | head -20 || true
}

run_label() {
  local found=false name timeout program
  while IFS=$'\t' read -r name timeout program; do
    found=true
    run_program "$name" "$timeout" "$program"
  done < <(programs "$1" "$2")
  $found || count "$2" 0 1 0 "no test has this label"
}

# --- the other kinds -----------------------------------------------------------------------------

# run_script NAME COMMAND…: what says "N passed, N failed[, N skipped]" in its last line. Status 77: it cannot run here.
run_script() {
  local name=$1 status=0 begin=$SECONDS cases
  shift
  "$@" >"$out/log" 2>&1 </dev/null || status=$?
  if [ "$status" -eq 77 ]; then
    count "$name" 0 0 1
    sed 's/^/    SKIPPED /' "$out/log" | tail -5
    return
  fi
  cases=$(tail -1 "$out/log" | sed -nE 's/^(.*: )?([0-9]+) passed, ([0-9]+) failed(, ([0-9]+) skipped)?$/\2 \3 \5/p')
  local case_passed=0 case_failed=0 case_skipped=0 note
  read -r case_passed case_failed case_skipped <<<"${cases:-0 0 0}"
  note="$((SECONDS - begin)) s"
  if [ "$status" -ne 0 ] && [ "$case_failed" -eq 0 ]; then
    case_failed=1 note="ended with status $status"
  elif [ "$case_passed" -eq 0 ] && [ "$case_failed" -eq 0 ]; then
    case_failed=1 note="no case ran"
  fi
  count "$name" "$case_passed" "$case_failed" "${case_skipped:-0}" "$note"
  show_log "$out/log" "$case_failed"
  [ "$case_failed" -ne 0 ] || grep 'SKIPPED' "$out/log" | sed 's/^/    /' || true
}

sources() {
  git ls-files '*.cc' '*.h' 2>/dev/null | grep . ||
    find . -name build -prune -o \( -name '*.cc' -o -name '*.h' \) -print
}
scripts() {
  grep -lrIE '^#!.*\bbash|^# shellcheck shell=bash' .ci deploy tests --include='*' --exclude-dir=node_modules
}
# clang-tidy reads the release build's commands; generated code and gtest macros are not ours to judge.
clang_tidy() {
  sources | grep '\.cc$' | grep -v '^\(\./\)\?tests/' |
    xargs -P "$(nproc)" -n 2 clang-tidy -p build/release --quiet \
      --extra-arg=-Wno-unknown-warning-option
}
buf_lint() { cd proto && ../build/npm/node_modules/.bin/buf lint; }

# install_buf: 1 when npm is missing or cannot reach its registry.
install_buf() {
  command -v npm >/dev/null || return 1
  mkdir -p build/npm
  cmp -s tests/e2e/package.json build/npm/package.json && [ -x build/npm/node_modules/.bin/buf ] && return 0
  cp tests/e2e/package.json build/npm/package.json
  timeout 120 npm install --prefix build/npm --no-package-lock --no-audit --no-fund --silent >/dev/null 2>&1
}

# --- do it ---------------------------------------------------------------------------------------

if $install; then
  heading install
  flags=(--test)
  if wants format || wants lint || wants fuzz; then flags+=(--dev); fi
  deploy/install-deps.sh "${flags[@]}"
fi
if wants unit || wants integration || wants e2e || wants vm || wants lint; then
  heading "build release"
  cmake --preset release -DNODED_BUILD_TESTS=ON >"$out/configure" || { cat "$out/configure"; exit 1; }
  cmake --build --preset release -- --quiet
fi

for kind in "${kinds[@]}"; do
  heading "$kind"
  case $kind in
    unit | integration) run_label build/release "$kind" ;;
    e2e)
      install_buf || echo "buf is not there (npm is missing or its registry cannot be reached): Python's client stands in"
      for script in tests/e2e/[0-9]*.sh; do
        run_script "$(basename "$script" .sh)" "$script"
      done
      ;;
    vm)
      run_script vm-unified tests/vm/unified.sh build/release/bin
      run_script vm-systemd tests/vm/systemd.sh build/release/bin
      run_script vm-hybrid tests/vm/hybrid.sh build/release/bin
      ;;
    tree) run_script tree tests/tree/tree_test.py ;;
    format) step clang-format bash -c "$(declare -f sources); sources | xargs clang-format --dry-run -Werror" ;;
    lint)
      step clang-tidy clang_tidy
      # shellcheck disable=SC2046  # names without blanks
      step shellcheck shellcheck -x -P tests/e2e --severity=warning $(scripts)
      if install_buf; then
        step buf-lint bash -c "$(declare -f buf_lint); buf_lint"
      else
        count buf-lint 0 0 1 "npm is missing or its registry cannot be reached"
      fi
      ;;
    fuzz)
      cmake --preset fuzz >"$out/configure" || { cat "$out/configure"; exit 1; }
      cmake --build --preset fuzz -- --quiet
      for fuzzer in $(ctest --test-dir build/fuzz --show-only=json-v1 | jq -r '.tests[].name'); do
        step "$fuzzer" ctest --test-dir build/fuzz --output-on-failure -R "^$fuzzer\$"
      done
      ;;
    asan | tsan)
      cmake --preset "$kind" >"$out/configure" || { cat "$out/configure"; exit 1; }
      mapfile -t targets < <(programs "build/$kind" unit | cut -f1)
      cmake --build "build/$kind" --target "${targets[@]}" -- --quiet
      run_label "build/$kind" unit
      ;;
  esac
done

if [ "${#failures[@]}" -gt 0 ]; then
  printf '\nfailed: %s\n' "${failures[*]}"
fi
echo
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
