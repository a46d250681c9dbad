#!/usr/bin/env bash
# Makes a small root file system to run containers from: Debian's static busybox and a link for each of its
# commands. usage: deploy/busybox-rootfs.sh DIRECTORY
set -euo pipefail

[ $# -eq 1 ] || { echo "usage: $0 DIRECTORY" >&2; exit 2; }
root=$1
busybox=$(command -v busybox) || { echo "$0: busybox is missing: run deploy/install-deps.sh" >&2; exit 1; }
# A dynamic busybox would look for its libraries inside the container, where there are none.
if LC_ALL=C grep -aq '/ld-linux' "$busybox"; then
  echo "$0: $busybox is not static: install busybox-static" >&2
  exit 1
fi

mkdir -p "$root"/{bin,dev,etc,home/app,proc,root,run,sys,tmp,usr/bin,var/log}
chmod 0755 "$root"
chmod 1777 "$root/tmp"
# One call for all links: they name the path that busybox has here, which must then be there too.
"$busybox" --install -s "$root/bin" 2>/dev/null || true
self=$(readlink -f "$busybox")
mkdir -p "$root$(dirname "$self")"
cp --remove-destination "$busybox" "$root/bin/busybox"
[ "$self" = /bin/busybox ] || ln -sf /bin/busybox "$root$self"
cat >"$root/etc/passwd" <<'PASSWD'
root:x:0:0:root:/root:/bin/sh
app:x:1000:1000:app:/home/app:/bin/sh
nobody:x:65534:65534:nobody:/nonexistent:/bin/false
PASSWD
cat >"$root/etc/group" <<'GROUP'
root:x:0:
app:x:1000:
audio:x:29:app
nogroup:x:65534:
GROUP
chown 1000:1000 "$root/home/app" 2>/dev/null || true
