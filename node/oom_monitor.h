// Notices when the kernel kills tasks of containers because memory ran out, while they run. The
// number of kills is the cgroup's count; who was killed comes from the kernel's log, where that can
// be read. Three descriptors and no thread, however many containers there are.
#ifndef NODE_OOM_MONITOR_H_
#define NODE_OOM_MONITOR_H_

#include <map>
#include <memory>
#include <optional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "cgroup/oom_watch.h"
#include "node/base/unique_fd.h"
#include "node/event_loop.h"
#include "node/oom_log.h"
#include "node/v1/container.pb.h"

namespace noded {

class EngineImpl;

// Thread-safe.
class OomMonitor {
 public:
  // `kernel_log` is /dev/kmsg, or empty; one that cannot be read is done without. `engine` and
  // `watch` outlive this.
  OomMonitor(EngineImpl* engine, cgroup::OomWatch* watch, const std::string& kernel_log);
  // To be called when nothing runs on the pool any more and while the loop is still there.
  ~OomMonitor();
  OomMonitor(const OomMonitor&) = delete;
  OomMonitor& operator=(const OomMonitor&) = delete;

  // The last kill in this container that the log tells of by now.
  std::optional<node::v1::OomKill> LastKill(const std::string& id);
  // The run has ended: what comes is of another.
  void Forget(const std::string& id);

 private:
  void Heard();
  void ReadLog();
  void Note(const LoggedOomKill& kill) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Suspect(const std::string& id);
  void CheckAfter(const std::string& id, absl::Duration delay, bool last);
  void Check(const std::string& id, bool last);

  EngineImpl* const engine_;
  cgroup::OomWatch* const watch_;
  UniqueFd log_fd_;
  EventLoop::WatchId watched_ = 0, log_watched_ = 0;
  absl::Mutex mutex_;
  OomLog log_ ABSL_GUARDED_BY(mutex_);
  // Of containers that run, at most one each.
  std::map<std::string, node::v1::OomKill> last_kills_ ABSL_GUARDED_BY(mutex_);
  // Containers that are looked at, and whether there was news since the last look.
  std::map<std::string, bool> suspects_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace noded

#endif  // NODE_OOM_MONITOR_H_
