// The client of registries by the OCI distribution spec.
//
// Promises:
// - Contents come whole or with an error: a connection that is cut, a range that is ignored, 429
//   and 503 with Retry-After, mirrors that fail and tokens that end are dealt with here, each
//   within bounds. Bytes are counted here and digests of manifests compared; digests of blobs are
//   the caller's to check, who sees their bytes first.
// - Credentials go to the registry that they are for and to the token server that it names, never
//   along a redirect to another host or port, and are in no message.
// - Every call ends within 200 ms after `cancel` was set (CANCELLED), unless the caller's own sink
//   blocks, and within the options' patience after the last byte.
//
// Calls block their thread. Thread-safe; connections are kept and used again.
//
// Errors name registry, repository and tag or digest. NOT_FOUND (IMAGE_NOT_FOUND) no such manifest
// or blob at any host; UNAUTHENTICATED and PERMISSION_DENIED (REGISTRY_DENIED) 401 and 403;
// UNAVAILABLE (REGISTRY_UNREACHABLE) with host, port and why, FAILED_PRECONDITION (the same reason)
// where trying again cannot help, as with a certificate that is not trusted; RESOURCE_EXHAUSTED
// (LIMIT_REACHED) 429 beyond our patience, and a manifest that is too large; DATA_LOSS
// (CONTENT_DAMAGED) other bytes than were asked for; INVALID_ARGUMENT when the registry finds what
// is sent wrong. Errors of all hosts are told when several were asked; the code is that of the last
// one.
#ifndef ROOTFS_REGISTRY_REGISTRY_CLIENT_H_
#define ROOTFS_REGISTRY_REGISTRY_CLIENT_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "node/base/cancel.h"
#include "rootfs/oci/document.h"
#include "rootfs/oci/reference.h"
#include "rootfs/registry/credentials.h"
#include "rootfs/registry/hosts.h"

namespace noded::registry {

struct ClientOptions {
  std::string version;  // of noded: User-Agent is "noded/<version>"
  HostsConfig hosts;
  // A config.json, read anew by each call; empty: none.
  std::string credentials_file;
  // Authorities and client certificates by host: FilesOf().
  std::string certificates_directory = "/etc/noded/certs.d";

  absl::Duration connect_timeout = absl::Seconds(15);  // TLS included
  absl::Duration stall_timeout = absl::Seconds(30);    // without a byte
  // From the last byte of a blob sent to the answer: registries check and move it first. Also for
  // all of an answer that is no blob.
  absl::Duration commit_timeout = absl::Minutes(5);
  absl::Duration longest_retry_after = absl::Seconds(60);  // one that asks for more is given up
  // Tries in a row that brought nothing; one that brought some begins to count anew.
  int attempts = 6;
  absl::Duration first_delay = absl::Milliseconds(100);  // doubled each time, with jitter
  absl::Duration longest_delay = absl::Seconds(5);
};

// For whom a call is made, and how long. Borrowed for the call.
struct Caller {
  // For the reference's registry; empty: those of the credentials file, else none.
  const Credentials& credentials;
  const Cancel& cancel;
};

struct Resolved {
  oci::Descriptor descriptor;  // media type, digest, size
  std::string bytes;           // of the manifest or index, whose digest that is
};

class RegistryClient {
 public:
  // Bytes in their order; an error of it ends the call and is what the call returns.
  using Sink = absl::FunctionRef<absl::Status(std::string_view bytes)>;
  // Bytes sent so far; begins again when the upload does.
  using Progress = absl::FunctionRef<void(int64_t bytes)>;

  explicit RegistryClient(ClientOptions options);
  ~RegistryClient();

  // The manifest or index that `reference` names: its digest, else its tag. Of at most
  // oci::kMaxManifestBytes. UNIMPLEMENTED: of a media type that is neither.
  absl::StatusOr<Resolved> Resolve(const oci::Reference& reference, const Caller& caller);

  // Bytes [offset, descriptor.size) of a blob of the reference's repository.
  absl::Status FetchBlob(const oci::Reference& reference, const oci::Descriptor& descriptor,
                         int64_t offset, const Caller& caller, Sink sink);

  // The rest is for the host that takes pushes: the first in order, never another after it.
  absl::StatusOr<bool> HasBlob(const oci::Reference& reference, const oci::Digest& digest,
                               const Caller& caller);

  // Gives the repository a blob of repository `from` of the same registry. False: the registry did
  // not, and the blob is to be uploaded.
  absl::StatusOr<bool> MountBlob(const oci::Reference& reference, const oci::Digest& digest,
                                 const std::string& from, const Caller& caller);

  // `fd` is read from offset 0 by pread(2), `descriptor.size` bytes; DATA_LOSS when it has fewer.
  absl::Status UploadBlob(const oci::Reference& reference, const oci::Descriptor& descriptor,
                          int fd, const Caller& caller, Progress progress);

  // By the reference's tag, without one by the digest. The digest that the registry knows it by,
  // which is the descriptor's.
  absl::StatusOr<oci::Digest> PutManifest(const oci::Reference& reference,
                                          const oci::Descriptor& descriptor, std::string_view bytes,
                                          const Caller& caller);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace noded::registry

#endif  // ROOTFS_REGISTRY_REGISTRY_CLIENT_H_
