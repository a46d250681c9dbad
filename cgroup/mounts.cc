#include "cgroup/mounts.h"

#include <algorithm>
#include <array>

#include "absl/strings/str_split.h"
#include "node/base/string_view.h"

namespace noded::cgroup {
namespace {

// Super block options that name a controller; the others ("rw", "clone_children", "xattr") do not.
constexpr std::array<std::string_view, 15> kControllers = {
    "blkio",   "cpu",    "cpuacct", "cpuset",  "debug",    "devices",    "dmem", "freezer",
    "hugetlb", "memory", "misc",    "net_cls", "net_prio", "perf_event", "pids"};

std::vector<std::string> ControllersOf(absl::string_view options) {
  std::vector<std::string> controllers;
  for (absl::string_view option : absl::StrSplit(options, ',')) {
    bool known =
        std::find(kControllers.begin(), kControllers.end(), AsStd(option)) != kControllers.end();
    if (known || AsStd(option).starts_with("name=")) controllers.emplace_back(option);
  }
  std::sort(controllers.begin(), controllers.end());
  return controllers;
}

// proc(5): space, tab, newline and backslash are written as \ooo.
std::string Unescape(absl::string_view field) {
  std::string text;
  for (size_t i = 0; i < field.size(); ++i) {
    auto octal = [&](size_t at) { return field[at] >= '0' && field[at] <= '7'; };
    if (field[i] == '\\' && i + 3 < field.size() && octal(i + 1) && octal(i + 2) && octal(i + 3)) {
      text += static_cast<char>((field[i + 1] - '0') * 64 + (field[i + 2] - '0') * 8 +
                                (field[i + 3] - '0'));
      i += 3;
    } else {
      text += field[i];
    }
  }
  return text;
}

bool IsReadOnly(absl::string_view options) {
  std::vector<absl::string_view> words = absl::StrSplit(options, ',');
  return std::find(words.begin(), words.end(), "ro") != words.end();
}

void AddMount(absl::string_view line, Mounts& mounts) {
  // id parent major:minor root mount-point options [optional…] - type source super-options
  std::vector<absl::string_view> fields = absl::StrSplit(line, ' ');
  constexpr size_t kMountPoint = 4, kOptions = 5, kFirstOptional = 6;
  if (fields.size() < kFirstOptional) return;
  auto dash = std::find(fields.begin() + kFirstOptional, fields.end(), "-");
  if (fields.end() - dash < 4 || IsReadOnly(fields[kOptions])) return;
  std::string path = Unescape(fields[kMountPoint]);
  if (dash[1] == "cgroup2") {
    if (!mounts.v2_path) mounts.v2_path = path;
  } else if (dash[1] == "cgroup") {
    V1Mount mount{path, ControllersOf(dash[3])};
    auto same = [&](const V1Mount& other) { return other.controllers == mount.controllers; };
    bool again = std::any_of(mounts.v1.begin(), mounts.v1.end(), same);
    if (!mount.controllers.empty() && !again) mounts.v1.push_back(std::move(mount));
  }
}

}  // namespace

Mounts ParseMounts(std::string_view mountinfo) {
  Mounts mounts;
  for (absl::string_view line : absl::StrSplit(AsAbsl(mountinfo), '\n')) AddMount(line, mounts);
  return mounts;
}

}  // namespace noded::cgroup
