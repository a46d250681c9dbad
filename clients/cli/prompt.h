// Questions to the person at the terminal.
#ifndef CLIENTS_CLI_PROMPT_H_
#define CLIENTS_CLI_PROMPT_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "clients/cli/io.h"

namespace noded::cli {

// Prints the question to standard error and reads one line, less its end; empty at end of input.
std::string AskLine(const Io& io, absl::string_view question);
// As AskLine, without showing what is typed; ctrl-C makes it empty. Signals that would end nodectl
// wait until the terminal shows again what is typed.
std::string AskSecret(const Io& io, absl::string_view question);
// Whether the answer to "… Are you sure you want to continue? [y/N] " was yes. What is no terminal
// can answer too, as `yes | nodectl image prune` does.
bool Confirm(const Io& io, absl::string_view warning);
// All of standard input less one line end. INVALID_ARGUMENT: more than 64 KiB.
absl::StatusOr<std::string> ReadPassword(const Io& io);

}  // namespace noded::cli

#endif  // CLIENTS_CLI_PROMPT_H_
