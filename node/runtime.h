// What noded holds of one container besides its record: connections, descriptors and who waits.
// Nothing here survives a restart; recovery makes it again.
#ifndef NODE_RUNTIME_H_
#define NODE_RUNTIME_H_

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "cgroup/driver.h"
#include "node/base/pidfd.h"
#include "node/base/unique_fd.h"
#include "node/operation_queue.h"
#include "node/shim_client.h"
#include "node/v1/container_service.pb.h"

namespace noded {

class AttachSession;
class ExecSession;
class Meter;

// A container's cgroup, shared between what measures it and what kills it. Thread-safe: a Group
// alone is thread-compatible only.
class SharedGroup {
 public:
  explicit SharedGroup(std::unique_ptr<cgroup::Group> group) : group_(std::move(group)) {}

  absl::StatusOr<cgroup::AttachFds> OpenAttach() {
    absl::ReaderMutexLock lock(&mutex_);
    return group_->OpenAttach();
  }
  absl::StatusOr<std::vector<pid_t>> Pids() {
    absl::ReaderMutexLock lock(&mutex_);
    return group_->Pids();
  }
  absl::Status Kill() {
    absl::MutexLock lock(&mutex_);
    return group_->Kill();
  }
  absl::Status Remove(absl::Duration bound) {
    absl::MutexLock lock(&mutex_);
    return group_->Remove(bound);
  }
  absl::Status Update(const cgroup::Limits& next, const cgroup::UpdateOptions& options) {
    absl::MutexLock lock(&mutex_);
    return group_->Update(next, options);
  }
  absl::Status Freeze() {
    absl::MutexLock lock(&mutex_);
    return group_->Freeze();
  }
  absl::Status Thaw() {
    absl::MutexLock lock(&mutex_);
    return group_->Thaw();
  }
  absl::StatusOr<bool> Frozen() {
    absl::ReaderMutexLock lock(&mutex_);
    return group_->frozen();
  }
  std::optional<uint64_t> OomKills() {
    absl::ReaderMutexLock lock(&mutex_);
    return group_->OomKills();
  }
  // UNAVAILABLE while it is being changed, killed or removed, because a sample of many containers
  // must not wait for one.
  using NewSampler = absl::StatusOr<std::unique_ptr<cgroup::Sampler>>;
  NewSampler TryOpenSampler(const cgroup::SampleOptions& options) {
    if (!mutex_.ReaderTryLock()) {
      return absl::UnavailableError("the cgroup is being changed or removed");
    }
    NewSampler sampler = group_->OpenSampler(options);
    mutex_.ReaderUnlock();
    return sampler;
  }

 private:
  absl::Mutex mutex_;
  const std::unique_ptr<cgroup::Group> group_ ABSL_PT_GUARDED_BY(mutex_);
};

// Thread-safe by its mutex, which is never held while anything is waited for.
struct Runtime {
  Runtime(std::string container_id, std::shared_ptr<OperationQueue> queue)
      : id(std::move(container_id)), operations(std::move(queue)) {}

  const std::string id;
  const std::shared_ptr<OperationQueue> operations;

  absl::Mutex mutex;
  // Of the present run; null when there is none or its supervisor was lost.
  std::shared_ptr<ShimClient> shim ABSL_GUARDED_BY(mutex);
  std::shared_ptr<const Pidfd> shim_process ABSL_GUARDED_BY(mutex);
  // Counts connections, so that the end of an earlier one is not taken for the present one's.
  uint64_t connection ABSL_GUARDED_BY(mutex) = 0;
  std::shared_ptr<const Pidfd> init ABSL_GUARDED_BY(mutex);
  std::shared_ptr<SharedGroup> group ABSL_GUARDED_BY(mutex);
  // Only the first of several Stops sends the signal: many programs take a second one as "at once".
  bool stop_signal_sent ABSL_GUARDED_BY(mutex) = false;

  // Clients that attached before the start: the supervisor's ends of their sockets.
  std::map<const AttachSession*, UniqueFd> pending_attachments ABSL_GUARDED_BY(mutex);
  // The terminal's size that such a client asked for, 0 by 0 when none did.
  std::pair<uint32_t, uint32_t> pending_size ABSL_GUARDED_BY(mutex) = {0, 0};
  // Execs that run, by id; kept until their end is known though their client may be gone.
  std::map<std::string, std::shared_ptr<ExecSession>> execs ABSL_GUARDED_BY(mutex);

  // Execs whose process is being made, and whether a pause waits for them: frozen half-way they
  // would tell nothing until the container is resumed.
  int starting_execs ABSL_GUARDED_BY(mutex) = 0;
  bool pausing ABSL_GUARDED_BY(mutex) = false;

  // Of the present run: what it is measured with, made by its first sample, and the last
  // sample with its time since boot.
  std::shared_ptr<Meter> meter ABSL_GUARDED_BY(mutex);
  std::shared_ptr<const node::v1::StatsSample> last_sample ABSL_GUARDED_BY(mutex);
  absl::Duration sampled ABSL_GUARDED_BY(mutex);

  std::shared_ptr<ShimClient> Shim() {
    absl::MutexLock lock(&mutex);
    return shim;
  }
  std::shared_ptr<SharedGroup> Group() {
    absl::MutexLock lock(&mutex);
    return group;
  }
  std::shared_ptr<const Pidfd> Init() {
    absl::MutexLock lock(&mutex);
    return init;
  }
};

}  // namespace noded

#endif  // NODE_RUNTIME_H_
