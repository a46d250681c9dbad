// Pulling an image, as `pull` and `run` do it.
#ifndef CLIENTS_CLI_TRANSFER_H_
#define CLIENTS_CLI_TRANSFER_H_

#include "clients/cli/client.h"
#include "clients/cli/io.h"
#include "clients/cli/options.h"
#include "clients/cli/progress.h"

namespace noded::cli {

// Pulls with the credentials that `files` have for the image's registry, over a context that
// another thread may cancel. `on_answer` gets each answer; false from it ends the pull. The last
// answer is left in `last`.
grpc::Status PullImage(Client& client, grpc::ClientContext& context, const RegistryFiles& files,
                       node::v1::PullImageRequest request,
                       const std::function<bool(const node::v1::PullImageResponse&)>& on_answer,
                       node::v1::PullImageResponse* last);

}  // namespace noded::cli

#endif  // CLIENTS_CLI_TRANSFER_H_
