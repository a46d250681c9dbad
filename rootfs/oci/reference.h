// Names of images: [registry/]repository[:tag][@digest], by the grammar of the distribution spec
// and of Docker's short names. Pure; values.
#ifndef ROOTFS_OCI_REFERENCE_H_
#define ROOTFS_OCI_REFERENCE_H_

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "rootfs/oci/digest.h"

namespace noded::oci {

struct Reference {
  std::string registry;    // "docker.io", "localhost:5000", "[::1]:5000"; never empty
  std::string repository;  // "library/busybox"
  std::string tag;         // "latest"; empty only with a digest
  Digest digest;           // empty: by tag

  // All of it: "docker.io/library/busybox:latest", "host/app:1@sha256:…". Parse takes it back.
  std::string ToString() const;
  // What a registry is asked for: the digest if there is one, else the tag.
  const std::string& target() const { return digest.empty() ? tag : digest.text(); }
  bool operator==(const Reference&) const = default;
};

// The first part is a registry when it has a dot or a colon or is "localhost"; else the registry is
// `default_registry`, and below docker.io a repository of one part is in "library/". Without tag
// and digest the tag is "latest". INVALID_ARGUMENT says what is wrong with which part.
absl::StatusOr<Reference> ParseReference(std::string_view text, std::string_view default_registry);

// How users write it: without docker.io, library/. "busybox:latest".
std::string FamiliarName(const Reference& reference);

}  // namespace noded::oci

#endif  // ROOTFS_OCI_REFERENCE_H_
