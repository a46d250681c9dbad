// What is written to one host, and what is asked before that.
#ifndef ROOTFS_REGISTRY_PUSH_H_
#define ROOTFS_REGISTRY_PUSH_H_

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "rootfs/oci/document.h"
#include "rootfs/oci/reference.h"
#include "rootfs/registry/registry_client.h"
#include "rootfs/registry/session.h"

namespace noded::registry {

// Each as the RegistryClient's function of the same name.
absl::StatusOr<bool> HasBlob(Session& session, const oci::Reference& reference,
                             const oci::Digest& digest);
absl::StatusOr<bool> MountBlob(Session& session, const oci::Reference& reference,
                               const oci::Digest& digest, const std::string& from);
absl::Status UploadBlob(Session& session, const oci::Reference& reference,
                        const oci::Descriptor& descriptor, int fd,
                        RegistryClient::Progress progress);
absl::StatusOr<oci::Digest> PutManifest(Session& session, const oci::Reference& reference,
                                        const oci::Descriptor& descriptor, std::string_view bytes);

}  // namespace noded::registry

#endif  // ROOTFS_REGISTRY_PUSH_H_
