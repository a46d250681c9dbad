// The owner of one container. It promises:
//   - once a launch is answered, the container's output goes to the log and its end to the file
//     "exit", whether or not a noded is there to see it;
//   - a launch or exec that failed has left no process when that is answered;
//   - init never outlives the supervisor (its parent-death signal);
//   - no container and no client can block it (a host path that hangs can);
//   - it ends by itself when it has nothing more to do or to tell.
// It has no policy: it does what plans and requests say. Single-threaded.
#ifndef NODE_SHIM_SUPERVISOR_H_
#define NODE_SHIM_SUPERVISOR_H_

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "node/base/unique_fd.h"
#include "node/shim/attachments.h"
#include "node/shim/connection.h"
#include "node/shim/event_loop.h"
#include "node/shim/input.h"
#include "node/shim/launch.h"
#include "node/shim/output.h"

namespace noded::shim {

class Supervisor {
 public:
  // A connected seqpacket socket. `set_title` shows the container's id to those who list processes.
  Supervisor(UniqueFd connection, std::function<void(const std::string& id)> set_title);
  ~Supervisor();

  // Returns the exit status of this program. REQUIRES: all signals are blocked.
  int Run();

 private:
  // Whom to answer.
  struct Caller {
    uint64_t connection = 0;
    uint64_t request = 0;
  };
  // Init or an exec'd process, from the clone on.
  struct Process {
    StartedProcess started;
    Caller caller;
    bool running = false;  // its program has begun
    std::optional<int> wait_status;
    int64_t end_time_ns = 0;
  };
  struct Init : Process {
    pb::RunningRecord record;
    pb::ExitRecord exit;
    std::unique_ptr<InitLaunch> launch;  // until it is placed
    InitStreams streams;                 // from then on
    bool terminal = false;
    bool stdin_open = false;
    HostRoot host_root;
    bool complete = false;  // the log is, and all have been told
  };
  struct Exec : Process {
    pb::ExecState state;
    std::chrono::milliseconds time_limit{0};  // zero: none
    uint64_t time_limit_timer = 0;
    UniqueFd terminal;
  };

  // requests.cc: what is asked, and the answers.
  void Accept();
  void AddConnection(UniqueFd socket);
  void OnRequest(Caller caller, const pb::Request& request, std::vector<UniqueFd> fds);
  void OnClosed(uint64_t connection);
  MaybeFailure TakeContainer(std::vector<UniqueFd>& fds);
  MaybeFailure Launch(Caller caller, std::vector<UniqueFd> fds);
  void Place(const pb::Place& request, std::vector<UniqueFd> fds);
  MaybeFailure StartExecution(Caller caller, const pb::Exec& request, std::vector<UniqueFd> fds);
  MaybeFailure Signal(const pb::Signal& request);
  MaybeFailure Resize(const pb::Resize& request);
  MaybeFailure Attach(std::vector<UniqueFd> fds);
  void Forget(const pb::Forget& request);
  MaybeFailure Shutdown();
  pb::State State() const;
  void Answer(Caller caller, pb::Reply reply, int fd = -1);
  void AnswerDone(Caller caller, const MaybeFailure& failure);
  void Broadcast(const pb::Message& message);

  // supervisor.cc: what happens to processes.
  void ReapChildren();
  Process* FindByPid(pid_t pid);
  void WatchHandshake(Process& process);
  void Settle(Process& process);
  void Begun(Process& process);
  void Failed(Process& process, const pb::Failure& failure);
  void Ended(Process& process);
  void InitBegun();
  void ExecBegun(Exec& exec);
  void TimeLimitReached(Exec& exec);
  void InitEnded();
  void ExecEnded(Exec& exec);
  void OutputDrained();
  void WriteExit();
  void LeaveIfDone();

  EventLoop loop_;
  const std::function<void(const std::string& id)> set_title_;
  UniqueFd listener_;   // from Launch on
  UniqueFd directory_;  // the container's, likewise
  UniqueFd signals_;
  Input input_;
  Attachments attachments_;
  Output output_;
  std::map<uint64_t, std::unique_ptr<Connection>> connections_;
  uint64_t next_connection_ = 1;
  std::unique_ptr<Init> init_;
  std::map<std::string, std::unique_ptr<Exec>> execs_;
  bool exit_written_ = false;
  bool lingering_ = false;
};

}  // namespace noded::shim

#endif  // NODE_SHIM_SUPERVISOR_H_
