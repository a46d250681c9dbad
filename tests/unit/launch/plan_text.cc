#include "tests/unit/launch/plan_text.h"

#include <sys/stat.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "node/base/syscalls.h"

namespace noded::launch {
namespace {

using node::shim::v1::LaunchPlan;
using node::shim::v1::Step;

std::string Attributes(uint64_t bits) {
  const std::pair<uint64_t, const char*> names[] = {{MOUNT_ATTR_RDONLY, "ro"},
                                                    {MOUNT_ATTR_NOSUID, "nosuid"},
                                                    {MOUNT_ATTR_NODEV, "nodev"},
                                                    {MOUNT_ATTR_NOEXEC, "noexec"},
                                                    {MOUNT_ATTR_STRICTATIME, "strictatime"}};
  std::vector<std::string> set;
  for (const auto& [bit, name] : names) {
    if ((bits & bit) == 0) continue;
    set.push_back(name);
    bits &= ~bit;
  }
  if (bits != 0) set.push_back(absl::StrCat("0x", absl::Hex(bits)));
  return set.empty() ? "" : absl::StrCat(" ", absl::StrJoin(set, ","));
}

std::string Options(const google::protobuf::RepeatedPtrField<std::string>& options) {
  return options.empty() ? "" : absl::StrCat(" ", absl::StrJoin(options, " "));
}

std::string MountLine(const node::shim::v1::NewMount& mount) {
  return absl::StrCat("mount ", mount.type(), " at ", mount.target(),
                      Attributes(mount.attributes()), Options(mount.options()),
                      mount.optional() ? " (optional)" : "");
}

std::string AttachLine(const LaunchPlan& plan, const node::shim::v1::AttachMount& attach) {
  return absl::StrCat("attach ", plan.sources(attach.source()).description(), " at ",
                      attach.target(), Attributes(attach.attributes()),
                      attach.recursive_attributes() ? " recursively" : "");
}

std::string NodeLine(const node::shim::v1::MakeNode& node) {
  std::string owner = node.uid() == 0 && node.gid() == 0
                          ? ""
                          : absl::StrCat(" owner ", node.uid(), ":", node.gid());
  return absl::StrFormat("node %s %s %d:%d %04o%s", node.path(), S_ISBLK(node.mode()) ? "b" : "c",
                         node.major(), node.minor(), node.mode() & 07777, owner);
}

std::string Line(const LaunchPlan& plan, const Step& step) {
  switch (step.kind_case()) {
    case Step::kMakeMountsPrivate:
      return "make mounts private";
    case Step::kAttachRoot:
      return absl::StrCat("root ", plan.sources(step.attach_root().source()).description());
    case Step::kAttachMount:
      return AttachLine(plan, step.attach_mount());
    case Step::kNewMount:
      return MountLine(step.new_mount());
    case Step::kMakeNode:
      return NodeLine(step.make_node());
    case Step::kMakeSymlink:
      return absl::StrCat("symlink ", step.make_symlink().path(), " -> ",
                          step.make_symlink().target());
    case Step::kMakeDirectory:
      return absl::StrFormat("directory %s %04o", step.make_directory().path(),
                             step.make_directory().mode());
    case Step::kPivot:
      return "pivot";
    case Step::kMaskPath:
      return absl::StrCat("mask ", step.mask_path());
    case Step::kReadOnlyPath:
      return absl::StrCat("read-only ", step.read_only_path());
    case Step::kReadOnlyRoot:
      return "read-only root";
    case Step::kNewCgroupNamespace:
      return "new cgroup namespace";
    case Step::kSetHostname:
      return absl::StrCat("hostname ", step.set_hostname());
    case Step::kSysctl:
      return absl::StrCat("sysctl ", step.sysctl().path(), " = ", step.sysctl().value());
    case Step::kLoopbackUp:
      return "loopback up";
    case Step::kBindConsole:
      return "console";
    case Step::KIND_NOT_SET:
      break;
  }
  return "nothing?";
}

}  // namespace

std::vector<std::string> SourceLines(const LaunchPlan& plan) {
  std::vector<std::string> lines;
  for (const node::shim::v1::Source& source : plan.sources()) {
    if (source.has_overlay()) {
      const node::shim::v1::OverlaySource& overlay = source.overlay();
      lines.push_back(absl::StrCat("overlay ", absl::StrJoin(overlay.lower(), ":"),
                                   " upper=", overlay.upper(), " work=", overlay.work(),
                                   Options(overlay.options()),
                                   overlay.id_mapped() ? " id-mapped" : ""));
      continue;
    }
    const node::shim::v1::TreeSource& tree = source.tree();
    lines.push_back(absl::StrCat(
        "tree ", tree.path(), tree.recursive() ? " recursive" : "",
        tree.id_mapped() ? " id-mapped" : "", tree.propagation() == MS_SLAVE ? " slave" : "",
        tree.propagation() == MS_SHARED ? " shared" : "",
        tree.has_mount_namespace() ? absl::StrCat(" in namespace ", tree.mount_namespace()) : ""));
  }
  return lines;
}

std::vector<std::string> StepLines(const LaunchPlan& plan) {
  std::vector<std::string> lines;
  for (const Step& step : plan.steps()) lines.push_back(Line(plan, step));
  return lines;
}

int Position(const std::vector<std::string>& lines, const std::string& start) {
  for (size_t i = 0; i < lines.size(); ++i) {
    if (lines[i].starts_with(start)) return static_cast<int>(i);
  }
  return -1;
}

}  // namespace noded::launch
