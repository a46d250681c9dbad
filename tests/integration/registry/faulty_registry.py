#!/usr/bin/env python3
"""A registry of the OCI distribution spec that fails as it is told to.

    faulty_registry.py [--port N] [--layout REPOSITORY=DIR]… [--faults FILE] [--tls CERT KEY]
                       [--token-user NAME:PASSWORD]

Serves OCI image layouts: a tag is the annotation org.opencontainers.image.ref.name in index.json, contents are
blobs/sha256/*. What is pushed goes into the layout's blobs, tags into memory. Its first line of output is the port that it
listens on, on 127.0.0.1. It ends when its standard input does.

With --token-user pulls and pushes need a bearer token, which /token gives for that name and password, or to a POST whose
refresh_token is the password.

Faults are a JSON list of objects; the first one that fits a request is done to it:

    path     regular expression that is found in the path (with its query); default: all
    method   default: all
    times    how often it is done before it counts no more; default: always
    skip     how many fitting requests pass before it begins; default 0
    no_range true: a range that is asked for is ignored; alone or besides a fault
    fault    status        answers "status" with "headers" (an object) and "body" (text)
             cut           sends the first "bytes" of the body, then closes the connection
             stall         sends the first "bytes" of the body, then nothing for "seconds"
             slow          waits "seconds" before it answers
             close         closes the connection without an answer
             wrong_bytes   the last byte of the body is another one
             wrong_length  Content-Length is "add" more than there is, and that much is sent as zeros
             short         Content-Length and body are "less" bytes less, as if that was all
             wrong_digest  Docker-Content-Digest is another one
             redirect      307 to "to" (scheme, host, port) and the same path
             huge          "bytes" blanks with the content's media type

    PUT  /_faults   replaces the list
    GET  /_log      requests so far: method, path, headers, status, sent (bytes of the body)
"""

import argparse
import base64
import hashlib
import http.server
import json
import os
import re
import socket
import ssl
import sys
import threading
import time
import urllib.parse

CHUNK = 64 << 10


class State:
    """All of the registry; the lock guards what requests change."""

    def __init__(self, options):
        self.lock = threading.Lock()
        self.layouts = dict(pair.split("=", 1) for pair in options.layout)
        self.tags = {}
        for repository, directory in self.layouts.items():
            self.read_tags(repository, directory)
        self.user = options.token_user
        self.tokens = set()
        self.faults = []
        self.log = []
        self.uploads = 0
        if options.faults:
            with open(options.faults, encoding="utf-8") as file:
                self.faults = json.load(file)

    def read_tags(self, repository, directory):
        try:
            with open(os.path.join(directory, "index.json"), encoding="utf-8") as file:
                index = json.load(file)
        except FileNotFoundError:
            return
        for manifest in index["manifests"]:
            tag = manifest.get("annotations", {}).get("org.opencontainers.image.ref.name")
            if tag:
                self.tags[repository, tag] = manifest["digest"], manifest["mediaType"]

    def blob_path(self, repository, digest):
        name = re.fullmatch(r"sha256:([0-9a-f]{64})", digest)
        if not name or repository not in self.layouts:
            return None
        return os.path.join(self.layouts[repository], "blobs", "sha256", name.group(1))

    def fault_of(self, method, path):
        with self.lock:
            for fault in self.faults:
                if fault.get("method", method) != method or not re.search(fault.get("path", ""), path):
                    continue
                if fault.get("skip", 0) > 0:
                    fault["skip"] -= 1
                    continue
                if fault.get("times") == 0:
                    continue
                if "times" in fault:
                    fault["times"] -= 1
                return dict(fault)
        return {}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    state: State

    def log_message(self, *_):
        pass

    # --- answers ---

    def answer(self, status, body=b"", headers=None):
        """The body is bytes, or (file, size) read from where the file stands."""
        size = len(body) if isinstance(body, bytes) else body[1]
        headers = dict(headers or {})
        fault = self.fault.get("fault")
        limit, tail = size, b""
        if fault in ("cut", "stall"):
            limit = min(size, self.fault["bytes"])
        elif fault == "short":
            size = limit = max(size - self.fault["less"], 0)
        elif fault == "wrong_length":
            tail = b"\0" * self.fault["add"]
        elif fault == "wrong_digest" and "Docker-Content-Digest" in headers:
            headers["Docker-Content-Digest"] = "sha256:" + "0" * 64
        self.send_response(status)
        headers.setdefault("Content-Length", str(size + len(tail)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.entry["status"] = status
        if self.command == "HEAD":
            return
        self.send_body(body, limit, fault == "wrong_bytes")
        self.send_bytes(tail)
        if fault == "stall":
            self.wfile.flush()
            time.sleep(self.fault["seconds"])
        if fault in ("cut", "stall") and limit < size:
            self.close_connection = True

    def send_body(self, body, size, damage):
        while size > 0:
            if isinstance(body, bytes):
                piece, body = body[:min(CHUNK, size)], body[min(CHUNK, size):]
            else:
                piece = body[0].read(min(CHUNK, size))
            if not piece:
                break
            size -= len(piece)
            if damage and size == 0:
                piece = piece[:-1] + bytes([piece[-1] ^ 1])
            self.send_bytes(piece)

    def send_bytes(self, piece):
        self.wfile.write(piece)
        self.entry["sent"] += len(piece)

    def error(self, status, code, message, headers=None):
        text = json.dumps({"errors": [{"code": code, "message": message}]}).encode()
        self.answer(status, text, {"Content-Type": "application/json", **(headers or {})})

    # --- requests ---

    def handle(self):
        """Somebody who begins with TLS is answered as Go's servers do: a readline could wait for ever."""
        if not isinstance(self.connection, ssl.SSLSocket) and self.connection.recv(1, socket.MSG_PEEK) == b"\x16":
            self.connection.sendall(b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTPS request to an HTTP server.\n")
            return
        super().handle()

    def handle_any(self):
        self.body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path.startswith("/_"):
            self.fault, self.entry = {}, {"sent": 0}
            return self.control()
        self.fault = self.state.fault_of(self.command, self.path)
        self.entry = {"method": self.command, "path": self.path, "sent": 0, "status": 0,
                      "headers": {name.lower(): value for name, value in self.headers.items()}}
        with self.state.lock:
            self.state.log.append(self.entry)
        fault = self.fault.get("fault")
        if fault == "close":
            self.close_connection = True
        elif fault == "status":
            self.answer(self.fault["status"], self.fault.get("body", "").encode(), self.fault.get("headers"))
        elif fault == "redirect":
            self.answer(307, b"", {"Location": self.fault["to"] + self.path})
        else:
            if fault == "slow":
                time.sleep(self.fault["seconds"])
            self.route()

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = handle_any

    def control(self):
        if self.command == "PUT" and self.path == "/_faults":
            with self.state.lock:
                self.state.faults = json.loads(self.body)
            self.answer(204)
        elif self.path == "/_log":
            with self.state.lock:
                text = json.dumps(self.state.log).encode()
            self.answer(200, text)
        else:
            self.answer(404)

    def route(self):
        path, _, query = self.path.partition("?")
        parameters = urllib.parse.parse_qs(query)
        if path == "/token":
            return self.give_token(parameters)
        if self.state.user and self.headers.get("Authorization", "").removeprefix("Bearer ") not in self.state.tokens:
            return self.ask_for_token(path)
        match = re.fullmatch(r"/v2/(.+)/(manifests|blobs)/(uploads/.*|[^/]+)", path)
        if not match:
            return self.answer(200 if path == "/v2/" else 404)
        repository, kind, name = match.groups()
        if kind == "manifests":
            return self.put_manifest(repository, name) if self.command == "PUT" else self.manifest(repository, name)
        if name.startswith("uploads/"):
            return self.upload(repository, parameters)
        return self.blob(repository, name)

    def ask_for_token(self, path):
        host = self.headers.get("Host")
        scheme = "https" if isinstance(self.connection, ssl.SSLSocket) else "http"
        repository = path.removeprefix("/v2/").partition("/manifests/")[0].partition("/blobs/")[0]
        self.error(401, "UNAUTHORIZED", "authentication required", {
            "WWW-Authenticate": f'Bearer realm="{scheme}://{host}/token",service="faulty",'
                                f'scope="repository:{repository}:pull"'})

    def give_token(self, parameters):
        wanted = "Basic " + base64.b64encode(self.state.user.encode()).decode()
        form = urllib.parse.parse_qs(self.body.decode()) if self.command == "POST" else {}
        refreshes = form.get("refresh_token") == [self.state.user.partition(":")[2]]
        if not refreshes and self.headers.get("Authorization") != wanted:
            return self.error(401, "UNAUTHORIZED", "incorrect username or password")
        token = hashlib.sha256(f"{len(self.state.log)} {parameters}".encode()).hexdigest()
        with self.state.lock:
            self.state.tokens.add(token)
        self.answer(200, json.dumps({"access_token" if form else "token": token, "expires_in": 300}).encode(),
                    {"Content-Type": "application/json"})

    def manifest(self, repository, name):
        digest, media_type = self.state.tags.get((repository, name), (name, None))
        path = self.state.blob_path(repository, digest)
        if not path or not os.path.exists(path):
            return self.error(404, "MANIFEST_UNKNOWN", "manifest unknown")
        with open(path, "rb") as file:
            body = file.read()
        media_type = media_type or json.loads(body).get("mediaType", "application/vnd.oci.image.manifest.v1+json")
        if self.fault.get("fault") == "huge":
            body = b" " * self.fault["bytes"]
        self.answer(200, body, {"Content-Type": media_type, "Docker-Content-Digest": digest})

    def blob(self, repository, digest):
        path = self.state.blob_path(repository, digest)
        if not path or not os.path.exists(path):
            return self.error(404, "BLOB_UNKNOWN", "blob unknown to registry")
        size = os.path.getsize(path)
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        with open(path, "rb") as file:
            headers = {"Content-Type": "application/octet-stream", "Docker-Content-Digest": digest}
            if not wanted or self.fault.get("no_range"):
                return self.answer(200, (file, size), headers)
            begin = int(wanted.group(1))
            if begin >= size:
                return self.error(416, "RANGE_INVALID", "range not satisfiable")
            file.seek(begin)
            headers["Content-Range"] = f"bytes {begin}-{size - 1}/{size}"
            self.answer(206, (file, size - begin), headers)

    def upload(self, repository, parameters):
        if self.command == "DELETE":
            return self.answer(204)
        if self.command == "POST":
            mounted = parameters.get("mount", [""])[0]
            source = self.state.blob_path(parameters.get("from", [""])[0], mounted)
            target = self.state.blob_path(repository, mounted)
            if source and target and os.path.exists(source):
                with open(source, "rb") as file:
                    self.store(target, file.read())
                return self.answer(201)
            with self.state.lock:
                self.state.uploads += 1
            return self.answer(202, b"", {"Location": f"/v2/{repository}/blobs/uploads/{self.state.uploads}?state=x"})
        digest = parameters.get("digest", [""])[0]
        path = self.state.blob_path(repository, digest)
        if not path or "sha256:" + hashlib.sha256(self.body).hexdigest() != digest:
            return self.error(400, "DIGEST_INVALID", "provided digest did not match uploaded content")
        self.store(path, self.body)
        self.answer(201, b"", {"Docker-Content-Digest": digest})

    def put_manifest(self, repository, name):
        digest = "sha256:" + hashlib.sha256(self.body).hexdigest()
        self.store(self.state.blob_path(repository, digest), self.body)
        with self.state.lock:
            self.state.tags[repository, name] = digest, self.headers["Content-Type"]
        self.answer(201, b"", {"Docker-Content-Digest": digest})

    @staticmethod
    def store(path, body):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(body)


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request, client_address):
        """A client that goes away is what tests do."""
        if not isinstance(sys.exc_info()[1], (ConnectionError, ssl.SSLError, socket.timeout)):
            super().handle_error(request, client_address)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--layout", action="append", default=[])
    parser.add_argument("--faults")
    parser.add_argument("--tls", nargs=2, metavar=("CERT", "KEY"))
    parser.add_argument("--token-user", default="")
    options = parser.parse_args()
    handler = type("RegistryHandler", (Handler,), {"state": State(options)})
    server = Server(("127.0.0.1", options.port), handler)
    if options.tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*options.tls)
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    sys.stdout.write(f"{server.server_address[1]}\n")
    sys.stdout.flush()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdin.read()


if __name__ == "__main__":
    main()
