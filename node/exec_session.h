// One Exec: the stream that its client holds, and the process behind it. The process's output is
// read only when the client asks for the next message, and the client's input is taken only as the
// process takes it: so a slow side holds up the other, and nothing else.
#ifndef NODE_EXEC_SESSION_H_
#define NODE_EXEC_SESSION_H_

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "node/engine.h"
#include "node/event_loop.h"
#include "node/runtime.h"
#include "node/shim/v1/shim.pb.h"
#include "node/stream_end.h"

namespace noded {

class EngineImpl;

// Thread-safe. Held by its client's RPC, and by its container's Runtime as long as its process
// runs.
class ExecSession : public Engine::ExecStream, public std::enable_shared_from_this<ExecSession> {
 public:
  explicit ExecSession(EngineImpl* engine) : engine_(engine) {}

  void Next(Ready ready) override;
  void Cancel() override;
  void Send(node::v1::ExecRequest request, Taken taken) override;
  void CloseSend() override;

  // --- for the engine ---

  // noded's ends of the process's standard streams. With a terminal `input` and `output` are its
  // master. Detached: none is open.
  struct Streams {
    StreamEnd input, output, error;
    bool terminal = false;
  };
  struct Process {
    std::shared_ptr<Runtime> runtime;
    std::string exec_id;
    int64_t pid = 0;
    bool detached = false;
  };
  void Started(Process process, Streams streams);
  // Nothing was started.
  void Failed(absl::Status why);
  // The process has ended; without code and signal when nobody knows how.
  void Exited(const node::shim::v1::ExecState& state);

 private:
  enum class Phase { kNew, kStarting, kRunning, kOver };
  // What a step under the lock wants done without it: callbacks may call back in, and a StreamEnd's
  // end waits for a callback.
  struct Actions {
    std::vector<std::function<void()>> calls;
    std::vector<StreamEnd> closed;
    ~Actions() {
      closed.clear();
      for (auto& call : calls) call();
    }
  };

  // Output, towards the client.
  void Pump(Actions& actions) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool ReadOutput(Actions& actions, node::v1::ExecResponse& response)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void AwaitOutput(StreamEnd& end) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void AwaitStragglers() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void StragglersOver(uint64_t reads);
  void Deliver(Actions& actions, absl::StatusOr<std::optional<node::v1::ExecResponse>> message)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Fail(Actions& actions, absl::Status why) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // Input, towards the process.
  void Begin(Actions& actions, node::v1::ExecRequest request) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void TakeInput(Actions& actions) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status Handle(Actions& actions, node::v1::ExecRequest request)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void WriteInput(Actions& actions) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void CloseInput(Actions& actions) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void CloseStreams(Actions& actions) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  EngineImpl* const engine_;
  absl::Mutex mutex_;
  Phase phase_ ABSL_GUARDED_BY(mutex_) = Phase::kNew;
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;

  Process process_ ABSL_GUARDED_BY(mutex_);
  Streams streams_ ABSL_GUARDED_BY(mutex_);
  std::optional<node::shim::v1::ExecState> exit_ ABSL_GUARDED_BY(mutex_);

  Ready ready_ ABSL_GUARDED_BY(mutex_);  // the outstanding Next
  std::optional<absl::Status> failure_ ABSL_GUARDED_BY(mutex_);
  bool started_told_ ABSL_GUARDED_BY(mutex_) = false;
  bool exited_told_ ABSL_GUARDED_BY(mutex_) = false;
  bool error_first_ ABSL_GUARDED_BY(mutex_) = false;  // so that neither stream starves the other
  uint64_t reads_ ABSL_GUARDED_BY(mutex_) = 0;        // messages of output so far
  bool awaiting_stragglers_ ABSL_GUARDED_BY(mutex_) = false;

  std::optional<node::v1::ExecRequest> unsent_ ABSL_GUARDED_BY(mutex_);  // of the outstanding Send
  size_t written_ ABSL_GUARDED_BY(mutex_) = 0;                           // bytes of its stdin
  Taken taken_ ABSL_GUARDED_BY(mutex_);
  bool half_closed_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace noded

#endif  // NODE_EXEC_SESSION_H_
