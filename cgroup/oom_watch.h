// Tells, without polling, in which groups memory has run out. Costs no descriptor a group: v1 lets
// many groups share an eventfd (memory.txt, section 10), and one inotify instance holds the
// memory.events of all v2 groups.
#ifndef CGROUP_OOM_WATCH_H_
#define CGROUP_OOM_WATCH_H_

#include <array>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "node/base/unique_fd.h"

namespace noded::cgroup {

// Thread-safe.
class OomWatch {
 public:
  static absl::StatusOr<std::unique_ptr<OomWatch>> Create();

  // Readable (EPOLLIN) when Take has something to tell. Lives as long as this.
  int fd() const { return epoll_.get(); }
  // Names of groups to be looked at (Group::OomKills). Too many rather than too few: on v1 some
  // share an eventfd, which the removal of a group signals too, and on v2 every change of
  // memory.events is told. On v1 it comes before the kill, and after it on v2.
  std::vector<std::string> Take();
  void Forget(const std::string& name);

  // For Group::TellOom: directories of a group in the memory hierarchy, borrowed.
  absl::Status AddV1(const std::string& name, int dir);
  absl::Status AddV2(const std::string& name, int dir);

 private:
  // Of thousands of groups only a few dozen are looked at in vain.
  static constexpr size_t kEventfds = 32;

  OomWatch() = default;
  void TakeFiles(std::set<std::string>& names) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  UniqueFd epoll_;
  UniqueFd inotify_;
  std::array<UniqueFd, kEventfds> eventfds_;
  absl::Mutex mutex_;
  std::array<std::set<std::string>, kEventfds> v1_names_ ABSL_GUARDED_BY(mutex_);
  std::map<int, std::string> v2_names_ ABSL_GUARDED_BY(mutex_);  // by watch descriptor
};

}  // namespace noded::cgroup

#endif  // CGROUP_OOM_WATCH_H_
