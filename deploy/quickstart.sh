#!/usr/bin/env bash
# From a bare Debian 12 to a container that survives a kill -9 of its daemon: installs what the build needs, builds,
# and shows the main commands against a daemon of its own. Nothing of it is left behind but the build.
set -euo pipefail
cd "$(dirname "$0")/.."

usage() {
  cat <<'USAGE'
usage: sudo deploy/quickstart.sh [--skip-install] [--skip-build]
  --skip-install  what deploy/install-deps.sh would install is there
  --skip-build    build/release/bin is built
USAGE
}
install=true build=true
for argument in "$@"; do
  case $argument in
    --skip-install) install=false ;;
    --skip-build) build=false ;;
    -h | --help) usage && exit 0 ;;
    *) usage >&2 && exit 2 ;;
  esac
done
[ "$(id -u)" -eq 0 ] || { echo "quickstart: containers need root: sudo $0" >&2; exit 1; }

bold='' plain=''
[ ! -t 1 ] || bold=$'\033[1m' plain=$'\033[0m'
heading() { printf '\n%s%s%s\n' "$bold" "$*" "$plain"; }
# show COMMAND…: prints it as it would be typed, then runs it.
show() {
  local word line='$'
  for word in "$@"; do
    [[ $word =~ ^[A-Za-z0-9_@%+=:,./-]+$ ]] || word="'$word'"
    line+=" $word"
  done
  echo "${line//$work/\$DEMO}"
  "$@"
}
# until_true SECONDS COMMAND…
until_true() {
  local end=$((SECONDS + $1))
  shift
  until "$@"; do
    [ "$SECONDS" -le "$end" ] || return 1
    sleep 0.05
  done
}

if $install; then
  heading "Installing what the build needs"
  deploy/install-deps.sh
fi
if $build; then
  heading "Building (some minutes the first time)"
  cmake --preset release -DNODED_BUILD_TESTS=OFF >/dev/null
  cmake --build --preset release
fi
export PATH="$PWD/build/release/bin:$PATH"
for program in noded nodectl node-shim; do
  command -v "$program" >/dev/null || { echo "quickstart: $program is not built: leave out --skip-build" >&2; exit 1; }
done

# --- a daemon of our own, and the promise to take it away again ----------------------------------

mounts_before=$(cut -d' ' -f3- /proc/self/mountinfo)
# Short, because a Unix socket's path holds 108 bytes.
work=$(mktemp -d /tmp/noded-demo.XXXXXX)
group=/noded-demo-$$
daemon=
export NODECTL_ADDRESS=unix://$work/noded.sock

# Processes that belong to this demonstration: in its cgroup, or started with its directory.
our_processes() {
  local directory
  for directory in /proc/[0-9]*; do
    if grep -qsE "$group(/|\$)" "$directory/cgroup" || grep -qsa -- "$work/state" "$directory/cmdline"; then
      echo "${directory#/proc/}"
    fi
  done
}
none_of_our_processes() { [ -z "$(our_processes)" ]; }
our_groups() { find /sys/fs/cgroup -depth -type d -path "*$group*" 2>/dev/null || true; }

clean_up() {
  local status=$?
  trap - EXIT INT TERM
  # After a failure or ^C containers may still run. The daemon removes them best; without it, by hand.
  if [ -n "$daemon" ] && kill -0 "$daemon" 2>/dev/null; then
    for container in $(timeout 10 nodectl ps -a -q 2>/dev/null); do
      timeout 20 nodectl rm -f "$container" >/dev/null 2>&1 || true
    done
    kill -TERM "$daemon" 2>/dev/null || true
  fi
  until_true 5 none_of_our_processes || {
    for process in $(our_processes); do kill -KILL "$process" 2>/dev/null || true; done
    until_true 5 none_of_our_processes || true
  }
  our_groups | while read -r directory; do rmdir "$directory" 2>/dev/null || true; done
  rm -rf --one-file-system "$work"

  local left
  left=$(our_processes | sed 's/^/process /'; our_groups | sed 's/^/cgroup /'
    diff <(echo "$mounts_before") <(cut -d' ' -f3- /proc/self/mountinfo) | grep '^[<>]' | sed 's/^/mount /' || true
    [ ! -e "$work" ] || echo "directory $work")
  if [ -n "$left" ]; then
    printf 'quickstart: left behind:\n%s\n' "$left" >&2
    exit 1
  fi
  heading "Nothing is left behind: no process, mount, cgroup, socket or directory."
  [ "$status" -eq 0 ] || { echo "quickstart: failed with status $status" >&2; exit "$status"; }
  cat <<'NEXT'

How to go on:
  sudo cmake --install build/release              puts noded, nodectl and node-shim into /usr/local/bin
  sudo noded                                      listens on unix:///run/noded/noded.sock
  sudo deploy/busybox-rootfs.sh /srv/busybox      a root file system to play with
  sudo nodectl run -it --rm --rootfs /srv/busybox sh
README.md has the tour; deploy/README.md a systemd unit, certificates and a checklist for hosts.
NEXT
}
trap clean_up EXIT
trap 'exit 130' INT TERM

start_daemon() {
  noded --listen "unix://$work/noded.sock" --root "$work/root" --state-dir "$work/state" \
    --cgroup-parent "$group" >>"$work/noded.log" 2>&1 </dev/null &
  daemon=$!
  disown "$daemon"
  until_true 30 answers || { cat "$work/noded.log" >&2; echo "quickstart: noded does not answer" >&2; exit 1; }
}
answers() { kill -0 "$daemon" && nodectl version >/dev/null 2>&1; }

heading "A root file system from Debian's static busybox, and a daemon"
deploy/busybox-rootfs.sh "$work/busybox"
echo "\$ DEMO=$work"
echo "\$ noded --listen unix://\$DEMO/noded.sock --root \$DEMO/root --state-dir \$DEMO/state --cgroup-parent $group &"
echo "\$ export NODECTL_ADDRESS=unix://\$DEMO/noded.sock"
start_daemon
show nodectl version

# --- the tour ------------------------------------------------------------------------------------

heading "A container in the foreground: its output, its exit status"
show nodectl run --rm --rootfs "$work/busybox" echo "hello from a container"

echo "\$ nodectl run --rm --rootfs \$DEMO/busybox sh -c 'exit 42'; echo \$?"
nodectl run --rm --rootfs "$work/busybox" sh -c 'exit 42' && status=0 || status=$?
echo "$status"
[ "$status" -eq 42 ] || { echo "quickstart: the exit status should be 42" >&2; exit 1; }

heading "One in the background, with limits"
show nodectl run -d --name counter --memory 64m --cpus 0.5 --pids-limit 50 --rootfs "$work/busybox" \
  sh -c 'trap "exit 0" TERM; i=0; while sleep 0.1; do i=$((i+1)); echo "line $i"; done'
show nodectl ps

heading "Inside it: a process tree, a host name and a network of its own"
show nodectl exec counter ps
show nodectl exec counter hostname
show nodectl exec -u app counter id
show nodectl exec counter ip -o link

heading "Its log, and what it uses"
logged() { nodectl logs counter | grep -q 'line 5'; }
until_true 20 logged
show nodectl logs --tail 3 counter
show nodectl stats --no-stream counter

heading "kill -9 of the daemon: the container goes on, and its log has no gap"
process=$(nodectl inspect counter | sed -nE 's/^ *"pid": *"?([0-9]+).*/\1/p' | head -1)
show kill -9 "$daemon"
until_true 10 bash -c "! kill -0 $daemon 2>/dev/null"
lines_now() { find "$work/root/containers" -type f -path '*log*' -exec cat {} + | wc -l; }
before=$(lines_now)
more_lines() { [ "$(lines_now)" -gt "$((before + 3))" ]; }
until_true 20 more_lines || { echo "quickstart: the container writes no more" >&2; exit 1; }
echo "(no daemon runs; the container${process:+, process $process,} writes on)"
echo "\$ noded … &"
start_daemon
show nodectl ps
show nodectl exec counter echo "still here"
show nodectl logs --tail 3 counter
nodectl logs counter | awk '$2 != NR {print "quickstart: the log has a gap at line " NR; exit 1}'
echo "(all $(nodectl logs counter | wc -l) lines are there, in order)"

heading "Stopped, and gone"
show nodectl stop -t 2 counter
show nodectl ps -a
show nodectl rm counter
show nodectl ps -a
