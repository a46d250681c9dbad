// One Attach stream, from its opening to the container's exit: shared by run, start -a and attach.
#ifndef CLIENTS_CLI_ATTACHMENT_H_
#define CLIENTS_CLI_ATTACHMENT_H_

#include <memory>
#include <optional>
#include <string>

#include "clients/cli/client.h"
#include "clients/cli/io.h"
#include "clients/cli/relay.h"

namespace noded::cli {

// All that is passed is borrowed for its life. Cancel may be called from any thread.
class Attachment {
 public:
  Attachment(Client& client, const Io& io, const RelayOptions& options, SignalThread& signals);
  ~Attachment();

  // Returns once everything that the container writes from now on will be sent; then makes the
  // terminal raw.
  grpc::Status Open(const node::v1::AttachStart& start);
  void Cancel() { context_.TryCancel(); }
  // Gives the terminal back, for a message.
  void RestoreTerminal();
  // Relays until the container has exited and returns its status, or what ended it before.
  // `announce_size`: tell a container that was started by someone else the size of this terminal.
  // `what` begins error messages.
  int Follow(absl::string_view what, bool announce_size);
  // Whether the container has ended, once Follow has returned.
  bool exited() const { return exited_.has_value(); }

 private:
  using Stream =
      grpc::ClientReaderWriterInterface<node::v1::AttachRequest, node::v1::AttachResponse>;

  // One answer; false when our output's reader has gone.
  bool Take(const node::v1::AttachResponse& response);
  int Conclude(absl::string_view what, const grpc::Status& status);

  Client& client_;
  const Io& io_;
  const RelayOptions& options_;
  SignalThread& signals_;
  std::string container_;
  grpc::ClientContext context_;
  std::unique_ptr<Stream> stream_;
  std::optional<StreamFarEnd<node::v1::AttachRequest, node::v1::AttachResponse>> far_end_;
  std::optional<Relay> relay_;
  std::optional<node::v1::ContainerExited> exited_;
};

// FAILED_PRECONDITION when -i -t asks for a terminal that standard input is not.
absl::Status CheckTerminal(const RelayOptions& options, const Io& io);

}  // namespace noded::cli

#endif  // CLIENTS_CLI_ATTACHMENT_H_
