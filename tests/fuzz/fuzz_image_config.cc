// libs: rootfs_oci
// Configurations of images: taken or refused, and what is taken is read back as it was written.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "rootfs/oci/image_config.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view json(reinterpret_cast<const char*>(data), size);
  const auto config = noded::oci::ParseImageConfig(json);
  if (!config.ok()) {
    if (config.status().code() != absl::StatusCode::kInvalidArgument) std::abort();
    return 0;
  }
  if (config->diff_ids.size() > noded::oci::kMaxLayers) std::abort();
  if (noded::oci::ChainIds(config->diff_ids).size() != config->diff_ids.size()) std::abort();
  const std::string written = noded::oci::ToJson(*config);
  const auto again = noded::oci::ParseImageConfig(written);
  if (!again.ok()) std::abort();
  if (noded::oci::ToJson(*again) != written) std::abort();
  return 0;
}
