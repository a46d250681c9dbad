// Drives one node-shim over its socket as noded does, with plans written by hand, on a root file
// system of busybox in a temporary directory. Needs root. Everything is removed and every process
// ended when it goes out of scope.
#ifndef TESTS_INTEGRATION_SHIM_HARNESS_H_
#define TESTS_INTEGRATION_SHIM_HARNESS_H_

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "node/base/pidfd.h"
#include "node/base/unique_fd.h"
#include "node/shim/v1/plan.pb.h"
#include "node/shim/v1/shim.pb.h"
#include "tests/patience.h"

namespace noded::shim {

namespace pb = ::node::shim::v1;

// Longer than anything here takes; a test that waits so long has failed.
inline std::chrono::milliseconds AnswerPatience() {
  return absl::ToChronoMilliseconds(test::Patience(absl::Seconds(20)));
}

std::string HostMounts();
// Where cgroup2 is mounted: beside v1, or alone.
std::string UnifiedRoot();
std::string ReadAll(const std::string& path);
void WriteFile(const std::string& path, const std::string& content);

// Changes a plan of Shim::Plan: a private user namespace whose ids are the host's from 100000 on.
void UseUserNamespace(pb::LaunchPlan& plan);

// One client's connection.
class Client {
 public:
  // By `connection` if that is one, else to the socket of the launched container.
  explicit Client(int state_directory, UniqueFd connection = UniqueFd());

  struct Answer {
    pb::Reply reply;
    UniqueFd fd;
    // For assertions that print what went wrong.
    std::string Text() const;
  };
  // Sends and waits for the answer; events that come before it are kept.
  Answer Ask(pb::Request request, const std::vector<int>& fds = {});
  uint64_t Send(pb::Request request, const std::vector<int>& fds = {});
  Answer Receive(uint64_t id);
  void SendRaw(const std::string& packet);
  pb::ExitRecord WaitExited();
  pb::ExecState WaitExecExited(const std::string& exec_id);
  void Close() { socket_.Reset(); }
  // True: the supervisor has closed it.
  bool WaitClosed();

  // Launch and Place, with no cgroup. Descriptors to join begin at kFirstJoined.
  Answer Launch(const pb::LaunchPlan& plan, const std::vector<int>& joined = {});
  uint64_t SendLaunch(const pb::LaunchPlan& plan, const std::vector<int>& joined = {});
  void SendPlace(const pb::Place& place, const std::vector<int>& fds);
  static constexpr uint32_t kFirstJoined = 4;
  Answer Exec(const pb::ExecPlan& plan, const std::vector<int>& stdio = {});
  Answer SignalInit(int signal);
  pb::State Query();

 private:
  bool ReceiveMessage(std::chrono::milliseconds timeout);

  int state_directory_;
  UniqueFd socket_;
  uint64_t next_id_ = 1;
  std::vector<Answer> answers_;
  std::vector<pb::ExitRecord> exits_;
  std::vector<pb::ExecState> exec_exits_;
  bool closed_ = false;
};

// The noded end of an attachment.
class Attached {
 public:
  explicit Attached(UniqueFd socket) : socket_(std::move(socket)) {}
  struct Frame {
    char type = 0;
    std::string payload;
  };
  // nullopt: none came in time.
  std::optional<Frame> Read(std::chrono::milliseconds timeout = AnswerPatience());
  // All output until the end frame.
  std::string ReadToEnd();
  void SendInput(const std::string& data);
  void CloseInput();
  void Close() { socket_.Reset(); }

 private:
  UniqueFd socket_;
};

class Shim {
 public:
  Shim();
  ~Shim();

  // The first is the one that the supervisor was started with.
  Client Connect() { return Client(state_.get(), std::move(connection_)); }
  Attached Attach(Client& client);

  // A container of `argv` with all namespaces but a user namespace, on an overlay of the busybox
  // root.
  pb::LaunchPlan Plan(const std::vector<std::string>& argv) const;
  pb::ExecPlan ExecPlan(const std::string& exec_id, const std::vector<std::string>& argv) const;

  pid_t pid() const { return pid_; }
  // Kills it as a crash would.
  void Kill();
  // True: it has ended by itself in time, with status 0.
  bool WaitLeft();

  std::string root() const { return base_ + "/root"; }
  std::string directory() const { return base_ + "/container"; }
  // The log's text without times: "stdout F hello\n".
  std::string Log() const;

 private:
  std::string base_;
  UniqueFd state_;
  UniqueFd connection_;
  pid_t pid_ = -1;
  Pidfd pidfd_;
};

}  // namespace noded::shim

#endif  // TESTS_INTEGRATION_SHIM_HARNESS_H_
