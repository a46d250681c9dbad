// libs: rootfs_oci
// Manifests and indexes: whatever they hold, they are taken or refused; what is taken is within the
// bounds, and is read back as it was written.
#include <cstdint>
#include <cstdlib>
#include <string_view>
#include <variant>

#include "rootfs/oci/document.h"

namespace {

using noded::oci::Descriptor;

void Check(bool holds) {
  if (!holds) std::abort();
}

void CheckDescriptor(const Descriptor& descriptor) {
  Check(descriptor.size >= 0 && !descriptor.digest.empty());
}

template <typename Document>
void CheckReadBack(const Document& document) {
  const auto again = noded::oci::ParseDocument(ToJson(document), document.media_type);
  // What was written may be longer than what was read, but not wrong.
  Check(again.ok() || ToJson(document).size() > noded::oci::kMaxManifestBytes);
  if (again.ok()) Check(ToJson(std::get<Document>(*again)) == ToJson(document));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view json(reinterpret_cast<const char*>(data), size);
  const auto type = noded::oci::MediaTypeOf(json);
  for (std::string_view wanted : {noded::oci::kOciManifest, noded::oci::kOciIndex,
                                  noded::oci::kDockerManifest, noded::oci::kDockerIndex}) {
    const auto read = noded::oci::ParseDocument(json, wanted);
    if (!read.ok()) continue;
    if (const auto* manifest = std::get_if<noded::oci::Manifest>(&*read)) {
      Check(noded::oci::IsManifestType(wanted));
      Check(manifest->layers.size() <= noded::oci::kMaxLayers);
      CheckDescriptor(manifest->config);
      for (const Descriptor& layer : manifest->layers) CheckDescriptor(layer);
      CheckReadBack(*manifest);
    } else {
      const auto& index = std::get<noded::oci::Index>(*read);
      for (const Descriptor& descriptor : index.manifests) CheckDescriptor(descriptor);
      const auto chosen = noded::oci::ChoosePlatform(index, noded::oci::HostPlatform());
      Check(!chosen.ok() || noded::oci::IsManifestType(chosen->media_type));
      CheckReadBack(index);
    }
    // One set of bytes is never both (CVE-2021-41190).
    if (type.ok())
      Check(noded::oci::IsIndexType(*type) == noded::oci::IsIndexType(wanted) ||
            json.find("manifests") == json.npos);
  }
  return 0;
}
