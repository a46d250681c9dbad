// Chooses the driver by what is mounted.
#include <fcntl.h>

#include <algorithm>
#include <array>
#include <functional>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/synchronization/mutex.h"
#include "cgroup/cgroupfs.h"
#include "cgroup/driver.h"
#include "cgroup/mounts.h"
#include "cgroup/tree.h"
#include "cgroup/v1.h"
#include "cgroup/v2.h"
#include "cgroup/values.h"
#include "node/base/file.h"
#include "node/base/status.h"

namespace noded::cgroup {
namespace {

// A host is driven by the version that has more of these.
constexpr std::array<std::string_view, 3> kCore = {"memory", "cpu", "pids"};

int CountCore(const std::vector<std::string>& controllers) {
  return static_cast<int>(std::count_if(kCore.begin(), kCore.end(), [&](std::string_view core) {
    return std::find(controllers.begin(), controllers.end(), core) != controllers.end();
  }));
}

bool HasV1Controllers(const Mounts& mounts) {
  // A named hierarchy alone (systemd's, for its own tracking) limits nothing.
  return std::any_of(mounts.v1.begin(), mounts.v1.end(), [](const V1Mount& mount) {
    return !mount.controllers.front().starts_with("name=");
  });
}

// A v2 host may have one stray v1 hierarchy (net_cls, for a VPN), so that both are mounted says
// nothing.
bool PrefersV2(const Mounts& mounts) {
  if (!mounts.v2_path) return false;
  if (!HasV1Controllers(mounts)) return true;
  std::vector<std::string> v1;
  for (const V1Mount& mount : mounts.v1) {
    v1.insert(v1.end(), mount.controllers.begin(), mount.controllers.end());
  }
  auto v2 = ReadFileAt(AT_FDCWD, absl::StrCat(*mounts.v2_path, "/cgroup.controllers"));
  return v2.ok() && CountCore(ParseWords(*v2)) > CountCore(v1);
}

std::string Describe(const Mounts& mounts) {
  std::vector<std::string> lines;
  for (const V1Mount& mount : mounts.v1) {
    lines.push_back(absl::StrCat("v1 ", absl::StrJoin(mount.controllers, ","), " on ", mount.path));
  }
  if (mounts.v2_path) lines.push_back(absl::StrCat("v2 on ", *mounts.v2_path));
  return lines.empty() ? "no cgroup file system" : absl::StrJoin(lines, "; ");
}

absl::Status CheckParentIsThere(const Mounts& mounts, bool v1, const std::string& parent) {
  RETURN_IF_ERROR(ParentComponents(parent).status());
  auto is_below = [&parent](const std::string& mount) {
    return OpenAt(AT_FDCWD, mount + parent, O_PATH | O_DIRECTORY | O_NOFOLLOW).ok();
  };
  bool there = mounts.v2_path && is_below(*mounts.v2_path);
  for (const V1Mount& mount : mounts.v1) there |= v1 && is_below(mount.path);
  if (there) return absl::OkStatus();
  return InvalidField(
      "spec.cgroup_parent",
      absl::StrCat("\"", parent, "\" must be a cgroup that exists; make it with ",
                   "mkdir below the mount of ", v1 ? "a hierarchy" : *mounts.v2_path));
}

using OpenFunction = std::function<absl::StatusOr<std::unique_ptr<Driver>>()>;

// Opens the parent group again, and by that makes noded's own, when somebody removed it: while no
// container runs it is an empty directory, which a clean-up (cgdelete, another noded's) takes away.
// Groups never need this, since a parent that has one cannot be removed.
class LastingDriver : public Driver {
 public:
  LastingDriver(std::unique_ptr<Driver> driver, OpenFunction open, OomWatch* oom_watch)
      : open_(std::move(open)), oom_watch_(oom_watch), driver_(std::move(driver)) {}

  Mode mode() const override { return Current()->mode(); }
  std::vector<std::string> controllers() const override { return Current()->controllers(); }

  std::vector<Support> Enforceable() const override { return Current()->Enforceable(); }
  std::vector<Unkept> Unenforceable(const Limits& limits) const override {
    return Current()->Unenforceable(limits);
  }

  absl::Status Check(const Limits& limits) const override { return Current()->Check(limits); }

  absl::StatusOr<std::unique_ptr<Group>> Create(const std::string& name,
                                                const Limits& limits) override {
    return Watched(Retrying([&](Driver& driver) { return driver.Create(name, limits); }));
  }
  absl::StatusOr<std::unique_ptr<Group>> Open(const std::string& name) override {
    return Watched(Current()->Open(name));
  }
  absl::StatusOr<std::vector<std::string>> List() override {
    return Retrying([](Driver& driver) { return driver.List(); });
  }

 private:
  std::shared_ptr<Driver> Current() const {
    absl::MutexLock lock(&mutex_);
    return driver_;
  }

  absl::StatusOr<std::unique_ptr<Group>> Watched(absl::StatusOr<std::unique_ptr<Group>> group) {
    // Without it kills are still counted, and told at the end.
    if (group.ok() && oom_watch_ != nullptr) (*group)->TellOom(*oom_watch_).IgnoreError();
    return group;
  }

  template <typename Call>
  auto Retrying(Call call) -> decltype(call(std::declval<Driver&>())) {
    auto first = call(*Current());
    if (!absl::IsNotFound(first.status())) return first;
    ASSIGN_OR_RETURN(std::shared_ptr<Driver> again, open_());
    {
      absl::MutexLock lock(&mutex_);
      driver_ = again;
    }
    return call(*again);
  }

  const OpenFunction open_;
  OomWatch* const oom_watch_;
  mutable absl::Mutex mutex_;
  std::shared_ptr<Driver> driver_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace

absl::StatusOr<Stats> Group::ReadStats() const {
  ASSIGN_OR_RETURN(std::unique_ptr<Sampler> sampler, OpenSampler({}));
  return sampler->Sample();
}

std::string_view ModeName(Mode mode) {
  switch (mode) {
    case Mode::kV1:
      return "v1";
    case Mode::kV2:
      return "v2";
    case Mode::kHybrid:
      return "hybrid";
  }
  return "unknown";
}

absl::StatusOr<std::unique_ptr<Driver>> OpenDriverOn(const DriverOptions& options,
                                                     std::shared_ptr<CgroupFs> fs) {
  ASSIGN_OR_RETURN(std::string mountinfo, ReadFileAt(AT_FDCWD, options.mounts_path));
  Mounts mounts = ParseMounts(mountinfo);
  bool v1 = options.driver == "v1", v2 = options.driver == "v2";
  if (options.driver == "auto") {
    v2 = PrefersV2(mounts);
    v1 = !v2;
  }
  if (!v1 && !v2) {
    return absl::InvalidArgumentError(
        absl::StrCat("cgroup driver \"", options.driver, "\": must be \"auto\", \"v1\" or \"v2\""));
  }
  if (v1 ? !HasV1Controllers(mounts) : !mounts.v2_path.has_value()) {
    return absl::FailedPreconditionError(absl::StrCat(
        "cgroup driver \"", options.driver, "\": mounted for writing is ", Describe(mounts)));
  }
  OpenFunction open = [=, parent = options.parent,
                       make = options.make_parent]() -> absl::StatusOr<std::unique_ptr<Driver>> {
    if (!make) RETURN_IF_ERROR(CheckParentIsThere(mounts, v1, parent));
    return v1 ? OpenV1Driver(mounts, parent, fs) : OpenV2Driver(*mounts.v2_path, parent, fs);
  };
  ASSIGN_OR_RETURN(std::unique_ptr<Driver> driver, open());
  return std::make_unique<LastingDriver>(std::move(driver), std::move(open), options.oom_watch);
}

absl::StatusOr<std::unique_ptr<Driver>> OpenDriver(const DriverOptions& options) {
  return OpenDriverOn(options, std::make_shared<CgroupFs>());
}

}  // namespace noded::cgroup
