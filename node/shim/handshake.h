// The talk between the supervisor and its clone, until that has become another program.
//
//   supervisor                                 child
//     clone3 ────────────────────────────────▶ waits
//     id maps, cgroups, oom score
//     go ────────────────────────────────────▶ namespaces or mounts, user, limits …
//     ◀──────────────── terminal (2 descriptors)   if it has one
//     ◀──────────────── main process (a pidfd)     if init is a reaper
//     ◀──────────────────────────────── begins     the next is execve
//     ◀─────────────────────────────── failure     and the child exits       } one of
//     ◀─────────────────────────── end of file     the socket is closed by exec }
//
// End of file after "begins" proves that the program runs (or was killed on its first step, which
// looks the same from outside); without it the child was lost on its way. Each side is
// single-threaded.
#ifndef NODE_SHIM_HANDSHAKE_H_
#define NODE_SHIM_HANDSHAKE_H_

#include "node/base/unique_fd.h"
#include "node/shim/failure.h"

namespace noded::shim {

// The child's side.
class Reporter {
 public:
  explicit Reporter(UniqueFd socket) : socket_(std::move(socket)) {}
  int fd() const { return socket_.get(); }

  // False: the supervisor has gone.
  bool WaitForGo();
  // After PR_SET_PDEATHSIG: a supervisor that died before it was set sends no signal.
  bool SupervisorLives() const;
  void SendTerminal(int master, int slave);
  void SendMainProcess(int pidfd);
  void ExecBegins();
  // For the reaper, so that the main process holds the last copy.
  void Close() { socket_.Reset(); }
  [[noreturn]] void FailAndExit(const pb::Failure& failure);
  void ExitOn(const MaybeFailure& failure) {
    if (failure) FailAndExit(*failure);
  }

 private:
  UniqueFd socket_;
};

// The supervisor's side.
class Handshake {
 public:
  // Makes the pair; the reporter's end goes to the child and must be closed here.
  static MaybeFailure Make(Handshake* ours, UniqueFd* childs);

  int fd() const { return socket_.get(); }
  bool SendGo();
  // Takes in all that has come. Does not block.
  void Receive();
  // No more will come.
  bool ended() const { return ended_; }
  bool exec_begun() const { return exec_begun_; }
  const MaybeFailure& failure() const { return failure_; }

  UniqueFd terminal;        // master
  UniqueFd terminal_slave;  // see Output for what it is held
  UniqueFd main_process;    // pidfd

 private:
  UniqueFd socket_;
  bool ended_ = false;
  bool exec_begun_ = false;
  MaybeFailure failure_;
};

}  // namespace noded::shim

#endif  // NODE_SHIM_HANDSHAKE_H_
