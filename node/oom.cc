// That memory ran out in a container: noticed, counted and told to watchers.
#include <google/protobuf/util/time_util.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <cerrno>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "node/base/file.h"
#include "node/engine_impl.h"
#include "node/oom_monitor.h"
#include "node/record_changes.h"

namespace noded {

using google::protobuf::util::TimeUtil;

namespace {

// On v1 memory is told to have run out before the victim is chosen and counted. The second look is
// for a victim that was long in choosing, and bounds how often a container that meets its limit all
// the time is looked at.
constexpr absl::Duration kFirstLook = absl::Milliseconds(20);
constexpr absl::Duration kSecondLook = absl::Milliseconds(250);
// The most that the kernel makes of one record (CONSOLE_EXT_LOG_MAX).
constexpr size_t kRecordBytes = 8192;
constexpr int kMostRecords = 10'000;  // at once: more than the kernel keeps
constexpr size_t kIdDigits = 64;

}  // namespace

OomMonitor::OomMonitor(EngineImpl* engine, cgroup::OomWatch* watch, const std::string& kernel_log)
    : engine_(engine), watch_(watch) {
  // Either failing leaves the count at each container's end.
  watched_ = engine->loop()->Watch(watch->fd(), EPOLLIN, [this](uint32_t) { Heard(); }).value_or(0);
  if (kernel_log.empty()) return;
  absl::StatusOr<UniqueFd> log = OpenAt(AT_FDCWD, kernel_log, O_RDONLY | O_NONBLOCK);
  // What was there before is of containers that have been told of, or gone.
  if (!log.ok() || lseek(log->get(), 0, SEEK_END) < 0) return;
  log_fd_ = *std::move(log);
  log_watched_ =
      engine->loop()->Watch(log_fd_.get(), EPOLLIN, [this](uint32_t) { ReadLog(); }).value_or(0);
}

OomMonitor::~OomMonitor() {
  for (EventLoop::WatchId watch : {watched_, log_watched_}) {
    if (watch != 0) engine_->loop()->Unwatch(watch);
  }
}

void OomMonitor::Heard() {
  for (const std::string& id : watch_->Take()) Suspect(id);
}

// Never waits: the descriptor is non-blocking.
void OomMonitor::ReadLog() {
  absl::MutexLock lock(&mutex_);
  char record[kRecordBytes];
  for (int i = 0; log_fd_ && i < kMostRecords; ++i) {
    ssize_t size = read(log_fd_.get(), record, sizeof(record));
    // Records were overwritten before we came to them; the next read goes on with the oldest.
    if (size < 0 && (errno == EPIPE || errno == EINTR)) continue;
    if (size <= 0) return;
    auto kill = log_.Feed(std::string_view(record, static_cast<size_t>(size)));
    if (kill) Note(*kill);
  }
}

void OomMonitor::Note(const LoggedOomKill& kill) {
  // The first that is a container: its payload may have named a group of its own after another.
  for (absl::string_view name : absl::StrSplit(kill.task_cgroup, '/')) {
    if (name.size() != kIdDigits || engine_->registry()->Get(std::string(name)) == nullptr)
      continue;
    node::v1::OomKill& last = last_kills_[std::string(name)];
    last.Clear();
    *last.mutable_time() = TimeUtil::NanosecondsToTimestamp(absl::ToUnixNanos(absl::Now()));
    last.set_pid(kill.pid);
    last.set_process(kill.process);
    if (kill.memory_bytes) last.set_memory_bytes(*kill.memory_bytes);
    if (kill.limit_cgroup) last.set_limit_cgroup(*kill.limit_cgroup);
    return;
  }
}

std::optional<node::v1::OomKill> OomMonitor::LastKill(const std::string& id) {
  ReadLog();
  absl::MutexLock lock(&mutex_);
  auto found = last_kills_.find(id);
  if (found == last_kills_.end()) return std::nullopt;
  return found->second;
}

void OomMonitor::Forget(const std::string& id) {
  watch_->Forget(id);
  absl::MutexLock lock(&mutex_);
  last_kills_.erase(id);
}

void OomMonitor::Suspect(const std::string& id) {
  {
    absl::MutexLock lock(&mutex_);
    auto [suspect, is_new] = suspects_.emplace(id, false);
    if (!is_new) {
      suspect->second = true;
      return;
    }
  }
  CheckAfter(id, kFirstLook, false);
}

void OomMonitor::CheckAfter(const std::string& id, absl::Duration delay, bool last) {
  // The timer may outlive this, and does nothing then but ask an engine that is closing.
  engine_->loop()->RunAfter(delay, [this, engine = engine_, id, last] {
    engine->SubmitAlways([this, id, last] { Check(id, last); });
  });
}

void OomMonitor::Check(const std::string& id, bool last) {
  std::shared_ptr<Runtime> runtime = engine_->RuntimeOf(id);
  if (auto group = runtime->Group()) engine_->RecordOomKills(runtime, *group);
  {
    absl::MutexLock lock(&mutex_);
    bool& news = suspects_[id];
    if (last && !news) {
      suspects_.erase(id);
      return;
    }
    news = false;
  }
  CheckAfter(id, kSecondLook, true);
}

void EngineImpl::RecordOomKills(const std::shared_ptr<Runtime>& runtime, SharedGroup& group) {
  Snapshot before = registry_->Get(runtime->id);
  if (before == nullptr) return;
  std::optional<uint64_t> kills = group.OomKills();
  if (!kills || *kills <= before->container().oom_kills()) return;
  std::optional<node::v1::OomKill> last = oom_->LastKill(runtime->id);
  absl::Status recorded =
      registry_
          ->Change(
              runtime->id, node::v1::CONTAINER_EVENT_TYPE_OOM_KILLED,
              [&](ContainerRecord& record) {
                node::v1::Container& container = *record.mutable_container();
                // Ended, or another run, or somebody else was here first.
                if (!MayHaveProcess(container) ||
                    container.start_count() != before->container().start_count() ||
                    *kills <= container.oom_kills()) {
                  return absl::AlreadyExistsError("recorded already");
                }
                MarkOomKilled(record, *kills, last);
                return absl::OkStatus();
              },
              Saving::kIfPossible)
          .status();
  if (!recorded.ok() && !absl::IsAlreadyExists(recorded) && !absl::IsNotFound(recorded)) {
    Report(absl::StrCat("record OOM kills of ", runtime->id, ": ", recorded.message()));
  }
}

}  // namespace noded
