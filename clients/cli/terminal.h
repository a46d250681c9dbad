// The terminal that nodectl runs in.
#ifndef CLIENTS_CLI_TERMINAL_H_
#define CLIENTS_CLI_TERMINAL_H_

#include <termios.h>

#include <optional>

#include "absl/status/status.h"
#include "node/v1/container.pb.h"

namespace noded::cli {

// Puts a terminal into raw mode and back. While it is raw, a crash (SIGSEGV, SIGABRT, …) restores
// it, too; signals that can be blocked are the SignalThread's business. At most one at a time.
// Restore and Enter may be called from any thread, one at a time.
class RawTerminal {
 public:
  RawTerminal() = default;
  ~RawTerminal() { Restore(); }
  RawTerminal(const RawTerminal&) = delete;
  RawTerminal& operator=(const RawTerminal&) = delete;

  // `fd` is borrowed and must live until Restore. FAILED_PRECONDITION when it is no terminal.
  absl::Status Enter(int fd);
  // Idempotent.
  void Restore();
};

// Its size; nullopt when `fd` is no terminal or has none.
std::optional<node::v1::TerminalSize> TerminalSizeOf(int fd);

}  // namespace noded::cli

#endif  // CLIENTS_CLI_TERMINAL_H_
