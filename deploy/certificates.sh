#!/usr/bin/env bash
# Makes the certificates for noded over TCP: an authority, a server's and a client's. All of noded's TLS is mutual:
# whoever holds a client certificate of this authority is root on the node, so keep the authority's key elsewhere.
# Run again it keeps the authority and renews the other two.
#
# usage: deploy/certificates.sh DIRECTORY NAME_OR_ADDRESS…
#   NAME_OR_ADDRESS  how clients reach the server: host names, IPv4 or IPv6 addresses
#   CLIENT=NAME      common name of the client (default: operator)
#   DAYS=N           validity of server and client (default: 365; the authority: ten times as long)
set -euo pipefail

[ $# -ge 2 ] || { sed -n '2,/^set/p' "$0" | sed -n 's/^# \{0,1\}//p' >&2; exit 2; }
directory=$1
shift
days=${DAYS:-365}
names=
for name in "$@"; do
  # An address is compared with IP entries alone, and a name with DNS entries alone.
  if [[ $name =~ ^[0-9.]+$ || $name == *:* ]]; then kind=IP; else kind=DNS; fi
  names+="${names:+,}$kind:$name"
done

umask 077
mkdir -p "$directory"
cd "$directory"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

key() { openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1" 2>/dev/null; }

if [ ! -e ca.key ]; then
  key ca.key
  openssl req -x509 -new -key ca.key -sha256 -days "$((days * 10))" -subj "/CN=noded authority" \
    -addext "basicConstraints=critical,CA:TRUE,pathlen:0" -addext "keyUsage=critical,keyCertSign,cRLSign" \
    -out ca.crt
fi

# issue FILE COMMON_NAME EXTENSIONS
issue() {
  key "$1.key"
  openssl req -new -key "$1.key" -subj "/CN=$2" -out "$work/$1.csr"
  printf '%s\n' "basicConstraints=critical,CA:FALSE" "keyUsage=critical,digitalSignature" "$3" >"$work/$1.ext"
  openssl x509 -req -in "$work/$1.csr" -CA ca.crt -CAkey ca.key -set_serial "0x$(openssl rand -hex 16)" \
    -sha256 -days "$days" -extfile "$work/$1.ext" -out "$1.crt" 2>/dev/null
}
issue server "$1" "extendedKeyUsage=serverAuth
subjectAltName=$names"
issue client "${CLIENT:-operator}" "extendedKeyUsage=clientAuth"
chmod 0644 ca.crt server.crt client.crt

openssl verify -CAfile ca.crt server.crt client.crt >/dev/null
cat <<DONE
made in $PWD:
  ca.crt                  the authority's certificate: to both sides
  server.crt, server.key  for noded:    --tls-cert server.crt --tls-key server.key --tls-ca ca.crt
  client.crt, client.key  for nodectl:  --tls-cert client.crt --tls-key client.key --tls-ca ca.crt
  ca.key                  the authority's key: keep it off the node
DONE
