// Registries on loopback that a test starts and that end with it. Single-threaded.
#ifndef TESTS_INTEGRATION_REGISTRY_SERVERS_H_
#define TESTS_INTEGRATION_REGISTRY_SERVERS_H_

#include <sys/types.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "node/base/unique_fd.h"
#include "rootfs/oci/document.h"

namespace noded::registry {

// A program that is killed and reaped with its object.
class Server {
 public:
  Server(const Server&) = delete;
  virtual ~Server();
  int port() const { return port_; }
  // "127.0.0.1:5000"
  std::string authority() const;

 protected:
  Server() = default;
  // Standard input and output are these, or /dev/null for -1; standard error goes to `log`.
  void Start(std::vector<std::string> argv, int input, int output, const std::string& log);
  int port_ = 0;

 private:
  pid_t pid_ = -1;
};

// Debian's docker-registry with its storage below `directory`.
class DockerRegistry : public Server {
 public:
  struct Options {
    std::string htpasswd;          // file; empty: no authentication
    std::string certificate, key;  // files; empty: plain http
  };
  DockerRegistry(const std::string& directory, const Options& options);
  explicit DockerRegistry(const std::string& directory) : DockerRegistry(directory, Options()) {}

 private:
  void Begin(const std::string& directory, const Options& options);
};

// See faulty_registry.py. Serves the repository "app" from the layout `directory`.
class FaultyRegistry : public Server {
 public:
  explicit FaultyRegistry(const std::string& directory, std::vector<std::string> options = {});

  void SetFaults(const std::vector<nlohmann::json>& faults);
  nlohmann::json Log();
  // Bytes of bodies sent for paths with `part` in them.
  int64_t SentFor(const std::string& part);

 private:
  void Begin(std::vector<std::string> argv, const std::string& log);
  std::string Ask(const std::string& method, const std::string& path, const std::string& body);
  UniqueFd input_;
};

// An authority and a certificate of it for 127.0.0.1 and localhost: ca.crt, server.crt, server.key.
void MakeCertificates(const std::string& directory);

// Writes `bytes` to a layout and describes them.
oci::Descriptor AddBlob(const std::string& layout, const std::string& bytes);
// The same of a manifest of these layers, tagged.
oci::Descriptor AddImage(const std::string& layout, const std::string& tag,
                         const std::vector<oci::Descriptor>& layers);

// That many bytes that repeat nowhere near.
std::string Noise(size_t size);

}  // namespace noded::registry

#endif  // TESTS_INTEGRATION_REGISTRY_SERVERS_H_
