// Values of the store as messages of the API. Internal to rootfs/image; pure.
#ifndef ROOTFS_IMAGE_MESSAGES_H_
#define ROOTFS_IMAGE_MESSAGES_H_

#include "absl/time/time.h"
#include "google/protobuf/timestamp.pb.h"
#include "node/v1/image.pb.h"
#include "rootfs/oci/image_config.h"

namespace noded::image {

void SetTime(absl::Time from, google::protobuf::Timestamp* to);
void Tell(const oci::RunConfig& from, node::v1::ImageConfig& to);

}  // namespace noded::image

#endif  // ROOTFS_IMAGE_MESSAGES_H_
