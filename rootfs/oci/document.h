// The documents that bind an image together, as OCI's image-spec and Docker's schema 2 have them:
// descriptors, manifests and indexes. Bytes are kept by whoever read them, because digests are of
// bytes; these are what the bytes say. Foreign bytes are expected to be hostile: nesting, sizes and
// counts are bounded. Pure; values.
#ifndef ROOTFS_OCI_DOCUMENT_H_
#define ROOTFS_OCI_DOCUMENT_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "rootfs/oci/digest.h"

namespace noded::oci {

inline constexpr std::string_view kOciManifest = "application/vnd.oci.image.manifest.v1+json";
inline constexpr std::string_view kOciIndex = "application/vnd.oci.image.index.v1+json";
inline constexpr std::string_view kOciConfig = "application/vnd.oci.image.config.v1+json";
inline constexpr std::string_view kOciLayer = "application/vnd.oci.image.layer.v1.tar";
inline constexpr std::string_view kOciLayerGzip = "application/vnd.oci.image.layer.v1.tar+gzip";
inline constexpr std::string_view kOciLayerZstd = "application/vnd.oci.image.layer.v1.tar+zstd";
inline constexpr std::string_view kDockerManifest =
    "application/vnd.docker.distribution.manifest.v2+json";
inline constexpr std::string_view kDockerIndex =
    "application/vnd.docker.distribution.manifest.list.v2+json";
inline constexpr std::string_view kDockerConfig = "application/vnd.docker.container.image.v1+json";
inline constexpr std::string_view kDockerLayer = "application/vnd.docker.image.rootfs.diff.tar";
inline constexpr std::string_view kDockerLayerGzip =
    "application/vnd.docker.image.rootfs.diff.tar.gzip";

// A manifest or index of more bytes is refused (registries take 4 MiB at most).
inline constexpr int64_t kMaxManifestBytes = 4 << 20;
inline constexpr int64_t kMaxConfigBytes = 8 << 20;
inline constexpr size_t kMaxLayers = 500;
inline constexpr size_t kMaxLayoutIndexBytes = 32 << 20;

struct Platform {
  std::string os, architecture, variant;
  bool operator==(const Platform&) const = default;
};
// "linux/arm/v7"; INVALID_ARGUMENT otherwise. Variants that go without saying (amd64/v1, arm64/v8)
// are dropped, arm without one is arm/v7, and the kernel's names (x86_64, aarch64) are taken, as
// containerd does. Platforms in documents are read the same way.
absl::StatusOr<Platform> ParsePlatform(std::string_view text);
std::string ToString(const Platform& platform);
Platform HostPlatform();

struct Descriptor {
  std::string media_type;
  Digest digest;
  int64_t size = 0;  // bytes, never negative
  std::map<std::string, std::string> annotations;
  std::optional<Platform> platform;
  bool operator==(const Descriptor&) const = default;
};

struct Manifest {
  std::string media_type;
  Descriptor config;
  std::vector<Descriptor> layers;  // base first
  std::map<std::string, std::string> annotations;
};

struct Index {
  std::string media_type;
  std::vector<Descriptor> manifests;
  std::map<std::string, std::string> annotations;
};

// `media_type` is what the registry or descriptor said (parameters after ";" are left aside); one
// inside the document must agree with it, and a document that is both (CVE-2021-41190) is refused.
// INVALID_ARGUMENT with the place in the JSON; UNIMPLEMENTED for a media type that is not known
// (schema 1 is named).
absl::StatusOr<std::variant<Manifest, Index>> ParseDocument(std::string_view json,
                                                            std::string_view media_type);
// For bytes that came without a media type: what the document calls itself, else what its members
// make of it. The same errors.
absl::StatusOr<std::string> MediaTypeOf(std::string_view json);
// index.json of an image layout: an index that may be larger than one that comes from outside.
absl::StatusOr<Index> ParseLayoutIndex(std::string_view json);
std::string ToJson(const Manifest& manifest);
std::string ToJson(const Index& index);

// Of an index the manifest for `wanted`: the same os and architecture, the variant itself or, for
// arm, the highest one below it. NOT_FOUND lists those that there are. Attestations
// ("unknown/unknown") are never chosen.
absl::StatusOr<Descriptor> ChoosePlatform(const Index& index, const Platform& wanted);

enum class Compression { kNone, kGzip, kZstd };
// How a layer of that media type is packed; UNIMPLEMENTED when it is no layer that we can unpack
// (encrypted, foreign, not a tar).
absl::StatusOr<Compression> CompressionOf(std::string_view layer_media_type);
bool IsManifestType(std::string_view media_type);
bool IsIndexType(std::string_view media_type);

}  // namespace noded::oci

#endif  // ROOTFS_OCI_DOCUMENT_H_
