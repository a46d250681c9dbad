// One Attach: the stream that its client holds, and a socket to the container's supervisor. The
// supervisor never waits for it: what the client does not read piles up in the socket's buffer, and
// what does not fit there is told as missed.
#ifndef NODE_ATTACH_SESSION_H_
#define NODE_ATTACH_SESSION_H_

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "node/attach_frame.h"
#include "node/engine.h"
#include "node/log_reader.h"
#include "node/registry.h"
#include "node/runtime.h"
#include "node/stream_end.h"

namespace noded {

class EngineImpl;

// Thread-safe. Held by its client's RPC.
class AttachSession : public Engine::AttachStream,
                      public std::enable_shared_from_this<AttachSession> {
 public:
  explicit AttachSession(EngineImpl* engine) : engine_(engine) {}

  void Next(Ready ready) override;
  void Cancel() override;
  void Send(node::v1::AttachRequest request, Taken taken) override;
  void CloseSend() override;

  // --- for the engine ---

  // `socket` is noded's end; not open when the container has exited already. `log` is what is sent
  // first; may be null.
  void Attached(std::shared_ptr<Runtime> runtime, StreamEnd socket, std::unique_ptr<LogReader> log);
  void Failed(absl::Status why);

 private:
  enum class Phase { kNew, kStarting, kAttached, kEnded, kOver };
  // As in ExecSession: what is to be done without the lock.
  struct Actions {
    std::vector<std::function<void()>> calls;
    std::vector<StreamEnd> closed;
    ~Actions() {
      closed.clear();
      for (auto& call : calls) call();
    }
  };

  void Pump(Actions& actions) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void ReadLog(Actions& actions) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void LogRead(absl::StatusOr<node::v1::LogsResponse> read);
  void ReceiveFrame(Actions& actions) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void OutputEnded(Actions& actions) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void ContainerEnded(const absl::StatusOr<Snapshot>& ended);
  void Deliver(Actions& actions, absl::StatusOr<std::optional<node::v1::AttachResponse>> message)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Fail(Actions& actions, absl::Status why) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  void TakeInput(Actions& actions) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status Handle(Actions& actions, const node::v1::AttachRequest& request)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // False: the socket is full; it is called again when it is not.
  bool SendStdin(Actions& actions) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool SendOrAwait(Actions& actions, const std::string& frame)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  EngineImpl* const engine_;
  absl::Mutex mutex_;
  Phase phase_ ABSL_GUARDED_BY(mutex_) = Phase::kNew;
  std::shared_ptr<Runtime> runtime_ ABSL_GUARDED_BY(mutex_);
  StreamEnd socket_ ABSL_GUARDED_BY(mutex_);
  StreamEnd input_ ABSL_GUARDED_BY(mutex_);  // the same socket, watched for room
  std::shared_ptr<LogReader> log_ ABSL_GUARDED_BY(mutex_);
  bool reading_log_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<node::v1::AttachResponse> from_log_ ABSL_GUARDED_BY(mutex_);  // last first
  std::function<void()> give_up_ ABSL_GUARDED_BY(mutex_);  // waiting for the container's end
  bool awaiting_end_ ABSL_GUARDED_BY(mutex_) = false;
  std::optional<node::v1::AttachResponse> exited_ ABSL_GUARDED_BY(mutex_);

  Ready ready_ ABSL_GUARDED_BY(mutex_);  // the outstanding Next
  std::optional<absl::Status> failure_ ABSL_GUARDED_BY(mutex_);
  bool attached_told_ ABSL_GUARDED_BY(mutex_) = false;

  std::optional<node::v1::AttachRequest> unsent_
      ABSL_GUARDED_BY(mutex_);               // of the outstanding Send
  size_t sent_ ABSL_GUARDED_BY(mutex_) = 0;  // bytes of its stdin
  Taken taken_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace noded

#endif  // NODE_ATTACH_SESSION_H_
