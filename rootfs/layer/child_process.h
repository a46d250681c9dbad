// noded's side of the layer child: its process, its pipes, and its end. Thread-compatible, except
// Cancel, which any thread may call at any time before the destructor.
#ifndef ROOTFS_LAYER_CHILD_PROCESS_H_
#define ROOTFS_LAYER_CHILD_PROCESS_H_

#include <sys/types.h>

#include <atomic>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "node/base/pidfd.h"
#include "node/base/unique_fd.h"
#include "rootfs/layer/child.h"
#include "rootfs/layer/message.h"

namespace noded::layer {

class ChildProcess {
 public:
  enum class Stream {
    kWritten,  // by Write
    kRead,     // by Read
    kGiven,    // the child has its own
  };
  // `given` is borrowed, and used with kGiven.
  static absl::StatusOr<std::unique_ptr<ChildProcess>> Start(const std::string& program,
                                                             const Message& job, const Tree& tree,
                                                             Stream stream, int given);
  // Kills the child if it still runs, and reaps it.
  ~ChildProcess();
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  // Blocks while the pipe is full. When the child has ended: its reason.
  absl::Status Write(std::string_view bytes);
  void EndOfStream() { stream_.Reset(); }
  // Blocks for at least one byte; empty at the end.
  absl::StatusOr<std::string> Read(size_t max_bytes);
  // The child's next message; its error as the status. Blocks. CANCELLED after Cancel; INTERNAL
  // when it ended without a word.
  absl::StatusOr<Message> Answer();
  void Cancel();

 private:
  ChildProcess(pid_t pid, Pidfd pidfd, UniqueFd result, UniqueFd stream);
  absl::Status WithoutAWord();

  const pid_t pid_;
  const Pidfd pidfd_;
  UniqueFd result_;
  UniqueFd stream_;
  std::string received_;
  // What the first failure was; the child tells it once.
  absl::Status failure_;
  std::atomic<bool> cancelled_ = false;
};

}  // namespace noded::layer

#endif  // ROOTFS_LAYER_CHILD_PROCESS_H_
