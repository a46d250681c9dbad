#include "clients/cli/client.h"

#include <arpa/inet.h>
#include <grpc/grpc.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>

#include <chrono>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace noded::cli {
namespace {

constexpr size_t kLongestSocketPath = 107;  // sun_path less its NUL
constexpr int kMostMessageBytes = 64 << 20;

absl::Status BadAddress(absl::string_view address, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("--address: \"", address, "\": ", what,
                                                 "; the form is unix:///PATH or HOST:PORT"));
}

bool IsNumeric(int family, const std::string& host) {
  unsigned char address[sizeof(in6_addr)];
  return inet_pton(family, host.c_str(), address) == 1;
}

grpc::ChannelArguments ArgumentsFor(bool local) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(kMostMessageBytes);
  // Nothing to look up besides the address, and no call is ever sent twice: a nodectl lives for one
  // command.
  arguments.SetInt(GRPC_ARG_SERVICE_CONFIG_DISABLE_RESOLUTION, 1);
  arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
  // A noded that is being restarted is back soon; see Reconnect.
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 1000);
  // A proxy for the web is not the way to a node.
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  if (!local) {
    // A peer that vanishes without a word is noticed within a minute. A Unix socket's end is always
    // told by the kernel.
    arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 30'000);
    arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 20'000);
    arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  }
  return arguments;
}

}  // namespace

absl::StatusOr<std::string> TargetOf(absl::string_view address) {
  absl::string_view path = address;
  bool is_path = absl::ConsumePrefix(&path, "unix://") || absl::ConsumePrefix(&path, "unix:") ||
                 absl::StartsWith(address, "/");
  if (is_path) {
    if (path.empty()) return BadAddress(address, "no path");
    if (path.size() > kLongestSocketPath) {
      return BadAddress(address, "a socket's path has at most 107 bytes");
    }
    return absl::StrCat("unix:", path);
  }
  size_t colon = address.rfind(':');
  int port = 0;
  if (colon == absl::string_view::npos || colon == 0 ||
      !absl::SimpleAtoi(address.substr(colon + 1), &port) || port < 1 || port > 65535) {
    return BadAddress(address, "no port");
  }
  std::string host(address.substr(0, colon));
  if (absl::StrContains(host, "/")) return BadAddress(address, "an unknown scheme");
  // Numeric addresses by their own scheme: no resolver is started for them.
  if (IsNumeric(AF_INET, host)) return absl::StrCat("ipv4:", address);
  if (host.front() == '[' && host.back() == ']') {
    return IsNumeric(AF_INET6, host.substr(1, host.size() - 2))
               ? absl::StatusOr<std::string>(absl::StrCat("ipv6:", address))
               : BadAddress(address, "no IPv6 address in the brackets");
  }
  if (absl::StrContains(host, ":"))
    return BadAddress(address, "an IPv6 address belongs in brackets");
  return absl::StrCat("dns:///", address);
}

bool IsLocalTarget(absl::string_view target) { return absl::StartsWith(target, "unix:"); }

absl::Status Client::Prepare(const Host& host) {
  absl::StatusOr<std::string> target = TargetOf(options_.address);
  if (!target.ok()) return target.status();
  target_ = *target;
  // A Unix socket is guarded by its mode; certificates in the environment are for other addresses.
  if (IsLocalTarget(target_) || options_.insecure) return absl::OkStatus();
  struct File {
    const char* flag;
    const std::string& path;
    std::string& content;
  };
  for (const File& file : {File{"--tls-cert", options_.tls_cert, certificate_},
                           File{"--tls-key", options_.tls_key, key_},
                           File{"--tls-ca", options_.tls_ca, authorities_}}) {
    if (file.path.empty()) {
      return absl::InvalidArgumentError(absl::StrCat(
          file.flag, ": ", options_.address,
          " needs mutual TLS: give --tls-cert, --tls-key and --tls-ca, or --insecure"));
    }
    absl::StatusOr<std::string> content = host.read_file(file.path);
    if (!content.ok()) {
      return absl::InvalidArgumentError(absl::StrCat(file.flag, ": ", content.status().message()));
    }
    file.content = *std::move(content);
  }
  return absl::OkStatus();
}

void Client::Connect() {
  if (channel_ != nullptr) return;
  // Never undone: or the end of the last channel would join all of gRPC's threads, which takes
  // longer than a call, and the process is about to exit anyway.
  grpc_init();
  grpc::ChannelArguments arguments = ArgumentsFor(IsLocalTarget(target_));
  std::shared_ptr<grpc::ChannelCredentials> credentials;
  if (IsLocalTarget(target_) || options_.insecure) {
    credentials = grpc::InsecureChannelCredentials();
  } else {
    grpc::SslCredentialsOptions tls;
    tls.pem_cert_chain = certificate_;
    tls.pem_private_key = key_;
    tls.pem_root_certs = authorities_;
    credentials = grpc::SslCredentials(tls);
    if (!options_.tls_server_name.empty()) {
      arguments.SetSslTargetNameOverride(options_.tls_server_name);
    }
  }
  channel_ = grpc::CreateCustomChannel(target_, credentials, arguments);
}

ContainerStub& Client::containers() {
  Connect();
  if (containers_ == nullptr) containers_ = node::v1::ContainerService::NewStub(channel_);
  return *containers_;
}

ImageStub& Client::images() {
  Connect();
  if (images_ == nullptr) images_ = node::v1::ImageService::NewStub(channel_);
  return *images_;
}

VolumeStub& Client::volumes() {
  Connect();
  if (volumes_ == nullptr) volumes_ = node::v1::VolumeService::NewStub(channel_);
  return *volumes_;
}

NodeStub& Client::node() {
  Connect();
  if (node_ == nullptr) node_ = node::v1::NodeService::NewStub(channel_);
  return *node_;
}

bool Client::Reconnect(absl::Duration patience) {
  Connect();
  return channel_->WaitForConnected(std::chrono::system_clock::now() +
                                    absl::ToChronoNanoseconds(patience));
}

void Client::SetDeadline(grpc::ClientContext& context) const {
  if (options_.timeout == absl::InfiniteDuration()) return;
  context.set_deadline(std::chrono::system_clock::now() +
                       absl::ToChronoNanoseconds(options_.timeout));
}

}  // namespace noded::cli
