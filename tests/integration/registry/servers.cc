#include "tests/integration/registry/servers.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <random>
#include <thread>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "node/base/file.h"
#include "node/base/spawn.h"

namespace noded::registry {
namespace {

using nlohmann::json;

sockaddr_in Loopback(int port) {
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  return address;
}

// Free at this moment; nothing else on this host asks for a fixed one in the range of these.
int FreePort() {
  UniqueFd listener(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address = Loopback(0);
  socklen_t size = sizeof(address);
  auto* raw = reinterpret_cast<sockaddr*>(&address);
  if (bind(listener.get(), raw, size) != 0 || getsockname(listener.get(), raw, &size) != 0)
    return 0;
  return ntohs(address.sin_port);
}

UniqueFd Connect(int port) {
  UniqueFd connection(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const sockaddr_in address = Loopback(port);
  if (connect(connection.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0)
    return UniqueFd();
  return connection;
}

void Write(const std::string& path, const std::string& content) {
  ASSERT_TRUE(ReplaceFileAt(AT_FDCWD, path, content).ok()) << path;
}

int RunShell(const std::string& command) {
  return std::system(absl::StrCat("{ ", command, "; } >/dev/null 2>&1").c_str());
}

}  // namespace

void Server::Start(std::vector<std::string> argv, int input, int output, const std::string& log) {
  UniqueFd null(open("/dev/null", O_RDWR | O_CLOEXEC));
  UniqueFd error(open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  const std::string program = argv[0];
  auto pid = Spawn(program, std::move(argv), environ,
                   {input < 0 ? null.get() : input, output < 0 ? null.get() : output, error.get()});
  ASSERT_TRUE(pid.ok()) << pid.status();
  pid_ = *pid;
}

Server::~Server() {
  if (pid_ <= 0) return;
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
}

std::string Server::authority() const { return absl::StrCat("127.0.0.1:", port_); }

// Assertions are no part of constructors.
DockerRegistry::DockerRegistry(const std::string& directory, const Options& options) {
  Begin(directory, options);
}

void DockerRegistry::Begin(const std::string& directory, const Options& options) {
  port_ = FreePort();
  std::string config = absl::StrCat(
      "version: 0.1\nlog:\n  level: warn\nstorage:\n  filesystem:\n    rootdirectory: ", directory,
      "/storage\n  delete:\n    enabled: true\nhttp:\n  addr: ", authority(), "\n");
  if (!options.certificate.empty())
    absl::StrAppend(&config, "  tls:\n    certificate: ", options.certificate,
                    "\n    key: ", options.key, "\n");
  if (!options.htpasswd.empty())
    absl::StrAppend(&config, "auth:\n  htpasswd:\n    realm: test\n    path: ", options.htpasswd,
                    "\n");
  ASSERT_TRUE(MakeDirs(directory + "/storage").ok());
  Write(directory + "/config.yml", config);
  Start({"docker-registry", "serve", directory + "/config.yml"}, -1, -1, directory + "/log");
  for (int i = 0; i < 1000 && Connect(port_).get() < 0; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  ASSERT_GE(Connect(port_).get(), 0) << "docker-registry does not answer: " << directory << "/log";
}

FaultyRegistry::FaultyRegistry(const std::string& directory, std::vector<std::string> options) {
  std::vector<std::string> argv = {"python3", FAULTY_REGISTRY, "--layout", "app=" + directory};
  argv.insert(argv.end(), options.begin(), options.end());
  Begin(std::move(argv), directory + "/faulty.log");
}

void FaultyRegistry::Begin(std::vector<std::string> argv, const std::string& log) {
  auto input = MakePipe(), output = MakePipe();
  ASSERT_TRUE(input.ok() && output.ok());
  Start(std::move(argv), input->reader.get(), output->writer.get(), log);
  input_ = std::move(input->writer);
  output->writer.Reset();
  std::string line;
  for (char byte; read(output->reader.get(), &byte, 1) == 1 && byte != '\n';) line += byte;
  ASSERT_TRUE(absl::SimpleAtoi(line, &port_)) << "no port: " << log;
}

std::string FaultyRegistry::Ask(const std::string& method, const std::string& path,
                                const std::string& body) {
  UniqueFd connection = Connect(port_);
  std::string answer =
      absl::StrCat(method, " ", path, " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n",
                   "Content-Length: ", body.size(), "\r\n\r\n", body);
  EXPECT_TRUE(WriteAll(connection.get(), answer).ok());
  answer.clear();
  char bytes[65536];
  for (ssize_t got; (got = read(connection.get(), bytes, sizeof(bytes))) > 0;)
    answer.append(bytes, got);
  const size_t end = answer.find("\r\n\r\n");
  EXPECT_NE(end, answer.npos) << answer;
  return end == answer.npos ? "" : answer.substr(end + 4);
}

void FaultyRegistry::SetFaults(const std::vector<json>& faults) {
  Ask("PUT", "/_faults", json(faults).dump());
}

json FaultyRegistry::Log() { return json::parse(Ask("GET", "/_log", ""), nullptr, false); }

int64_t FaultyRegistry::SentFor(const std::string& part) {
  int64_t sent = 0;
  for (const json& entry : Log())
    if (entry["path"].get<std::string>().find(part) != std::string::npos)
      sent += entry["sent"].get<int64_t>();
  return sent;
}

void MakeCertificates(const std::string& directory) {
  Write(directory + "/names", "subjectAltName=IP:127.0.0.1,DNS:localhost\n");
  const std::string make = absl::StrCat(
      "cd ", directory, " && k='-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes' && ",
      "openssl req -x509 $k -days 2 -subj /CN=test-authority -keyout ca.key -out ca.crt && ",
      "openssl req $k -subj /CN=registry -keyout server.key -out server.csr && ",
      "openssl x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 "
      "-extfile names -out server.crt");
  ASSERT_EQ(RunShell(make), 0) << make;
}

oci::Descriptor AddBlob(const std::string& layout, const std::string& bytes) {
  oci::Descriptor descriptor;
  descriptor.media_type = std::string(oci::kOciLayerGzip);
  descriptor.digest = oci::Sha256::Of(bytes);
  descriptor.size = static_cast<int64_t>(bytes.size());
  EXPECT_TRUE(MakeDirs(layout + "/blobs/sha256").ok());
  Write(layout + "/blobs/sha256/" + descriptor.digest.hex(), bytes);
  return descriptor;
}

oci::Descriptor AddImage(const std::string& layout, const std::string& tag,
                         const std::vector<oci::Descriptor>& layers) {
  const auto described = [](const oci::Descriptor& of, std::string_view media_type) {
    return json{{"mediaType", media_type}, {"digest", of.digest.text()}, {"size", of.size}};
  };
  json manifest = {{"schemaVersion", 2}, {"mediaType", oci::kOciManifest}};
  manifest["config"] = described(AddBlob(layout, "{}"), oci::kOciConfig);
  manifest["layers"] = json::array();
  for (const oci::Descriptor& layer : layers)
    manifest["layers"].push_back(described(layer, layer.media_type));
  oci::Descriptor descriptor = AddBlob(layout, manifest.dump());
  descriptor.media_type = std::string(oci::kOciManifest);
  json entry = described(descriptor, oci::kOciManifest);
  entry["annotations"]["org.opencontainers.image.ref.name"] = tag;
  Write(layout + "/index.json", json{{"schemaVersion", 2}, {"manifests", {entry}}}.dump());
  return descriptor;
}

std::string Noise(size_t size) {
  std::mt19937_64 random(size);
  std::string bytes;
  while (bytes.size() < size) {
    const uint64_t word = random();
    bytes.append(reinterpret_cast<const char*>(&word), sizeof(word));
  }
  bytes.resize(size);
  return bytes;
}

}  // namespace noded::registry
