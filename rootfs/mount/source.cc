#include "rootfs/mount/source.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>

#include "node/base/syscalls.h"

namespace noded::mount {
namespace {

namespace pb = ::node::shim::v1;

// fsconfig(2) copies no longer string.
constexpr size_t kMaxOptionBytes = 255;

// A clone of the tree at `path` relative to `dir`, id-mapped if a namespace is given (else -1).
int CloneTree(const char* path, bool recursive, int user_namespace, uint64_t propagation) {
  const unsigned recurse = recursive ? static_cast<unsigned>(AT_RECURSIVE) : 0;
  UniqueFd fd(open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | recurse));
  if (!fd) return -1;
  mount_attr attr{};
  // Never left as it came: a clone of a shared mount is a peer of the original, and what the
  // container mounts below it would appear on the host.
  attr.propagation = propagation != 0 ? propagation : uint64_t{MS_PRIVATE};
  if (user_namespace >= 0) {
    attr.attr_set = MOUNT_ATTR_IDMAP;
    attr.userns_fd = static_cast<uint64_t>(user_namespace);
  }
  if (mount_setattr(fd.get(), "", AT_EMPTY_PATH | recurse, &attr, sizeof(attr)) != 0) return -1;
  return fd.Release();
}

// An overlay works on its layers as the one who mounted it. The host's root has no id on a mapped
// layer (EOVERFLOW when it makes something, and the overlay comes up read-only), so the mounter's
// file system ids are those of the container's root, while its capabilities stay the host's, which
// keeps the trusted xattrs usable.
class MounterIdentity {
 public:
  explicit MounterIdentity(const IdMapping& mapping) {
    setfsgid(mapping.root_gid);
    setfsuid(mapping.root_uid);
    // The kernel takes the file system capabilities from the effective set with that, though not
    // from the permitted.
    RaiseEffective();
  }
  MounterIdentity(const MounterIdentity&) = delete;
  ~MounterIdentity() {
    setfsuid(0);
    setfsgid(0);
  }

 private:
  static void RaiseEffective() {
    __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
    __user_cap_data_struct data[2] = {};
    if (syscall(SYS_capget, &header, data) != 0) return;
    for (__user_cap_data_struct& half : data) half.effective = half.permitted;
    (void)syscall(SYS_capset, &header, data);
  }
};

// The file system's own words about the last refusal: "e overlay: ..." lines, read from its
// context.
std::string ContextMessage(int context) {
  char line[512];
  ssize_t got = read(context, line, sizeof(line));
  if (got <= 2) return {};
  std::string message(line + 2, static_cast<size_t>(got) - 2);
  while (!message.empty() && message.back() == '\n') message.pop_back();
  return message;
}

int SetOption(int context, const std::string& option) {
  size_t equals = option.find('=');
  if (equals == std::string::npos) {
    return fsconfig(context, FSCONFIG_SET_FLAG, option.c_str(), nullptr, 0);
  }
  std::string key = option.substr(0, equals);
  return fsconfig(context, FSCONFIG_SET_STRING, key.c_str(), option.c_str() + equals + 1, 0);
}

std::string ParentDirectory(const std::string& path) {
  size_t slash = path.rfind('/');
  return slash == 0 || slash == std::string::npos ? "/" : path.substr(0, slash);
}

// Descriptors of an overlay's layers. Bare numbers go to the kernel, relative to /proc/self/fd:
// paths of any length with any character fit into the options then.
struct Layers {
  std::vector<UniqueFd> lower;
  UniqueFd upper_parent;
  UniqueFd upper;
  UniqueFd work;
};

Result OpenLayers(const pb::OverlaySource& overlay, int user_namespace, Layers* layers) {
  const bool mapped = overlay.id_mapped();
  for (const std::string& path : overlay.lower()) {
    UniqueFd fd(mapped ? CloneTree(path.c_str(), false, user_namespace, MS_PRIVATE)
                       : open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!fd) return Failed(errno, path);
    layers->lower.push_back(std::move(fd));
  }
  if (overlay.upper().empty()) return {};
  // Through one clone of their parent, because upper and work must be on the same mount.
  std::string parent = ParentDirectory(overlay.upper());
  if (mapped && parent != ParentDirectory(overlay.work())) {
    return Failed(EXDEV, overlay.work(), "which is not beside the upper directory");
  }
  layers->upper_parent.Reset(mapped ? CloneTree(parent.c_str(), false, user_namespace, MS_PRIVATE)
                                    : open(parent.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!layers->upper_parent) return Failed(errno, parent);
  auto open_in_parent = [&](const std::string& path) {
    std::string name = mapped ? path.substr(path.rfind('/') + 1) : path;
    return openat(layers->upper_parent.get(), name.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
  };
  layers->upper.Reset(open_in_parent(overlay.upper()));
  if (!layers->upper) return Failed(errno, overlay.upper());
  layers->work.Reset(open_in_parent(overlay.work()));
  if (!layers->work) return Failed(errno, overlay.work());
  return {};
}

Result MountOverlay(const pb::OverlaySource& overlay, const Layers& layers, const std::string& name,
                    UniqueFd* out) {
  FileSystem wanted{.type = "overlay", .source = "overlay"};
  std::string lower = "lowerdir=";
  for (const UniqueFd& fd : layers.lower) {
    if (lower.back() != '=') lower += ':';
    lower += std::to_string(fd.get());
  }
  if (lower.size() <= kMaxOptionBytes) {
    wanted.options.push_back(std::move(lower));
  } else {
    // One by one takes a kernel of 6.5 or newer, so only where the short way cannot say it.
    for (const UniqueFd& fd : layers.lower) {
      wanted.options.push_back("lowerdir+=" + std::to_string(fd.get()));
    }
  }
  if (layers.upper) {
    wanted.options.push_back("upperdir=" + std::to_string(layers.upper.get()));
    wanted.options.push_back("workdir=" + std::to_string(layers.work.get()));
  }
  for (const std::string& option : overlay.options()) wanted.options.push_back(option);
  if (chdir("/proc/self/fd") != 0) return Failed(errno, "/proc/self/fd");
  Result result = MakeFileSystem(wanted, out);
  if (chdir("/") != 0 && result.ok()) return Failed(errno, "/");
  if (!result.ok()) result.object = name;
  return result;
}

// Runs `make` in a child made with `flags`, whose mount namespace may be another than ours, and
// takes over the mount that it leaves in the descriptor table, which is one for both. `make` fills
// in the mount or returns an errno.
template <typename Make>
Result MakeInChild(uint64_t flags, const std::string& name, Make make, UniqueFd* out) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return Failed(errno, name);
  UniqueFd reader(ends[0]), writer(ends[1]);
  clone_args args{};
  args.flags = flags | CLONE_FILES;
  args.exit_signal = SIGCHLD;
  pid_t child = Clone3(&args);
  if (child < 0) return Failed(errno, name);
  if (child == 0) {
    int answer[2] = {-1, 0};  // descriptor, errno
    UniqueFd made;
    answer[1] = make(&made);
    answer[0] = made.Release();
    // No destructor runs: it would close the parent's descriptors too, the table being one.
    _exit(write(writer.get(), answer, sizeof(answer)) == sizeof(answer) ? 0 : 1);
  }
  int answer[2] = {-1, ECHILD};
  int status;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  // Ours stays open until here, or the pipe of a child that died would have no end: the table is
  // shared.
  writer.Reset();
  ssize_t got = read(reader.get(), answer, sizeof(answer));
  if (got != sizeof(answer) || answer[0] < 0) return Failed(answer[1], name);
  out->Reset(answer[0]);
  return {};
}

// Before Linux 6.15 an overlay takes no detached layers (EINVAL), and attached nowhere is the only
// place where the host does not see them. So a child with a mount namespace of its own attaches
// them there and makes the overlay, which holds private copies.
Result MountOverlayInChild(const pb::OverlaySource& overlay, const Layers& layers,
                           const std::string& name, UniqueFd* out) {
  auto make = [&](UniqueFd* made) {
    if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return errno;
    auto attach = [](const UniqueFd& fd) {
      return move_mount(fd.get(), "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH) == 0;
    };
    if (!std::all_of(layers.lower.begin(), layers.lower.end(), attach)) return errno;
    if (layers.upper_parent && !attach(layers.upper_parent)) return errno;
    return MountOverlay(overlay, layers, name, made).error;
  };
  return MakeInChild(CLONE_NEWNS, name, make, out);
}

// Only who is in a mount namespace may clone its mounts (EINVAL), and the supervisor itself never
// enters a container's.
Result CloneFromNamespace(const pb::TreeSource& tree, int mount_namespace, int user_namespace,
                          UniqueFd* out) {
  auto make = [&](UniqueFd* made) {
    // Before it is where the container's processes are: none may trace it and get at what it holds.
    prctl(PR_SET_DUMPABLE, 0);
    if (setns(mount_namespace, CLONE_NEWNS) != 0) return errno;
    made->Reset(
        CloneTree(tree.path().c_str(), tree.recursive(), user_namespace, tree.propagation()));
    return *made ? 0 : errno;
  };
  return MakeInChild(0, tree.path(), make, out);
}

Result MakeOverlay(const pb::OverlaySource& overlay, const std::string& name,
                   const IdMapping& mapping, UniqueFd* out) {
  Layers layers;
  Result opened = OpenLayers(overlay, mapping.user_namespace, &layers);
  if (!opened.ok()) return opened;
  if (!overlay.id_mapped()) return MountOverlay(overlay, layers, name, out);
  MounterIdentity identity(mapping);
  Result made = MountOverlay(overlay, layers, name, out);
  if (made.ok() || made.error != EINVAL) return made;
  return MountOverlayInChild(overlay, layers, name, out);
}

}  // namespace

Result MakeFileSystem(const FileSystem& wanted, UniqueFd* out) {
  UniqueFd context(fsopen(wanted.type.c_str(), FSOPEN_CLOEXEC));
  if (!context) return Failed(errno, wanted.type);
  auto refused = [&](const std::string& what) {
    int error = errno;
    std::string message = ContextMessage(context.get());
    return Failed(error, wanted.type, message.empty() ? what : message);
  };
  if (!wanted.source.empty() &&
      fsconfig(context.get(), FSCONFIG_SET_STRING, "source", wanted.source.c_str(), 0) != 0) {
    return refused("source");
  }
  for (const std::string& option : wanted.options) {
    if (SetOption(context.get(), option) != 0) return refused("option " + option);
  }
  if (fsconfig(context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0) return refused("");
  UniqueFd made(fsmount(context.get(), FSMOUNT_CLOEXEC, static_cast<unsigned>(wanted.attributes)));
  if (!made) return refused("");
  *out = std::move(made);
  return {};
}

Result MakeSource(const pb::Source& source, const IdMapping& mapping, int mount_namespace,
                  UniqueFd* out) {
  if (source.kind_case() == pb::Source::kOverlay) {
    return MakeOverlay(source.overlay(), source.description(), mapping, out);
  }
  const pb::TreeSource& tree = source.tree();
  const int user_namespace = tree.id_mapped() ? mapping.user_namespace : -1;
  if (tree.has_mount_namespace()) {
    return CloneFromNamespace(tree, mount_namespace, user_namespace, out);
  }
  out->Reset(CloneTree(tree.path().c_str(), tree.recursive(), user_namespace, tree.propagation()));
  if (*out) return {};
  return Failed(errno, tree.path());
}

}  // namespace noded::mount
