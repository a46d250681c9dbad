// What is needed: contents and layers, reached from manifests. Of this library alone;
// thread-compatible.
#ifndef ROOTFS_STORE_MARK_H_
#define ROOTFS_STORE_MARK_H_

#include <set>
#include <vector>

#include "absl/status/status.h"
#include "rootfs/oci/digest.h"
#include "rootfs/oci/document.h"
#include "rootfs/store/content.h"
#include "rootfs/store/image_details.h"
#include "rootfs/store/lease.h"

namespace noded::store {

class Mark {
 public:
  Mark(const ContentStore* contents, DetailsCache* details)
      : contents_(contents), details_(details) {}

  // A content, and when it is a manifest or index all that it names. An error: it should be one,
  // and could not be read, so that not all is marked that it may need.
  absl::Status Manifest(const oci::Digest& digest) { return Through(digest, 0); }
  void Layer(const oci::Digest& chain_id) { needed_.insert({Leases::Kind::kLayer, chain_id}); }
  // Of leases: their contents may be of any kind, and not be here yet.
  void Held(const std::vector<Leases::Item>& items);

  bool Has(const Leases::Item& item) const { return needed_.contains(item); }
  const std::set<Leases::Item>& needed() const { return needed_; }

 private:
  void Content(const oci::Digest& digest) { needed_.insert({Leases::Kind::kContent, digest}); }
  absl::Status Through(const oci::Digest& digest, int depth);
  absl::Status ThroughDocument(const oci::Digest& digest, int depth);

  const ContentStore* const contents_;
  DetailsCache* const details_;
  std::set<oci::Digest> through_;  // documents that were gone through
  std::set<Leases::Item> needed_;
};

}  // namespace noded::store

#endif  // ROOTFS_STORE_MARK_H_
