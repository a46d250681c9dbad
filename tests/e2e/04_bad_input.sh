#!/usr/bin/env bash
# Bad input over the bare API: the right code, a message that names the field or the step, a stable reason in the
# details, and nothing left.
source "$(dirname "$0")/noded.bash"
CLIENT="$E2E_DIR/grpc_client.py"
/usr/bin/python3 -c 'import grpc, google.protobuf' 2>/dev/null || { echo "$SCRIPT: python3-grpcio is missing" >&2; exit 1; }
start_noded

# refused METHOD REQUEST CODE REASON MESSAGE_PATTERN
refused() {
  check 1 "$CLIENT" "$NODECTL_ADDRESS" call "node.v1.ContainerService/$1" "$2"
  local answer
  answer=$(tail -1 <<<"$OUT")
  same "$(jq -r .code <<<"$answer")" "$3" code
  matches "$(jq -r '[.details[] | .reason // empty] | first // ""' <<<"$answer")" "^$4\$" reason
  matches "$(jq -r '.message + " " + ([.details[] | .fieldViolations[]? | .field] | join(" "))' <<<"$answer")" "$5" message
}
nothing_made() {
  same "$(command nodectl ps -a -q)" "" "containers that are left"
  same "$(find "$ROOT/containers" -mindepth 1 2>/dev/null)" "" "directories that are left"
  eventually 10 empty_of_cgroups || { cgroups >&2; fail "cgroups are left"; }
  eventually 10 empty_of_processes || { processes "$(noded_pid)" >&2; fail "processes are left"; }
  diff "$WORK/mounts.before" <(mounts) >&2 || fail "mounts are left"
}
# spec MORE: a request that runs sleep, with more fields of its spec.
spec() { echo "{\"spec\": {\"root\": {\"hostDirectory\": \"$ROOTFS\"}, \"process\": {\"argv\": [\"/bin/sleep\", \"1000\"]}${1:+, $1}}}"; }
process() { echo "{\"spec\": {\"root\": {\"hostDirectory\": \"$ROOTFS\"}, \"process\": {$1}}}"; }

test_unknown_container() {
  local method
  for method in Get Start Stop Kill Wait Pause Resume Update Remove Top Logs; do
    refused $method '{"container": "nobody"}' NOT_FOUND CONTAINER_NOT_FOUND nobody
  done
  refused Stats '{"containers": ["nobody"]}' NOT_FOUND CONTAINER_NOT_FOUND nobody
  refused Exec '{"start": {"container": "nobody", "process": {"argv": ["true"]}}}' NOT_FOUND CONTAINER_NOT_FOUND nobody
  refused Attach '{"start": {"container": "nobody"}}' NOT_FOUND CONTAINER_NOT_FOUND nobody
}

test_empty_container() {
  refused Get '{}' INVALID_ARGUMENT INVALID_ARGUMENT container
}

test_wrong_state() {
  check 0 nodectl create --name idle --rootfs "$ROOTFS" /bin/sleep 1000
  refused Exec '{"start": {"container": "idle", "process": {"argv": ["true"]}}}' FAILED_PRECONDITION WRONG_STATE idle
  refused Kill '{"container": "idle"}' FAILED_PRECONDITION WRONG_STATE idle
  refused Top '{"container": "idle"}' FAILED_PRECONDITION WRONG_STATE idle
  check 0 nodectl start idle
  refused Start '{"container": "idle"}' FAILED_PRECONDITION WRONG_STATE idle
  refused Remove '{"container": "idle"}' FAILED_PRECONDITION WRONG_STATE idle
  check 0 nodectl rm -f idle
  nothing_made
}

test_duplicate_name() {
  check 0 nodectl run -d --name twin --rootfs "$ROOTFS" /bin/sleep 1000
  refused RunContainer "$(spec '"name": "twin"')" ALREADY_EXISTS NAME_IN_USE twin
  check 0 nodectl rm -f twin
  nothing_made
}

test_empty_argv() {
  refused RunContainer "$(process '')" INVALID_ARGUMENT INVALID_ARGUMENT 'spec\.process\.argv'
  refused RunContainer "$(process '"argv": [""]')" INVALID_ARGUMENT INVALID_ARGUMENT argv
  nothing_made
}

test_empty_request_names_every_field() {
  refused RunContainer '{}' INVALID_ARGUMENT INVALID_ARGUMENT spec
  refused RunContainer '{"spec": {"name": "a/b", "limits": {"pids": -1}}}' INVALID_ARGUMENT INVALID_ARGUMENT \
    '.*name.*'
  local fields
  fields=$(tail -1 <<<"$OUT" | jq -r '[.details[] | .fieldViolations[]? | .field] | join(" ")')
  for field in name root argv limits.pids; do
    matches "$fields" "$field" "fields that are named"
  done
}

test_missing_binary() {
  refused RunContainer "$(process '"argv": ["no-such-command"]')" INVALID_ARGUMENT COMMAND_NOT_FOUND no-such-command
  nothing_made
  refused RunContainer "$(process '"argv": ["/etc/passwd"]')" INVALID_ARGUMENT COMMAND_NOT_EXECUTABLE /etc/passwd
  nothing_made
}

test_user_that_does_not_exist() {
  refused RunContainer "$(process '"argv": ["/bin/true"], "user": {"name": "ghost"}')" INVALID_ARGUMENT USER_NOT_FOUND ghost
  nothing_made
  refused RunContainer "$(process '"argv": ["/bin/true"], "user": {"name": "app:ghosts"}')" INVALID_ARGUMENT USER_NOT_FOUND ghosts
  nothing_made
}

test_root_that_does_not_exist() {
  refused RunContainer '{"spec": {"root": {"hostDirectory": "/no/such/root"}, "process": {"argv": ["true"]}}}' \
    INVALID_ARGUMENT '.*' /no/such/root
  nothing_made
}

test_mount_source_that_does_not_exist() {
  refused RunContainer "$(spec '"mounts": [{"target": "/mnt", "bind": {"source": "/no/such/source"}}]')" \
    INVALID_ARGUMENT '.*' /no/such/source
  nothing_made
}

test_propagation_that_the_source_cannot_have() {
  local mode request
  mkdir -p "$WORK/source"
  for mode in SLAVE SHARED; do
    request=$(spec "\"name\": \"peer\", \"mounts\": [{\"target\": \"/mnt\", \"bind\": {\"source\": \"$WORK/source\",
      \"propagation\": \"MOUNT_PROPAGATION_$mode\"}}]")
    case $(findmnt -no PROPAGATION -T "$WORK/source") in
      shared*)
        check 0 "$CLIENT" "$NODECTL_ADDRESS" call node.v1.ContainerService/RunContainer "$request"
        check 0 nodectl rm -f peer
        ;;
      private*) refused RunContainer "$request" INVALID_ARGUMENT INVALID_ARGUMENT 'mounts\[0\]\.bind\.propagation' ;;
      *) skip "the mount of $WORK is neither shared nor private" ;;
    esac
  done
  nothing_made
}

test_mount_target_that_climbs_out() {
  refused RunContainer "$(spec '"mounts": [{"target": "/../../etc", "tmpfs": {}}]')" INVALID_ARGUMENT INVALID_ARGUMENT 'mounts\[0\]\.target'
  refused RunContainer "$(spec '"mounts": [{"target": "relative", "tmpfs": {}}]')" INVALID_ARGUMENT INVALID_ARGUMENT 'mounts\[0\]\.target'
  nothing_made
}

test_mount_target_that_is_a_symlink_out() {
  mkdir -p "$WORK/outside"
  ln -sfn "$WORK/outside" "$ROOTFS/escape"
  ln -sfn ../../../../../../../.. "$ROOTFS/up"
  # Followed inside the container's root only: it lands in the container, never on the host.
  check 0 "$CLIENT" "$NODECTL_ADDRESS" call node.v1.ContainerService/RunContainer \
    "$(spec '"name": "climber", "mounts": [{"target": "/escape/into", "tmpfs": {}}, {"target": "/up/tmp/in", "tmpfs": {}}]')"
  same "$(find "$WORK/outside" -mindepth 1)" "" "what was made outside"
  [ ! -e /tmp/in ] || fail "a mount target was made on the host"
  diff "$WORK/mounts.before" <(mounts) >&2 || fail "the host's mounts have changed"
  check 0 nodectl exec climber mount
  matches "$OUT" "tmpfs on $WORK/outside/into" "mount inside the container"
  check 0 nodectl rm -f climber
  rm "$ROOTFS/escape" "$ROOTFS/up"
  nothing_made
}

test_limits_out_of_range() {
  refused RunContainer "$(spec '"limits": {"memory": {"maxBytes": -1}}')" INVALID_ARGUMENT INVALID_ARGUMENT 'limits\.memory\.max_?[bB]ytes'
  refused RunContainer "$(spec '"limits": {"cpu": {"quotaUs": -5}}')" INVALID_ARGUMENT INVALID_ARGUMENT 'limits\.cpu\.quota_?[uU]s'
  refused RunContainer "$(spec '"limits": {"pids": 0}')" INVALID_ARGUMENT INVALID_ARGUMENT 'limits\.pids'
  nothing_made
}

test_names() {
  local name
  for name in 'a/b' '../x' '-a' 'a b' "$(printf 'a%.0s' {1..129})"; do
    refused RunContainer "$(spec "\"name\": \"$name\"")" INVALID_ARGUMENT INVALID_ARGUMENT 'spec\.name'
  done
  nothing_made
}

test_request_id_with_another_spec() {
  check 0 "$CLIENT" "$NODECTL_ADDRESS" call node.v1.ContainerService/RunContainer \
    "$(spec '"name": "first"' | jq -c '.requestId = "r-1"')"
  refused RunContainer "$(spec '"name": "second"' | jq -c '.requestId = "r-1"')" INVALID_ARGUMENT REQUEST_ID_REUSED request_id
  check 0 nodectl rm -f first
  nothing_made
}

test_update_out_of_range() {
  check 0 nodectl run -d --name here --rootfs "$ROOTFS" --pids-limit 30 /bin/sleep 1000
  local before
  before=$(field here .revision)
  refused Update '{"container": "here"}' INVALID_ARGUMENT INVALID_ARGUMENT 'limits, clear or devices'
  refused Update '{"container": "here", "limits": {"pids": 0}}' INVALID_ARGUMENT INVALID_ARGUMENT ' limits\.pids$'
  refused Update '{"container": "here", "limits": {"pids": 9, "memory": {"maxBytes": -1}}}' \
    INVALID_ARGUMENT INVALID_ARGUMENT ' limits\.memory\.max_bytes$'
  refused Update '{"container": "here", "limits": {"cpu": {"quotaUs": 5000, "periodUs": 1000001}}}' \
    INVALID_ARGUMENT INVALID_ARGUMENT ' limits\.cpu\.period_us$'
  refused Update '{"container": "here", "limits": {"cpu": {"idle": true, "shares": 100}}}' \
    INVALID_ARGUMENT INVALID_ARGUMENT ' limits\.cpu\.idle$'
  refused Update '{"container": "here", "clear": ["limits.pids", "name"]}' INVALID_ARGUMENT INVALID_ARGUMENT ' clear\[1\]$'
  refused Update '{"container": "here", "devices": {"devices": [{"hostPath": "/etc/passwd"}]}}' \
    INVALID_ARGUMENT INVALID_ARGUMENT ' devices\.devices\[0\]\.host_path$'
  same "$(field here .revision)" "$before" "revision, after nothing was changed"
  refused Resume '{"container": "here"}' FAILED_PRECONDITION WRONG_STATE 'here is running'
  check 0 nodectl rm -f here
}

test_a_client_that_goes_away_leaves_nothing() {
  local round
  for round in 1 2 3 4 5 6 7 8; do
    "$CLIENT" --deadline "0.00$round" "$NODECTL_ADDRESS" call node.v1.ContainerService/RunContainer \
      "$(spec "\"name\": \"fleeting-$round\"" | jq -c ".requestId = \"gone-$round\"")" >&2 || true
  done
  # Each is either there in whole, found again by its request_id, or not there at all.
  local id
  for id in $(command nodectl ps -a -q); do
    check 0 nodectl inspect "$id"
    check 0 nodectl rm -f "$id"
  done
  nothing_made
}

run_tests
