#!/usr/bin/env bash
# Metrics: what Prometheus scrapes, judged by promtool, and what the dashboard shows, against a live scrape.
source "$(dirname "$0")/noded.bash"
PORT=$((20000 + RANDOM % 20000))
METRICS=http://127.0.0.1:$PORT/metrics
DASHBOARD=$REPO/deploy/grafana-dashboard.json
start_noded --metrics-listen "127.0.0.1:$PORT" --metrics-interval 1s

# Each scrape is new and lies in a file, because a scrape has many lines.
scrape() { curl -sS --fail --max-time 10 "$METRICS" >"$WORK/scrape"; }
names_in_scrape() { sed -nE 's/^([a-zA-Z_:][a-zA-Z0-9_:]*)[{ ].*/\1/p' "$WORK/scrape" | sort -u; }
# scraped LINE_START: a scrape has a line that begins so.
scraped() { scrape && grep -qF -- "$1" "$WORK/scrape"; }
# value LINE_START: of the first such line.
value() { awk -v start="$1" 'index($0, start) == 1 {print $NF; exit}' "$WORK/scrape"; }
expressions() { jq -r '.panels[].targets[]?.expr' "$DASHBOARD"; }
need_promtool() { command -v promtool >/dev/null || skip "promtool is missing (deploy/install-deps.sh --test)"; }

test_a_scrape_has_the_format_of_prometheus() {
  check 0 curl -sS --fail -i "$METRICS"
  matches "$OUT" 'HTTP/1.1 200 OK' "status line"
  matches "$OUT" 'Content-Type: text/plain; version=0.0.4; charset=utf-8' "content type"
  check 0 curl -sS --fail -I "$METRICS"
  check 0 curl -sS -o /dev/null -w '%{http_code}' "http://127.0.0.1:$PORT/"
  same "$OUT" 404 "status of another path"
  check 0 curl -sS -o /dev/null -w '%{http_code}' -X POST -d x "$METRICS"
  same "$OUT" 405 "status of a POST"
}

test_the_daemon_is_told_of() {
  check 0 nodectl run --rm --name short --rootfs "$ROOTFS" true
  check 1 nodectl inspect nobody
  eventually 10 scraped 'noded_requests_total{method="ContainerService/Get",code="NOT_FOUND"}'
  grep -F 'noded_requests_total' "$WORK/scrape" >&2
  local phase
  for phase in supervisor files plan cgroup answer record; do
    [ "$(value "noded_start_phase_duration_seconds_count{phase=\"$phase\"}")" -ge 1 ] || fail "no start has phase $phase"
  done
  matches "$(value process_open_fds)" '^[1-9][0-9]*$' "open descriptors"
  matches "$(value noded_build_info)" '^1$' "build info"
  matches "$(value process_resident_memory_bytes)" '^[0-9]+$' "resident memory"
}

test_a_container_is_told_of() {
  check 0 nodectl run -d --name metered -m 64m --cpus 0.5 --pids-limit 50 --rootfs "$ROOTFS" \
    sh -c 'dd if=/dev/zero of=/file bs=64k count=16 2>/dev/null; sync; while true; do :; done'
  local id
  id=$(field metered .id)
  eventually 10 scraped "noded_container_pids{id=\"$id\",name=\"metered\"} "
  grep -F "$id" "$WORK/scrape" >&2
  same "$(value "noded_container_memory_limit_bytes{id=\"$id\"")" 67108864 "memory limit"
  same "$(value "noded_container_pids_limit{id=\"$id\"")" 50 "pids limit"
  same "$(value 'noded_containers{state="running"}')" 1 "running containers"
  same "$(value 'noded_metrics_left_out{kind="container"}')" 0 "containers left out"
}

# Nobody asks for statistics: the daemon measures by itself, and a scrape does not.
sampled_after() { scrape && awk -v old="$1" -v new="$(value noded_container_sample_timestamp_seconds)" 'BEGIN {exit !(new > old)}'; }
test_containers_are_measured_again_and_again() {
  scrape
  local first
  first=$(value noded_container_sample_timestamp_seconds)
  matches "$first" '^[0-9]' "time of a sample"
  eventually 10 sampled_after "$first"
}

test_promtool_accepts_a_scrape() {
  need_promtool
  scrape
  check 0 bash -c "promtool check metrics <'$WORK/scrape'"
  same "$OUT$ERR" "" "what promtool has to say"
}

test_promtool_accepts_each_expression_of_the_dashboard() {
  need_promtool
  # A rule file is YAML, of which JSON is a part; what Grafana fills in is filled in.
  jq '{groups: [{name: "dashboard", rules: [[.panels[].targets[]?.expr] | to_entries[]
       | {record: "dashboard:expression_\(.key)", expr: (.value | gsub("\\$__rate_interval"; "5m") | gsub("\\$[a-z]+"; ".*"))}]}]}' \
    "$DASHBOARD" >"$WORK/rules.json"
  local count
  count=$(expressions | wc -l)
  [ "$count" -ge 20 ] || fail "the dashboard has only $count expressions"
  check 0 promtool check rules "$WORK/rules.json"
  matches "$OUT" "$count rules found" "what promtool found"
}

test_each_name_of_the_dashboard_is_in_a_scrape() {
  scrape
  names_in_scrape >"$WORK/names"
  local name field stats missing=()
  for name in $(jq -r '.. | strings' "$DASHBOARD" | grep -oE '\b(noded|process)_[a-z_]+\b' | sort -u); do
    grep -qxF "$name" "$WORK/names" || missing+=("$name")
  done
  # What this host's cgroups do not tell is absent, and never 0.
  stats=$(command nodectl stats --no-stream -o json metered)
  for name in "${missing[@]}"; do
    case $name in
      noded_container_pressure_*) field=pressure ;;
      noded_container_block_*) field=blockIo ;;
      noded_container_oom_events_total) field=oomEvents ;;
      *) fail "$name is in the dashboard and not in a scrape" ;;
    esac
    [ "$(jq --arg field "$field" '[.. | objects | select(has($field))] | length' <<<"$stats")" = 0 ] ||
      fail "$name is not in a scrape, and a sample has $field"
    say "not told on this host: $name"
  done
}

test_what_has_ended_is_not_told_of() {
  local id
  id=$(field metered .id)
  check 0 nodectl stop -t 0 metered
  scrape
  ! grep -qF "$id" "$WORK/scrape" || fail "a container that has ended is still told of"
  check 0 nodectl rm metered
}

# refused ADDRESS WORDS…: a second daemon does not start with that address, and says these words.
refused() {
  local address=$1 word
  shift
  check 1 timeout 20 "$BIN/noded" --listen "unix://$WORK/second.sock" --root "$WORK/second" --state-dir "$WORK/second-state" \
    --cgroup-parent "$CGROUP/second" --metrics-listen "$address"
  for word in "$@"; do
    grep -qF -- "$word" <<<"$ERR" || fail "no '$word' in: $ERR"
  done
  [ ! -e "$WORK/second" ] || fail "the daemon touched its root before it refused"
}

test_a_taken_port_is_a_clear_error() {
  refused "127.0.0.1:$PORT" --metrics-listen "127.0.0.1:$PORT" "address already in use"
  refused "192.0.2.1:$PORT" --metrics-listen "192.0.2.1:$PORT"
  check 2 "$BIN/noded" --metrics-listen nowhere
  matches "$ERR" '--metrics-listen: listen address "nowhere"' "the complaint"
}

test_no_other_address_is_bound() {
  check 7 curl -sS --max-time 5 "http://127.0.0.2:$PORT/metrics"
}

test_metrics_on_a_unix_socket() {
  kill_noded TERM
  start_noded --metrics-listen "unix://$WORK/metrics.sock"
  check 0 curl -sS --fail --unix-socket "$WORK/metrics.sock" http://localhost/metrics
  matches "$OUT" 'noded_build_info' "a scrape"
  same "$(stat -c %a "$WORK/metrics.sock")" 660 "mode of the socket"
  refused "unix://$WORK/metrics.sock" --metrics-listen "$WORK/metrics.sock" "another process listens there"
  kill_noded TERM
  [ ! -e "$WORK/metrics.sock" ] || fail "the socket is left"
  start_noded
}

run_tests
