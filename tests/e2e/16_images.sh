#!/usr/bin/env bash
# Images and volumes, with Debian's registry on loopback: what is made, sent, brought, run, changed and taken away.
source "$(dirname "$0")/noded.bash"
command -v docker-registry >/dev/null || {
  echo "SKIPPED: docker-registry is missing (deploy/install-deps.sh --test)"
  exit 77
}
REGISTRY_PORT=$((20000 + RANDOM % 20000))
REGISTRY=localhost:$REGISTRY_PORT
mkdir "$WORK/registry"
printf 'version: 0.1\nstorage: {filesystem: {rootdirectory: %s}}\nhttp: {addr: "127.0.0.1:%s"}\n' \
  "$WORK/registry" "$REGISTRY_PORT" >"$WORK/registry.yml"
docker-registry serve "$WORK/registry.yml" >"$WORK/registry.log" 2>&1 &
REGISTRY_PID=$!
trap 'kill "$REGISTRY_PID" 2>/dev/null || true' EXIT
registry_answers() { curl -sf "http://127.0.0.1:$REGISTRY_PORT/v2/" >/dev/null; }
start_noded
eventually 20 registry_answers

store_is_empty() { [ -z "$(find "$ROOT/images/blobs/sha256" "$ROOT/images/layers" -mindepth 1)" ]; }
import_busybox() {
  tar -C "$ROOTFS" -c . | nodectl image import - "$1" --change 'CMD ["echo", "from the image"]' "${@:2}" >/dev/null
}

test_an_image_goes_to_a_registry_and_comes_back() {
  import_busybox "$REGISTRY/busybox:1"
  check 0 nodectl run --rm "$REGISTRY/busybox:1"
  same "$OUT" "from the image" "the command of the image"
  check 0 nodectl push "$REGISTRY/busybox:1"
  check 0 nodectl image rm "$REGISTRY/busybox:1"
  eventually 10 store_is_empty
  check 0 nodectl pull "$REGISTRY/busybox:1"
  check 0 nodectl run --rm "$REGISTRY/busybox:1" sh -c 'echo other words'
  same "$OUT" "other words" "the command given"
  check 0 nodectl pull "$REGISTRY/busybox:1"
  matches "$OUT" 'up to date' "a second pull"
}

test_a_missing_image_is_pulled_by_run() {
  check 0 nodectl image rm "$REGISTRY/busybox:1"
  check 125 nodectl run --rm --pull never "$REGISTRY/busybox:1"
  check 0 nodectl run --rm "$REGISTRY/busybox:1"
  matches "$OUT" 'from the image' "what the container wrote"
  check 125 nodectl run --rm "$REGISTRY/nobody:1"
  matches "$ERR" "nobody:1" "the image in the error"
}

test_changes_become_a_layer() {
  check 0 nodectl run --name changed "$REGISTRY/busybox:1" sh -c 'echo new > /new; rm /bin/true'
  check 0 nodectl commit -c 'CMD ["cat", "/new"]' changed mine:2
  check 0 nodectl run --rm mine:2
  same "$OUT" new "the file that was added"
  check 127 nodectl run --rm mine:2 true
  check 0 nodectl image history mine:2
  check 0 nodectl rm changed
}

test_an_archive_holds_an_image() {
  check 0 nodectl save -o "$WORK/mine.tar" mine:2
  check 0 nodectl image rm mine:2
  check 0 nodectl load -i "$WORK/mine.tar"
  check 0 nodectl run --rm mine:2
  same "$OUT" new "the image that was loaded"
  check 0 nodectl image verify
}

test_volumes_outlive_containers() {
  mkdir -p "$WORK/with-data" && cp -a "$ROOTFS/." "$WORK/with-data" && mkdir "$WORK/with-data/data"
  echo given >"$WORK/with-data/data/file"
  tar -C "$WORK/with-data" -c . | nodectl image import - data:1 --change 'VOLUME /data' --change 'CMD cat /data/file' >/dev/null
  check 0 nodectl run --rm -v kept:/data data:1
  same "$OUT" given "what the image has there"
  check 0 nodectl run --rm -v kept:/data data:1 sh -c 'echo changed > /data/file'
  check 0 nodectl run --rm -v kept:/data data:1
  same "$OUT" changed "what was written before"
  check 0 nodectl run --name user -v kept:/data data:1
  check 1 nodectl volume rm kept
  matches "$ERR" 'in use' "why it stays"
  check 0 nodectl rm user
  check 0 nodectl volume rm kept
  # An anonymous one goes with --rm.
  check 0 nodectl run --rm data:1
  check 0 nodectl volume ls -q
  same "$OUT" "" "volumes that are left"
}

test_what_is_used_stays() {
  check 0 nodectl run -d --name user data:1 sleep 1000
  check 1 nodectl image rm data:1
  matches "$ERR" 'is used by container' "why it stays"
  kill_noded
  start_noded
  check 0 nodectl exec user cat /data/file
  check 0 nodectl rm -f -v user
  check 0 nodectl image prune -a -f
  eventually 10 store_is_empty
}

run_tests
