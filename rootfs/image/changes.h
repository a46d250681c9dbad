// Dockerfile instructions that change an image's configuration, as `--change` of commit and import
// has them. Pure; thread-safe.
#ifndef ROOTFS_IMAGE_CHANGES_H_
#define ROOTFS_IMAGE_CHANGES_H_

#include <string>

#include "absl/status/status.h"
#include "google/protobuf/repeated_field.h"
#include "rootfs/oci/image_config.h"

namespace noded::image {

// CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, ONBUILD, STOPSIGNAL, USER, VOLUME, WORKDIR. CMD and
// ENTRYPOINT take a JSON list, else it is a line for "/bin/sh -c". INVALID_ARGUMENT names
// "changes[i]".
absl::Status ApplyChanges(const google::protobuf::RepeatedPtrField<std::string>& changes,
                          oci::RunConfig& config);

}  // namespace noded::image

#endif  // ROOTFS_IMAGE_CHANGES_H_
