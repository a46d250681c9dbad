// What nodectl tells its caller by its exit status.
#ifndef CLIENTS_CLI_EXIT_CODE_H_
#define CLIENTS_CLI_EXIT_CODE_H_

namespace noded::cli {

// run, create, exec, attach and `start -a` pass on the status of the process they ran, so their own
// failures use the numbers that shells and Docker keep for that. Every other command fails with 1
// or 2.
enum ExitCode : int {
  kOk = 0,
  kFailure = 1,          // noded refused or could not be reached
  kUsage = 2,            // the command line makes no sense
  kAgentError = 125,     // run-like commands: noded's failure or ours, usage included
  kNotExecutable = 126,  // run-like commands: the command was found and cannot be executed
  kNotFound = 127,       // run-like commands: there is no such command
  kSignalBase = 128,     // run-like commands: ended by signal n is 128 + n
  kOutputClosed =
      141,  // whoever read our output went away: 128 + SIGPIPE, as of a program killed by it
};

}  // namespace noded::cli

#endif  // CLIENTS_CLI_EXIT_CODE_H_
