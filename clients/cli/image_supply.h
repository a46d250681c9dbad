// Brings the images that a container needs before it is made, as --pull says.
#ifndef CLIENTS_CLI_IMAGE_SUPPLY_H_
#define CLIENTS_CLI_IMAGE_SUPPLY_H_

#include <functional>

#include "clients/cli/call_signals.h"
#include "clients/cli/client.h"
#include "clients/cli/io.h"
#include "clients/cli/options.h"

namespace noded::cli {

// Borrows all that it is given. Progress goes to standard error, for standard output is the
// container's.
class ImageSupply {
 public:
  // `signals` may end a pull; nullptr: they end nodectl.
  ImageSupply(const RunOptions& options, Client& client, const Io& io, CallSignals* signals)
      : options_(options), client_(client), io_(io), signals_(signals) {}

  // Makes the container by `create`. kAlways: pulls first. kMissing: pulls what noded says is not
  // there, and creates again; there is no other call when all is there. With --platform an image of
  // another platform counts as missing. A dry run never pulls.
  grpc::Status Create(const std::function<grpc::Status()>& create);

 private:
  // Pulls each image of the spec that `needed` is true for.
  grpc::Status Bring(const std::function<bool(const std::string& image)>& needed);
  grpc::Status Pull(const std::string& image);
  bool IsMissing(const std::string& image);

  const RunOptions& options_;
  Client& client_;
  const Io& io_;
  CallSignals* signals_;
};

}  // namespace noded::cli

#endif  // CLIENTS_CLI_IMAGE_SUPPLY_H_
