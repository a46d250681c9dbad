#include "rootfs/registry/registry_client.h"

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "node/base/status.h"
#include "rootfs/registry/pull.h"
#include "rootfs/registry/push.h"
#include "rootfs/registry/session.h"

namespace noded::registry {
namespace {

enum class Need { kResolve, kPull, kPush };

bool Can(const Host& host, Need need) {
  switch (need) {
    case Need::kResolve:
      return host.resolve;
    case Need::kPull:
      return host.pull;
    case Need::kPush:
      return host.push;
  }
  return false;
}

std::string Scope(std::string_view repository, const char* actions) {
  return absl::StrCat("repository:", absl::string_view(repository.data(), repository.size()), ":",
                      actions);
}

// What one host after another said; the last one decides.
absl::Status Joined(const std::vector<absl::Status>& failures) {
  absl::Status last = failures.back();
  std::string before;
  for (size_t i = 0; i + 1 < failures.size(); ++i)
    absl::StrAppend(&before, "; ", failures[i].message());
  if (before.empty()) return last;
  absl::Status joined(last.code(), absl::StrCat(last.message(), " (before it", before, ")"));
  if (const auto reason = ReasonOf(last); reason) joined = WithReason(joined, *reason);
  return joined;
}

}  // namespace

class RegistryClient::Impl {
 public:
  explicit Impl(ClientOptions options)
      : options_(std::move(options)),
        connections_{
            .options = options_,
            .pool = HttpPool("noded/" + options_.version, {.connect = options_.connect_timeout,
                                                           .stall = options_.stall_timeout,
                                                           .commit = options_.commit_timeout}),
            .authorizer = Authorizer(connections_.pool)} {}

  // Those that can, in order; never empty.
  absl::StatusOr<std::vector<Session>> Sessions(const oci::Reference& reference, Need need,
                                                const Caller& caller, const std::string& from = {});

 private:
  const ClientOptions options_;
  Connections connections_;

  friend class RegistryClient;
};

absl::StatusOr<std::vector<Session>> RegistryClient::Impl::Sessions(const oci::Reference& reference,
                                                                    Need need, const Caller& caller,
                                                                    const std::string& from) {
  ASSIGN_OR_RETURN(const std::vector<Host> all, options_.hosts.HostsOf(reference.registry));
  ASSIGN_OR_RETURN(CredentialsFile file, ReadCredentialsFile(options_.credentials_file));
  std::vector<Host> hosts;
  for (const Host& host : all)
    if (Can(host, need) && (need != Need::kPush || hosts.empty())) hosts.push_back(host);
  if (hosts.empty())
    return absl::FailedPreconditionError(absl::StrCat("registry ", reference.registry,
                                                      ": no host of it is configured for ",
                                                      need == Need::kPush   ? "push"
                                                      : need == Need::kPull ? "pull"
                                                                            : "resolve"));
  std::vector<Session> sessions;
  for (size_t i = 0; i < hosts.size(); ++i) {
    Grant grant{.api = hosts[i].api, .tls = FilesOf(hosts[i], options_.certificates_directory)};
    grant.scopes = {Scope(reference.repository, need == Need::kPush ? "pull,push" : "pull")};
    if (!from.empty()) grant.scopes.push_back(Scope(from, "pull"));
    grant.credentials = !hosts[i].mirror && !caller.credentials.empty()
                            ? caller.credentials
                            : file.by_registry[hosts[i].CredentialsName()];
    sessions.emplace_back(connections_, std::move(hosts[i]), std::move(grant), caller.cancel,
                          i + 1 == hosts.size());
  }
  return sessions;
}

RegistryClient::RegistryClient(ClientOptions options)
    : impl_(std::make_unique<Impl>(std::move(options))) {}

RegistryClient::~RegistryClient() = default;

absl::StatusOr<Resolved> RegistryClient::Resolve(const oci::Reference& reference,
                                                 const Caller& caller) {
  const Need need = reference.digest.empty() ? Need::kResolve : Need::kPull;
  ASSIGN_OR_RETURN(std::vector<Session> sessions, impl_->Sessions(reference, need, caller));
  std::vector<absl::Status> failures;
  for (Session& session : sessions) {
    auto resolved = FetchManifest(session, reference);
    if (resolved.ok() || caller.cancel.Cancelled()) return resolved;
    failures.push_back(resolved.status());
  }
  return Joined(failures);
}

absl::Status RegistryClient::FetchBlob(const oci::Reference& reference,
                                       const oci::Descriptor& descriptor, int64_t offset,
                                       const Caller& caller, Sink sink) {
  ASSIGN_OR_RETURN(std::vector<Session> sessions, impl_->Sessions(reference, Need::kPull, caller));
  BlobTransfer transfer(reference, descriptor, offset, sink);
  std::vector<absl::Status> failures;
  for (Session& session : sessions) {
    absl::Status status = transfer.From(session);
    if (status.ok() || caller.cancel.Cancelled() || !transfer.sink_status().ok()) return status;
    failures.push_back(std::move(status));
  }
  return Joined(failures);
}

absl::StatusOr<bool> RegistryClient::HasBlob(const oci::Reference& reference,
                                             const oci::Digest& digest, const Caller& caller) {
  ASSIGN_OR_RETURN(std::vector<Session> sessions, impl_->Sessions(reference, Need::kPush, caller));
  return registry::HasBlob(sessions.front(), reference, digest);
}

absl::StatusOr<bool> RegistryClient::MountBlob(const oci::Reference& reference,
                                               const oci::Digest& digest, const std::string& from,
                                               const Caller& caller) {
  ASSIGN_OR_RETURN(std::vector<Session> sessions,
                   impl_->Sessions(reference, Need::kPush, caller, from));
  return registry::MountBlob(sessions.front(), reference, digest, from);
}

absl::Status RegistryClient::UploadBlob(const oci::Reference& reference,
                                        const oci::Descriptor& descriptor, int fd,
                                        const Caller& caller, Progress progress) {
  ASSIGN_OR_RETURN(std::vector<Session> sessions, impl_->Sessions(reference, Need::kPush, caller));
  return registry::UploadBlob(sessions.front(), reference, descriptor, fd, progress);
}

absl::StatusOr<oci::Digest> RegistryClient::PutManifest(const oci::Reference& reference,
                                                        const oci::Descriptor& descriptor,
                                                        std::string_view bytes,
                                                        const Caller& caller) {
  ASSIGN_OR_RETURN(std::vector<Session> sessions, impl_->Sessions(reference, Need::kPush, caller));
  return registry::PutManifest(sessions.front(), reference, descriptor, bytes);
}

}  // namespace noded::registry
