#include "cgroup/oom_watch.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <functional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "node/base/file.h"
#include "node/base/status.h"

namespace noded::cgroup {
namespace {

constexpr int kEventsAtOnce = 64;
constexpr size_t kReadBytes = 4096;

absl::Status Poll(int epoll, int fd, uint32_t datum) {
  epoll_event event{.events = EPOLLIN, .data = {.u32 = datum}};
  if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0) return ErrnoStatus(errno, "watch for OOM");
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<OomWatch>> OomWatch::Create() {
  std::unique_ptr<OomWatch> watch(new OomWatch);
  watch->epoll_ = UniqueFd(epoll_create1(EPOLL_CLOEXEC));
  if (!watch->epoll_) return ErrnoStatus(errno, "watch for OOM: epoll");
  watch->inotify_ = UniqueFd(inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  if (!watch->inotify_) return ErrnoStatus(errno, "watch for OOM: inotify");
  RETURN_IF_ERROR(Poll(watch->epoll_.get(), watch->inotify_.get(), kEventfds));
  for (uint32_t i = 0; i < kEventfds; ++i) {
    watch->eventfds_[i] = UniqueFd(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!watch->eventfds_[i]) return ErrnoStatus(errno, "watch for OOM: eventfd");
    RETURN_IF_ERROR(Poll(watch->epoll_.get(), watch->eventfds_[i].get(), i));
  }
  return watch;
}

absl::Status OomWatch::AddV1(const std::string& name, int dir) {
  size_t index = std::hash<std::string>()(name) % kEventfds;
  ASSIGN_OR_RETURN(UniqueFd oom, OpenAt(dir, "memory.oom_control", O_RDONLY));
  {
    absl::MutexLock lock(&mutex_);
    v1_names_[index].insert(name);
  }
  // The kernel keeps what it needs of both descriptors until the group is removed.
  return WriteExistingAt(dir, "cgroup.event_control",
                         absl::StrCat(eventfds_[index].get(), " ", oom.get()));
}

absl::Status OomWatch::AddV2(const std::string& name, int dir) {
  // By way of the descriptor, because the path may have become another group's.
  std::string path = absl::StrCat("/proc/self/fd/", dir, "/memory.events");
  absl::MutexLock lock(&mutex_);
  int watch = inotify_add_watch(inotify_.get(), path.c_str(), IN_MODIFY);
  if (watch < 0) return ErrnoStatus(errno, absl::StrCat("watch for OOM: \"", name, "\""));
  v2_names_[watch] = name;
  return absl::OkStatus();
}

void OomWatch::Forget(const std::string& name) {
  absl::MutexLock lock(&mutex_);
  v1_names_[std::hash<std::string>()(name) % kEventfds].erase(name);
  for (auto one = v2_names_.begin(); one != v2_names_.end(); ++one) {
    if (one->second != name) continue;
    // Fails when the group is gone: then the kernel has done it.
    inotify_rm_watch(inotify_.get(), one->first);
    v2_names_.erase(one);
    return;
  }
}

void OomWatch::TakeFiles(std::set<std::string>& names) {
  alignas(inotify_event) char buffer[kReadBytes];
  ssize_t size;
  while ((size = read(inotify_.get(), buffer, sizeof(buffer))) > 0) {
    for (ssize_t at = 0; at < size;) {
      inotify_event event;
      memcpy(&event, buffer + at, sizeof(event));
      at += static_cast<ssize_t>(sizeof(event) + event.len);
      // What was told is not known: all are looked at.
      if ((event.mask & IN_Q_OVERFLOW) != 0) {
        for (const auto& [watch, name] : v2_names_) names.insert(name);
      }
      auto found = v2_names_.find(event.wd);
      if (found == v2_names_.end()) continue;
      names.insert(found->second);
      // The group was removed, and the number will not be used again.
      if ((event.mask & IN_IGNORED) != 0) v2_names_.erase(found);
    }
  }
}

std::vector<std::string> OomWatch::Take() {
  std::set<std::string> names;
  absl::MutexLock lock(&mutex_);
  epoll_event events[kEventsAtOnce];
  int count = epoll_wait(epoll_.get(), events, kEventsAtOnce, 0);
  for (int i = 0; i < count; ++i) {
    if (events[i].data.u32 >= kEventfds) {
      TakeFiles(names);
      continue;
    }
    uint64_t times;
    (void)!read(eventfds_[events[i].data.u32].get(), &times, sizeof(times));
    const std::set<std::string>& sharers = v1_names_[events[i].data.u32];
    names.insert(sharers.begin(), sharers.end());
  }
  return {names.begin(), names.end()};
}

}  // namespace noded::cgroup
