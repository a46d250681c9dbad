#include <type_traits>

#include "absl/strings/str_cat.h"
#include "clients/cli/arguments.h"
#include "clients/cli/commands.h"
#include "clients/cli/error_text.h"
#include "clients/cli/exit_code.h"

namespace noded::cli {
namespace {

template <typename Options>
constexpr bool kPassesStatusOn =
    std::is_same_v<Options, RunOptions> || std::is_same_v<Options, ExecOptions> ||
    std::is_same_v<Options, AttachOptions>;

// Those that only look after a file here.
template <typename Options>
constexpr bool kIsLocal =
    std::is_same_v<Options, LoginOptions> || std::is_same_v<Options, LogoutOptions>;

// Connects and carries a command out.
template <typename Options>
int Execute(const Options& options, const Host& host, const Io& io) {
  if constexpr (std::is_same_v<Options, HelpOptions>) {
    if (options.asked_for) return Print(io, options.text);
    io.Err(options.text);
    return kUsage;
  } else {
    Client client(options.global.connection);
    absl::Status status = kIsLocal<Options> ? absl::OkStatus() : client.Prepare(host);
    if (!status.ok()) {
      io.Complain(std::string(status.message()));
      return kPassesStatusOn<Options> ? kAgentError : kUsage;
    }
    return Run(options, client, io);
  }
}

}  // namespace

int Main(const std::vector<std::string>& args, const Host& host, const Io& io) {
  std::variant<Command, UsageError> parsed = ParseArguments(args, host);
  if (const UsageError* error = std::get_if<UsageError>(&parsed)) {
    io.Complain(error->message);
    return error->exit_code;
  }
  return std::visit([&](const auto& options) { return Execute(options, host, io); },
                    std::get<Command>(parsed));
}

int Fail(const Client& client, const Io& io, absl::string_view what, const grpc::Status& status,
         int exit_code) {
  io.Complain(DescribeError(what, status, client.address()));
  return exit_code;
}

int Print(const Io& io, absl::string_view text) { return io.Out(text) ? kOk : kOutputClosed; }

}  // namespace noded::cli
