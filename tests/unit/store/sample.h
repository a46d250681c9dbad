// Small images for the tests of the store, and a store in a directory of its own.
#ifndef TESTS_UNIT_STORE_SAMPLE_H_
#define TESTS_UNIT_STORE_SAMPLE_H_

#include <stdlib.h>
#include <sys/stat.h>

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "node/base/file.h"
#include "node/base/status.h"
#include "node/base/string_view.h"
#include "rootfs/oci/document.h"
#include "rootfs/oci/image_config.h"
#include "rootfs/store/store.h"

namespace noded::store {

// A directory that goes with the object.
class TemporaryDirectory {
 public:
  explicit TemporaryDirectory(const std::string& parent = "/tmp") {
    std::string path = parent + "/noded-store-XXXXXX";
    path_ = mkdtemp(path.data());
  }
  ~TemporaryDirectory() { RemoveTreeAt(AT_FDCWD, path_).IgnoreError(); }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

inline oci::Descriptor DescriptorOf(std::string_view bytes, std::string_view media_type) {
  return {std::string(media_type), oci::Sha256::Of(bytes), static_cast<int64_t>(bytes.size())};
}

// An image as a registry has it. The bytes of a layer stand for a tar, and its unpacked tree is one
// file that holds them, in a directory.
struct Sample {
  oci::Descriptor manifest, config;
  std::vector<oci::Descriptor> layers;
  std::vector<oci::Digest> diff_ids, chain_ids;
  std::map<oci::Digest, std::string> bytes;

  Entry EntryAs(std::string reference) const {
    return {.reference = std::move(reference), .manifest = manifest, .image_id = config.digest};
  }
};

inline Sample MakeSample(const std::vector<std::string>& layers) {
  Sample sample;
  oci::ImageConfig config;
  config.platform = oci::HostPlatform();
  oci::Manifest manifest{std::string(oci::kOciManifest)};
  for (const std::string& layer : layers) {
    const std::string packed = "packed " + layer;
    manifest.layers.push_back(DescriptorOf(packed, oci::kOciLayerGzip));
    sample.bytes[manifest.layers.back().digest] = packed;
    config.diff_ids.push_back(oci::Sha256::Of(layer));
  }
  const std::string config_json = oci::ToJson(config);
  manifest.config = DescriptorOf(config_json, oci::kOciConfig);
  const std::string manifest_json = oci::ToJson(manifest);
  sample.manifest = DescriptorOf(manifest_json, oci::kOciManifest);
  sample.config = manifest.config;
  sample.layers = manifest.layers;
  sample.diff_ids = config.diff_ids;
  sample.chain_ids = oci::ChainIds(config.diff_ids);
  sample.bytes[sample.config.digest] = config_json;
  sample.bytes[sample.manifest.digest] = manifest_json;
  return sample;
}

// One content as a pull brings it, in two pieces; another that brings it is waited for.
inline absl::Status Fetch(Store& store, const oci::Descriptor& content, std::string_view bytes) {
  while (!store.contents().Has(content.digest)) {
    absl::StatusOr<Ingest> ingest = store.contents().Begin(content);
    if (absl::IsAlreadyExists(ingest.status())) break;
    if (absl::IsAborted(ingest.status())) {
      absl::SleepFor(absl::Milliseconds(1));
      continue;
    }
    RETURN_IF_ERROR(ingest.status());
    const size_t here = static_cast<size_t>(ingest->offset());
    const size_t middle = std::max(here, bytes.size() / 2);
    RETURN_IF_ERROR(ingest->Write(bytes.substr(here, middle - here)));
    RETURN_IF_ERROR(ingest->Write(bytes.substr(middle)));
    RETURN_IF_ERROR(ingest->Commit().status());
  }
  return absl::OkStatus();
}

// Its i-th layer.
inline absl::Status Unpack(Store& store, const Sample& sample, size_t i) {
  if (store.layers().Find(sample.chain_ids[i])) return absl::OkStatus();
  ASSIGN_OR_RETURN(LayerDraft draft, store.layers().Begin(sample.chain_ids[i]));
  if (mkdirat(draft.directory(), "etc", 0755) != 0) return ErrnoStatus(errno, "make etc");
  const std::string& bytes = sample.bytes.at(sample.layers[i].digest);
  RETURN_IF_ERROR(ReplaceFileAt(draft.directory(), "etc/file", bytes));
  return draft.Commit(sample.diff_ids[i]).status();
}

// As a pull does it: hold, look, bring what is missing, name it.
inline absl::Status Pull(Store& store, const Sample& sample, const std::string& reference) {
  Lease lease = store.NewLease();
  lease.Hold(sample.manifest.digest);
  lease.Hold(sample.config.digest);
  for (const oci::Descriptor& layer : sample.layers) lease.Hold(layer.digest);
  for (const oci::Digest& chain_id : sample.chain_ids) lease.HoldLayer(chain_id);
  for (size_t i = 0; i < sample.layers.size(); ++i) {
    const oci::Descriptor& layer = sample.layers[i];
    RETURN_IF_ERROR(Fetch(store, layer, sample.bytes.at(layer.digest)));
    RETURN_IF_ERROR(Unpack(store, sample, i));
  }
  RETURN_IF_ERROR(store.contents().Put(sample.bytes.at(sample.config.digest), sample.config));
  RETURN_IF_ERROR(store.contents().Put(sample.bytes.at(sample.manifest.digest), sample.manifest));
  return store.table().Set(sample.EntryAs(reference));
}

inline Roots NoRoots() { return {}; }

}  // namespace noded::store

#endif  // TESTS_UNIT_STORE_SAMPLE_H_
