// layer.json: what is known of an unpacked layer. Of this library alone; pure.
#ifndef ROOTFS_STORE_LAYER_RECORD_H_
#define ROOTFS_STORE_LAYER_RECORD_H_

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "rootfs/oci/digest.h"
#include "rootfs/store/layer_store.h"

namespace noded::store {

struct LayerRecord {
  oci::Digest diff_id;
  TreeSize size;
};

// INVALID_ARGUMENT: it is damaged, or of a version that is not known.
absl::StatusOr<LayerRecord> ParseLayerRecord(std::string_view json);
std::string LayerRecordToJson(const LayerRecord& record);

}  // namespace noded::store

#endif  // ROOTFS_STORE_LAYER_RECORD_H_
