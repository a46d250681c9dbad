#!/bin/sh
# Stops every running container with its own signal and grace. Run by noded-shutdown.service when the host shuts down.
# usage: noded-shutdown     NODECTL_ADDRESS: where noded listens, when not on its usual socket
set -u
answers() { nodectl --timeout 5s version >/dev/null 2>&1; }

# Containers run on while noded is stopped; then one is started for the time being.
own=
if ! answers; then
  config=/etc/noded/noded.toml
  [ -e "$config" ] && set -- --config "$config"
  # Not a daemon that systemd started, so it would not look for its containers in the scope.
  noded "$@" --cgroup-parent /noded.slice/noded-containers.scope &
  own=$!
  until answers; do
    kill -0 "$own" 2>/dev/null || { echo "noded-shutdown: noded does not start" >&2; exit 1; }
    sleep 0.1
  done
fi
# nodectl stops sixteen at a time; with one for each sixteen, no container waits for another's grace.
nodectl ps -q | xargs -r -n 16 -P 0 nodectl stop
status=$?
[ -z "$own" ] || kill "$own"
exit "$status"
