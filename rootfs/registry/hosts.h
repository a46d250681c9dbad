// Where a registry is asked: itself, or mirrors before it, over TLS with an authority of its own or
// plain http, as the configuration says by registry. Values; pure but for FilesOf, which looks
// whether files are there. Thread-compatible.
//
// A rule is one line of words, several rules of a registry are tried in their order, and after them
// the registry itself, unless a rule of it names it or says `last`:
//
//   docker.io https://mirror.lan:5000/hub pull,resolve ca=/etc/noded/lan.crt
//   lab.lan:5000 http://lab.lan:5000
//
//   REGISTRY URL [CAPABILITIES] [ca=FILE] [cert=FILE key=FILE] [skip-verify] [last]
//       ["header=NAME: VALUE"]
//
// CAPABILITIES are of pull (contents and manifests by digest), resolve (manifests by tag) and push;
// without them a mirror has pull and resolve, the registry itself all. Below the URL's path is
// "/v2", as in containerd's hosts.toml (hosts.md).
#ifndef ROOTFS_REGISTRY_HOSTS_H_
#define ROOTFS_REGISTRY_HOSTS_H_

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "rootfs/registry/url.h"

namespace noded::registry {

// Files in PEM; empty: none. The system's authorities are trusted besides `ca_file`.
struct TlsFiles {
  std::string ca_file, certificate_file, key_file;
  bool skip_verify = false;
  bool operator==(const TlsFiles&) const = default;
};

// One place to ask.
struct Host {
  Url api;               // "https://mirror.lan:5000/hub/v2"
  std::string registry;  // for whom it speaks: "docker.io"
  bool pull = true, resolve = true, push = true;
  // Another than the registry: gets none of the registry's credentials, but those of its own.
  bool mirror = false;
  // Nobody said that it is https: on loopback it may turn out to be plain http.
  bool scheme_is_guessed = false;
  TlsFiles tls;
  std::vector<std::string> headers;  // "Name: value", for this host alone

  // By which its credentials are known: "docker.io" for the registry, "mirror.lan:5000".
  std::string CredentialsName() const;
};

class HostsConfig {
 public:
  // INVALID_ARGUMENT: `rule "…": <why>`.
  static absl::StatusOr<HostsConfig> Parse(const std::vector<std::string>& rules);

  // In the order in which they are to be asked; never empty. docker.io is at registry-1.docker.io.
  // INVALID_ARGUMENT when `registry` is no host with or without a port.
  absl::StatusOr<std::vector<Host>> HostsOf(const std::string& registry) const;

 private:
  struct Rules {
    std::vector<Host> hosts;
    bool last = false;
  };
  std::map<std::string, Rules> by_registry_;
};

// The host's own files, or for those that it has not ca.crt, client.cert and client.key in
// <directory>/<host>[:<port>] where these are there: as Docker's certs.d.
TlsFiles FilesOf(const Host& host, const std::string& directory);

}  // namespace noded::registry

#endif  // ROOTFS_REGISTRY_HOSTS_H_
