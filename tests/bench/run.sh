#!/usr/bin/env bash
# Measures noded against a floor program and against installed peers, in one run, and prints a table.
# Numbers of different runs or machines do not compare; the ratios of one run do.
#
# usage: tests/bench/run.sh [--bin DIR] [--count N] [--containers N] [--cycles N] [--only start|size|client|cgroup|stats|metrics]
#   --bin DIR       where noded and the bench programs are (default build/release/bin, built with
#                   cmake --preset release -DNODED_BUILD_TESTS=ON && cmake --build --preset release)
#   --count N       starts of each contender (100)
#   --containers N  idle containers (100)
#   --cycles N      start–stop cycles (10000)
set -euo pipefail
cd "$(dirname "$0")/../.."
bin=build/release/bin count=100 containers=100 cycles=10000 only=
while [ $# -gt 0 ]; do
  case $1 in
    --bin) bin=$2; shift 2 ;;
    --count) count=$2; shift 2 ;;
    --containers) containers=$2; shift 2 ;;
    --cycles) cycles=$2; shift 2 ;;
    --only) only=$2; shift 2 ;;
    -h | --help) sed -n '2,11s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) echo "run.sh: unknown argument '$1'; see --help" >&2; exit 2 ;;
  esac
done
for program in noded nodectl node-shim bench_start bench_size bench_cgroup bench_stats bench_metrics floor; do
  [ -x "$bin/$program" ] || { echo "run.sh: $bin/$program is missing; build it first (see --help)" >&2; exit 1; }
done

work=$(mktemp -d "${TMPDIR:-/var/tmp}/noded-bench.XXXXXX")
address=unix://$work/noded.sock
noded=
cleanup() {
  [ -z "$noded" ] || { kill "$noded" 2>/dev/null || true; wait "$noded" 2>/dev/null || true; }
  for group in /sys/fs/cgroup/{,*/}noded-bench{,-stats}; do rmdir "$group" 2>/dev/null || true; done
  rm -rf "$work"
}
trap cleanup EXIT

root=$work/rootfs
mkdir -p "$root"/{bin,proc,sys,dev,etc,tmp} "$work/floor/bundle"
cp /bin/busybox "$root/bin/"
for applet in sh true sleep cat; do ln -s busybox "$root/bin/$applet"; done

# The same container for the peers: runc's own default specification with our command, root and limits.
if command -v runc >/dev/null && command -v jq >/dev/null; then
  (cd "$work/floor/bundle" && runc spec)
  jq --arg root "$root" '.process.args = ["/bin/true"] | .process.terminal = false | .root.path = $root
    | .root.readonly = false | .linux.resources.memory.limit = 67108864 | .linux.resources.pids.limit = 100
    | .linux.resources.cpu = {quota: 50000, period: 100000}' "$work/floor/bundle/config.json" >"$work/config" &&
    mv "$work/config" "$work/floor/bundle/config.json"
fi

"$bin/noded" --listen "$address" --root "$work/root" --state-dir "$work/state" --cgroup-parent /noded-bench \
  --log-level warn >"$work/noded.log" 2>&1 &
noded=$!
until "$bin/nodectl" -a "$address" version >/dev/null 2>&1; do
  kill -0 "$noded" 2>/dev/null || { cat "$work/noded.log" >&2; exit 1; }
done

[ -n "$only" ] && [ "$only" != start ] || "$bin/bench_start" "$address" "$root" "$work/floor" "$bin/floor" "$count"
[ -n "$only" ] && [ "$only" != size ] || "$bin/bench_size" "$address" "$root" "$noded" "$containers" "$cycles"
if { [ -z "$only" ] || [ "$only" = client ]; } && [ -x "$bin/bare_client" ]; then
  "$bin/bench_start" --pair "$count" "$bin/nodectl -a $address version" "$bin/bare_client $address"
fi
[ -n "$only" ] && [ "$only" != cgroup ] || "$bin/bench_cgroup"
[ -n "$only" ] && [ "$only" != stats ] || "$bin/bench_stats" "$work" "$root" "$bin/node-shim" 500
[ -n "$only" ] && [ "$only" != metrics ] || "$bin/bench_metrics"
