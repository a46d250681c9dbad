// What an image says of how its containers run, where their spec says nothing. Pure; thread-safe.
#ifndef NODE_LAUNCH_IMAGE_DEFAULTS_H_
#define NODE_LAUNCH_IMAGE_DEFAULTS_H_

#include "absl/status/status.h"
#include "node/v1/container.pb.h"
#include "node/v1/image.pb.h"

namespace noded::launch {

// Completes `spec` from `config` (OCI image-spec, conversion.md; Docker's rules for entrypoint and
// cmd): the command, environment, user, working directory, stop signal, labels, and an anonymous
// volume for each of the image's that has no mount. A root that is a directory has an empty
// configuration. INVALID_ARGUMENT when there is no command at all, or when what comes out breaks a
// rule of specs; the spec is then of no use.
absl::Status ApplyImageConfig(const node::v1::ImageConfig& config, node::v1::ContainerSpec& spec);

}  // namespace noded::launch

#endif  // NODE_LAUNCH_IMAGE_DEFAULTS_H_
