// What an image's two documents say, read from the contents and kept, since lists ask for all of
// them again and again.
#ifndef ROOTFS_STORE_IMAGE_DETAILS_H_
#define ROOTFS_STORE_IMAGE_DETAILS_H_

#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "rootfs/oci/digest.h"
#include "rootfs/oci/document.h"
#include "rootfs/oci/image_config.h"
#include "rootfs/store/content.h"

namespace noded::store {

struct ImageDetails {
  oci::Digest manifest_digest;
  oci::Manifest manifest;
  oci::ImageConfig config;
  std::vector<oci::Digest> chain_ids;  // one a layer, base first
  int64_t compressed_bytes = 0;        // of all layers

  const oci::Digest& image_id() const { return manifest.config.digest; }
};

// From the contents, both documents compared with their digests. NOT_FOUND: one is not here.
// DATA_LOSS: damaged. INVALID_ARGUMENT, UNIMPLEMENTED: no image that we can run, e.g. an index, or
// one whose configuration does not name as many layers as its manifest.
absl::StatusOr<ImageDetails> ReadImageDetails(const ContentStore& contents,
                                              const oci::Digest& manifest);

// The least recently used go when there are kMost. Thread-safe; `contents` outlives it.
class DetailsCache {
 public:
  static constexpr size_t kMost = 1024;

  explicit DetailsCache(const ContentStore* contents) : contents_(contents) {}
  // NOT_FOUND also for one that is remembered, when its documents are gone.
  absl::StatusOr<std::shared_ptr<const ImageDetails>> Get(const oci::Digest& manifest)
      ABSL_LOCKS_EXCLUDED(lock_);

 private:
  using Item = std::shared_ptr<const ImageDetails>;
  Item Remembered(const oci::Digest& manifest) ABSL_LOCKS_EXCLUDED(lock_);

  const ContentStore* const contents_;
  absl::Mutex lock_;
  std::list<Item> recent_ ABSL_GUARDED_BY(lock_);  // latest first
  std::map<oci::Digest, std::list<Item>::iterator> items_ ABSL_GUARDED_BY(lock_);
};

}  // namespace noded::store

#endif  // ROOTFS_STORE_IMAGE_DETAILS_H_
