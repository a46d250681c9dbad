#!/usr/bin/env bash
# The README's tour, as it is printed there: each line is run with only its paths replaced.
source "$(dirname "$0")/noded.bash"
start_noded
mkdir -p "$WORK/data"

# Commands of the code blocks under "A tour", with continued lines joined; what needs a terminal, the host's own
# paths or a daemon at its default place is covered by other scripts.
tour() {
  sed -n '/^## A tour/,/^## /p' "$REPO/README.md" | sed -n '/^```$/,/^```$/p' | sed -e ':a' -e '/\\$/N; s/\\\n//; ta' |
    grep -E '^(nodectl|tar) ' | grep -vE -- ' -it |logs -f| &( |$)|\$\(pidof' |
    sed -e "s|/srv/busybox|$ROOTFS|g" -e "s|/srv/data|$WORK/data|g" -e 's/ *#.*//'
}

test_the_tour_is_there() {
  tour >&2
  [ "$(tour | wc -l)" -ge 12 ] || fail "the README's tour has only $(tour | wc -l) lines that can be run"
}

test_each_line_works() {
  local line
  cd "$REPO/deploy"
  # The background container is watched by more than one line, so they run in one shell and in their order.
  tour | while read -r line; do
    case $line in
      *"events"* | *" create "* | *"rm job"* | *"counter"*) continue ;;
    esac
    check 0 bash -c "$line" </dev/null
  done
}

test_attached_from_before_the_first_instruction() {
  check 0 nodectl create --name job --rootfs "$ROOTFS" sh -c 'echo working; exit 3'
  command nodectl attach job >"$WORK/attached" 2>&1 &
  local attach=$!
  sleep 0.3
  check 0 nodectl start job
  check 0 nodectl wait job
  same "$OUT" 3 "what wait prints"
  local status=0
  wait "$attach" || status=$?
  same "$status" 3 "exit status of attach"
  same "$(cat "$WORK/attached")" working output
  check 0 nodectl rm job
}

run_tests
