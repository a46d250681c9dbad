// libs: rootfs_oci
// Names of images: taken or refused, and what is taken is read back, safe in a URL and a file name.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "rootfs/oci/document.h"
#include "rootfs/oci/reference.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto platform = noded::oci::ParsePlatform(text); platform.ok()) {
    const auto again = noded::oci::ParsePlatform(noded::oci::ToString(*platform));
    if (!again.ok() || *again != *platform) std::abort();
  }
  const auto reference = noded::oci::ParseReference(text, "docker.io");
  if (!reference.ok()) {
    if (reference.status().code() != absl::StatusCode::kInvalidArgument) std::abort();
    return 0;
  }
  const auto again = noded::oci::ParseReference(reference->ToString(), "other.example");
  if (!again.ok() || !(*again == *reference)) std::abort();
  const auto familiar =
      noded::oci::ParseReference(noded::oci::FamiliarName(*reference), "docker.io");
  if (!familiar.ok() || !(*familiar == *reference)) std::abort();
  if (reference->repository.empty() || reference->repository[0] == '/' ||
      reference->repository.find("..") != std::string::npos) {
    std::abort();
  }
  return 0;
}
