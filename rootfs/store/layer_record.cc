#include "rootfs/store/layer_record.h"

#include "nlohmann/json.hpp"
#include "node/base/status.h"
#include "rootfs/oci/json.h"

namespace noded::store {
namespace {

constexpr int kVersion = 1;

}  // namespace

absl::StatusOr<LayerRecord> ParseLayerRecord(std::string_view json) {
  oci::JsonDocument document("layer.json", json, {4096, 100});
  RETURN_IF_ERROR(document.status());
  const oci::JsonValue root = document.root();
  if (root["version"].Int() != kVersion) root["version"].Fail("is not known");
  LayerRecord record{root["diff_id"].Digest(),
                     {.entries = root["entries"].Int(), .bytes = root["bytes"].Int()}};
  RETURN_IF_ERROR(document.status());
  return record;
}

std::string LayerRecordToJson(const LayerRecord& record) {
  return oci::Dump({{"version", kVersion},
                    {"diff_id", record.diff_id.text()},
                    {"entries", record.size.entries},
                    {"bytes", record.size.bytes}});
}

}  // namespace noded::store
