// From argv to a Command: finds the command's declaration, parses its flags, checks what can be
// checked without the server. Pure but for what Host offers.
#ifndef CLIENTS_CLI_ARGUMENTS_H_
#define CLIENTS_CLI_ARGUMENTS_H_

#include <string>
#include <variant>
#include <vector>

#include "clients/cli/host.h"
#include "clients/cli/options.h"

namespace noded::cli {

// The command line makes no sense.
struct UsageError {
  std::string message;  // names the flag and the allowed form, and says where to read more
  int exit_code;        // kUsage, or kAgentError for commands that pass on a process's status
};

// `args` without the program's name.
std::variant<Command, UsageError> ParseArguments(const std::vector<std::string>& args,
                                                 const Host& host);

}  // namespace noded::cli

#endif  // CLIENTS_CLI_ARGUMENTS_H_
