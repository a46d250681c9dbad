#!/usr/bin/env bash
# TCP: mutual TLS 1.3 with certificates made here; anything less is refused.
source "$(dirname "$0")/noded.bash"
PORT=$((20000 + ($$ + 7000) % 20000))
CERTS=$WORK/certs
"$REPO/deploy/certificates.sh" "$CERTS" localhost 127.0.0.1 >/dev/null 2>&1
"$REPO/deploy/certificates.sh" "$WORK/strangers" localhost 127.0.0.1 >/dev/null 2>&1
start_noded --listen "127.0.0.1:$PORT" \
  --tls-cert "$CERTS/server.crt" --tls-key "$CERTS/server.key" --tls-ca "$CERTS/ca.crt"

over_tls() { # over_tls CA CERT_DIRECTORY COMMAND…
  nodectl -a "127.0.0.1:$PORT" --tls-ca "$1/ca.crt" --tls-cert "$2/client.crt" --tls-key "$2/client.key" "${@:3}"
}
handshake() { openssl s_client -connect "127.0.0.1:$PORT" -CAfile "$CERTS/ca.crt" -alpn h2 "$@" </dev/null 2>&1; }

test_nodectl_with_its_certificate() {
  check 0 over_tls "$CERTS" "$CERTS" version
  check 0 over_tls "$CERTS" "$CERTS" run --rm --rootfs "$ROOTFS" /bin/echo over tls
  same "$OUT" "over tls" output
}

test_a_foreign_client_with_a_certificate() {
  check 0 "$E2E_DIR/grpc_client.py" --ca "$CERTS/ca.crt" --cert "$CERTS/client.crt" --key "$CERTS/client.key" \
    "localhost:$PORT" call node.v1.NodeService/GetInfo
  same "$(jq -r .pid <<<"$OUT")" "$(noded_pid)" pid
}

test_no_certificate_is_refused() {
  check 2 nodectl -a "127.0.0.1:$PORT" --tls-ca "$CERTS/ca.crt" ps
  matches "$ERR" 'tls-cert' "what is missing"
  check 1 "$E2E_DIR/grpc_client.py" --deadline 10 --ca "$CERTS/ca.crt" "localhost:$PORT" call node.v1.NodeService/GetInfo
}

test_a_certificate_of_strangers_is_refused() {
  check 1 over_tls "$CERTS" "$WORK/strangers" ps
}

test_a_server_of_strangers_is_refused_by_nodectl() {
  check 1 over_tls "$WORK/strangers" "$CERTS" ps
}

test_plain_text_is_refused() {
  check 2 nodectl -a "127.0.0.1:$PORT" ps
  check 1 nodectl -a "127.0.0.1:$PORT" --insecure ps
}

test_tls_13_only() {
  # Read whole before it is searched: a grep -q that leaves early would break the pipe of who still writes.
  local answer version
  answer=$(handshake -tls1_3 -cert "$CERTS/client.crt" -key "$CERTS/client.key") || true
  printf '%s\n' "$answer" >&2
  grep -q 'TLSv1.3' <<<"$answer" || fail "TLS 1.3 was refused"
  for version in -tls1_2 -tls1_1; do
    answer=$(handshake "$version" -cert "$CERTS/client.crt" -key "$CERTS/client.key") || true
    if grep -qE 'Cipher *(is|:) *[A-Z0-9]+-' <<<"$answer"; then
      fail "$version was accepted"
    fi
  done
}

test_tcp_without_tls_is_refused() {
  local other=$WORK/other
  check 2 timeout 10 noded --listen "127.0.0.1:$((PORT + 1))" --root "$other" --state-dir "$other/s" --cgroup-parent "$CGROUP-other"
  matches "$ERR$OUT" 'TLS|tls|insecure' "why"
  check 2 timeout 10 noded --listen "0.0.0.0:$((PORT + 1))" --insecure --root "$other" --state-dir "$other/s" --cgroup-parent "$CGROUP-other"
  matches "$ERR$OUT" 'loopback' "why"
}

test_half_a_set_of_keys_is_refused() {
  local other=$WORK/other
  check 2 timeout 10 noded --listen "127.0.0.1:$((PORT + 1))" --tls-cert "$CERTS/server.crt" --root "$other" --state-dir "$other/s" --cgroup-parent "$CGROUP-other"
}

test_the_socket_is_root_only() {
  same "$(stat -c '%a %U' "$SOCKET")" "660 root" "mode and owner of the socket"
}

run_tests
