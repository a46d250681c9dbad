// What is read of one host.
#ifndef ROOTFS_REGISTRY_PULL_H_
#define ROOTFS_REGISTRY_PULL_H_

#include <cstdint>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "rootfs/oci/document.h"
#include "rootfs/oci/reference.h"
#include "rootfs/registry/http.h"
#include "rootfs/registry/registry_client.h"
#include "rootfs/registry/session.h"

namespace noded::registry {

absl::StatusOr<Resolved> FetchManifest(Session& session, const oci::Reference& reference);

// A blob on its way, over as many connections and hosts as it takes. Single-threaded.
class BlobTransfer {
 public:
  BlobTransfer(const oci::Reference& reference, const oci::Descriptor& descriptor, int64_t offset,
               RegistryClient::Sink sink)
      : reference_(reference), descriptor_(descriptor), done_(offset), sink_(sink) {}

  // Goes on where the last host ended.
  absl::Status From(Session& session);
  // The sink's error is final, whatever hosts there are.
  const absl::Status& sink_status() const { return sink_status_; }

 private:
  absl::Status Take(const HttpAnswer& answer, std::string_view bytes);
  absl::Status Begin(const HttpAnswer& answer);

  const oci::Reference& reference_;
  const oci::Descriptor& descriptor_;
  int64_t done_;  // the sink has had all before it
  RegistryClient::Sink sink_;
  absl::Status sink_status_;
  bool begun_ = false;    // the answer under way was looked at
  int64_t position_ = 0;  // in the blob, of the next byte of the answer under way
};

// Where the bytes of an answer begin in a blob of `size` bytes that was asked for from `offset` on:
// 0 when the range was ignored. DATA_LOSS: it says another size or range. Pure.
absl::StatusOr<int64_t> BeginOfAnswer(const HttpAnswer& answer, int64_t offset, int64_t size);

}  // namespace noded::registry

#endif  // ROOTFS_REGISTRY_PULL_H_
