// nodectl: the command-line client of noded.
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "clients/cli/commands.h"

int main(int argc, char** argv) {
  // A closed pipe is noticed at the write, which then ends the command in order.
  signal(SIGPIPE, SIG_IGN);
  // What goes wrong is said once, by us; gRPC's own log would repeat it at length.
  // GRPC_VERBOSITY=debug brings it back.
  setenv("GRPC_VERBOSITY", "NONE", 0);
  std::vector<std::string> args(argv + 1, argv + argc);
  int exit_code = noded::cli::Main(args, noded::cli::RealHost(), noded::cli::StandardIo());
  // Everything is written, for Io does not buffer. Taking gRPC's threads down in order would cost
  // more than the whole call.
  _exit(exit_code);
}
