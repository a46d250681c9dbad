#include "clients/cli/container_flags.h"

#include <limits>
#include <unordered_map>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "clients/cli/limit_flags.h"
#include "clients/cli/mount_flags.h"
#include "clients/cli/proto_time.h"
#include "clients/cli/quantity.h"
#include "clients/cli/security_flags.h"
#include "clients/cli/utf8.h"

namespace noded::cli {
namespace {

using node::v1::ContainerSpec;
using node::v1::Mount;
using node::v1::Namespace;

// "NAME=value" to its name.
std::string NameOf(const std::string& entry) { return entry.substr(0, entry.find('=')); }

absl::Status AddMount(absl::StatusOr<Mount> mount, ContainerSpec& spec) {
  if (!mount.ok()) return mount.status();
  *spec.add_mounts() = *std::move(mount);
  return absl::OkStatus();
}

// "KEY=VALUE", or "KEY" for an empty value where that makes sense.
absl::Status AddPair(absl::string_view text, bool value_needed,
                     google::protobuf::Map<std::string, std::string>& map) {
  std::pair<std::string, std::string> pair = absl::StrSplit(text, absl::MaxSplits('=', 1));
  if (pair.first.empty() || (value_needed && !absl::StrContains(text, '='))) {
    return absl::InvalidArgumentError(absl::StrCat("\"", text, "\": the form is NAME=VALUE"));
  }
  map[pair.first] = pair.second;
  return absl::OkStatus();
}

// `own` are the words for a namespace of its own; `shared` whether another container's can be
// joined.
absl::Status SetNamespace(absl::string_view text, std::initializer_list<absl::string_view> own,
                          bool shared, Namespace& result) {
  for (absl::string_view word : own) {
    if (text == word) {
      result.set_mode(node::v1::NAMESPACE_MODE_PRIVATE);
      return absl::OkStatus();
    }
  }
  if (text == "host") {
    result.set_mode(node::v1::NAMESPACE_MODE_HOST);
    return absl::OkStatus();
  }
  absl::string_view container = text;
  if (shared && absl::ConsumePrefix(&container, "container:") && !container.empty()) {
    result.set_mode(node::v1::NAMESPACE_MODE_CONTAINER);
    result.set_container(std::string(container));
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat("\"", text, "\" is none of ", *own.begin(),
                                                 ", host", shared ? ", container:NAME" : ""));
}

// "CONTAINER:HOST:SIZE".
absl::Status AddIdMap(absl::string_view text,
                      google::protobuf::RepeatedPtrField<node::v1::IdMap>& maps) {
  std::vector<absl::string_view> parts = absl::StrSplit(text, ':');
  int64_t numbers[3] = {};
  bool good = parts.size() == 3;
  for (size_t i = 0; good && i < 3; ++i) {
    absl::StatusOr<int64_t> number = ParseInteger(parts[i], 0, UINT32_MAX);
    good = number.ok();
    if (good) numbers[i] = *number;
  }
  if (!good) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", text, "\": the form is CONTAINER:HOST:SIZE, such as 0:100000:65536"));
  }
  node::v1::IdMap& map = *maps.Add();
  map.set_container_id(static_cast<uint32_t>(numbers[0]));
  map.set_host_id(static_cast<uint32_t>(numbers[1]));
  map.set_size(static_cast<uint32_t>(numbers[2]));
  return absl::OkStatus();
}

// "HOST:ADDRESS" or "HOST=ADDRESS" to a line of /etc/hosts. The address may be IPv6, plain or in
// brackets.
absl::Status AddHost(absl::string_view text, ContainerSpec& spec) {
  size_t end = text.find_first_of("=:");
  absl::string_view name = text.substr(0, end);
  absl::string_view address = end == absl::string_view::npos ? "" : text.substr(end + 1);
  if (absl::ConsumePrefix(&address, "[")) absl::ConsumeSuffix(&address, "]");
  if (name.empty() || address.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", text, "\": the form is HOST:ADDRESS, such as db:10.0.0.5"));
  }
  spec.add_extra_hosts(absl::StrCat(address, " ", name));
  return absl::OkStatus();
}

// "size=10g".
absl::Status SetStorageOption(absl::string_view text, ContainerSpec& spec) {
  if (!absl::ConsumePrefix(&text, "size=")) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", text, "\": the form is size=SIZE, such as size=10g"));
  }
  absl::StatusOr<int64_t> bytes = ParseSize(text);
  if (!bytes.ok()) return bytes.status();
  spec.mutable_root()->set_writable_limit_bytes(*bytes);
  return absl::OkStatus();
}

}  // namespace

void EnvironmentFlags::Declare(FlagSet& flags) {
  flags.Value("-e,--env", "NAME[=VALUE]", "set a variable; NAME alone takes yours, if there is one",
              [this](const std::string& text) { return Add(text, from_flags_); });
  flags.Value("--env-file", "FILE", "read variables from FILE, one a line, # begins a comment",
              [this](const std::string& path) { return AddFile(path); });
}

absl::Status EnvironmentFlags::Add(const std::string& text, std::vector<std::string>& list) {
  if (text.empty() || text[0] == '=') {
    return absl::InvalidArgumentError(absl::StrCat("\"", text, "\": the form is NAME[=VALUE]"));
  }
  if (absl::StrContains(text, '=')) {
    list.push_back(text);
  } else if (std::optional<std::string> value = host_.environment(text)) {
    if (!IsUtf8(*value)) {
      return absl::InvalidArgumentError(absl::StrCat("the value of ", text, " is not UTF-8"));
    }
    list.push_back(absl::StrCat(text, "=", *value));
  }
  return absl::OkStatus();
}

absl::Status EnvironmentFlags::AddFile(const std::string& path) {
  absl::StatusOr<std::string> content = host_.read_file(path);
  if (!content.ok()) return content.status();
  if (!IsUtf8(*content)) return absl::InvalidArgumentError(absl::StrCat(path, " is not UTF-8"));
  for (absl::string_view line : absl::StrSplit(*content, '\n')) {
    absl::ConsumeSuffix(&line, "\r");
    absl::string_view entry = absl::StripLeadingAsciiWhitespace(line);
    if (entry.empty() || entry[0] == '#') continue;
    absl::Status status = Add(std::string(entry), from_files_);
    if (!status.ok()) return absl::InvalidArgumentError(absl::StrCat(path, ": ", status.message()));
  }
  return absl::OkStatus();
}

void EnvironmentFlags::AppendTo(node::v1::Process& process) const {
  std::unordered_map<std::string, int> positions;
  for (const std::vector<std::string>* list : {&from_files_, &from_flags_}) {
    for (const std::string& entry : *list) {
      auto [at, fresh] = positions.try_emplace(NameOf(entry), process.env_size());
      if (fresh) {
        process.add_env(entry);
      } else {
        process.set_env(at->second, entry);
      }
    }
  }
}

ContainerFlags::ContainerFlags(ContainerSpec* spec, const Host& host)
    : spec_(*spec), host_(host), environment_(host), limits_(spec->mutable_limits()) {}

void ContainerFlags::Declare(FlagSet& flags) {
  DeclareIdentity(flags);
  DeclareProcess(flags);
  DeclareFiles(flags);
  flags.Group("Limits");
  limits_.Declare(flags);
  DeclareNamespaces(flags);
  flags.Group("Security");
  DeclareSecurityFlags(flags, host_, *spec_.mutable_security());
  flags.Switch("--privileged", &privileged_,
               "every capability, access to every device, nothing masked");
  DeclareLife(flags);
}

void ContainerFlags::DeclareIdentity(FlagSet& flags) {
  flags.Group("Identity");
  flags.Text("--name", "NAME", spec_.mutable_name(), "name, unique on the node");
  flags.Value("-l,--label", "NAME=VALUE", "label, to filter by", [this](const std::string& text) {
    return AddPair(text, false, *spec_.mutable_labels());
  });
  flags.Value("--annotation", "NAME=VALUE", "annotation, kept for you",
              [this](const std::string& text) {
                return AddPair(text, true, *spec_.mutable_annotations());
              });
  flags.Text("-h,--hostname", "NAME", spec_.mutable_hostname(),
             "host name inside (default: short id)");
  flags.Value("--add-host", "HOST:ADDRESS", "line for /etc/hosts",
              [this](const std::string& text) { return AddHost(text, spec_); });
}

void ContainerFlags::DeclareProcess(FlagSet& flags) {
  flags.Group("Process");
  node::v1::Process& process = *spec_.mutable_process();
  environment_.Declare(flags);
  flags.Text("-w,--workdir", "DIR", process.mutable_working_directory(),
             "working directory, made when missing (default /)");
  flags.Value("-u,--user", "USER[:GROUP]",
              "names of the container's own files, or numbers (default root)",
              [&process](const std::string& text) {
                process.mutable_user()->set_name(text);
                return absl::OkStatus();
              });
  flags.Value("--group-add", "GROUP", "supplementary group, name or number",
              [&process](const std::string& text) {
                process.mutable_user()->add_additional_groups(text);
                return absl::OkStatus();
              });
  flags.Value("--entrypoint", "PROGRAM",
              "put before the command in place of the image's; empty: nothing is",
              [this](const std::string& text) {
                entrypoint_ = text;
                return absl::OkStatus();
              });
  flags.Value("--ulimit", "NAME=SOFT[:HARD]",
              "process limit, such as nofile=1024:4096; -1: unlimited",
              [&process](const std::string& text) { return AddUlimit(text, process); });
  flags.Switch("--init", &init_, "run a small init that reaps orphans and hands signals on");
}

void ContainerFlags::DeclareFiles(FlagSet& flags) {
  flags.Group("Files");
  flags.Text("--rootfs", "DIR", &root_,
             "in place of IMAGE a directory of the node with the root file system; never written");
  flags.Switch("--read-only", &read_only_, "no writable layer: the root is read-only");
  flags.Value("--storage-opt", "size=SIZE", "most bytes of the writable layer",
              [this](const std::string& text) { return SetStorageOption(text, spec_); });
  flags.Value("-v,--volume", "[SOURCE:]TARGET[:OPTIONS]",
              "bind a path or mount a volume; options ro,rw,rro,nocopy,rprivate,rslave,rshared",
              [this](const std::string& text) {
                return AddMount(ParseVolume(text, host_.working_directory()), spec_);
              });
  flags.Value("--mount", "KEY=VALUE,...",
              "type=bind|volume|tmpfs|image,source=…,target=…,readonly,volume-nocopy,…",
              [this](const std::string& text) {
                return AddMount(ParseMount(text, host_.working_directory()), spec_);
              });
  flags.Value("--tmpfs", "TARGET[:OPTIONS]", "tmpfs; options size=64m,mode=1777,exec,ro",
              [this](const std::string& text) { return AddMount(ParseTmpfs(text), spec_); });
  flags.Value("--device", "HOST[:CONTAINER][:rwm]", "give a device of the node",
              [this](const std::string& text) {
                absl::StatusOr<node::v1::Device> device = ParseDevice(text);
                if (!device.ok()) return device.status();
                *spec_.add_devices() = *std::move(device);
                return absl::OkStatus();
              });
}

void ContainerFlags::DeclareNamespaces(FlagSet& flags) {
  flags.Group("Namespaces");
  node::v1::Namespaces& all = *spec_.mutable_namespaces();
  flags.Value("--net,--network", "MODE", "private or none (loopback only), host, container:NAME",
              [&all](const std::string& text) {
                return SetNamespace(text, {"private", "none"}, true, *all.mutable_network());
              });
  flags.Value("--pid", "MODE", "private, host, container:NAME", [&all](const std::string& text) {
    return SetNamespace(text, {"private"}, true, *all.mutable_pid());
  });
  flags.Value("--ipc", "MODE", "private, host, container:NAME", [&all](const std::string& text) {
    return SetNamespace(text, {"private", "shareable"}, true, *all.mutable_ipc());
  });
  flags.Value("--uts", "MODE", "private, host, container:NAME", [&all](const std::string& text) {
    return SetNamespace(text, {"private"}, true, *all.mutable_uts());
  });
  flags.Value("--cgroupns", "MODE", "private, host", [&all](const std::string& text) {
    return SetNamespace(text, {"private"}, false, *all.mutable_cgroup());
  });
  flags.Value("--userns", "MODE", "host (default), private (needs --uid-map and --gid-map)",
              [&all](const std::string& text) {
                return SetNamespace(text, {"private"}, false, *all.mutable_user());
              });
  flags.Value("--uid-map", "CONTAINER:HOST:SIZE", "map user ids; implies --userns private",
              [&all](const std::string& text) { return AddIdMap(text, *all.mutable_uid_maps()); });
  flags.Value("--gid-map", "CONTAINER:HOST:SIZE", "map group ids; implies --userns private",
              [&all](const std::string& text) { return AddIdMap(text, *all.mutable_gid_maps()); });
  flags.Value(
      "--sysctl", "NAME=VALUE", "kernel parameter of its own namespaces",
      [this](const std::string& text) { return AddPair(text, true, *spec_.mutable_sysctls()); });
}

void ContainerFlags::DeclareLife(FlagSet& flags) {
  flags.Group("Life and log");
  flags.Text("--stop-signal", "SIGNAL", spec_.mutable_stop_signal(),
             "signal that stop sends (default SIGTERM)");
  flags.Value("--stop-timeout", "DURATION", "time from stop's signal to SIGKILL (default 10s)",
              [this](const std::string& text) {
                absl::StatusOr<absl::Duration> grace = ParseDuration(text);
                if (!grace.ok()) return grace.status();
                *spec_.mutable_stop_grace() = ToProto(*grace);
                return absl::OkStatus();
              });
  flags.Value("--log-max-size", "SIZE", "size at which a log file is rotated (default 16m)",
              [this](const std::string& text) { return SetLogOption("max-size", text, spec_); });
  flags.Value("--log-max-files", "NUMBER", "log files kept (default 5)",
              [this](const std::string& text) { return SetLogOption("max-file", text, spec_); });
  flags.Value("--log-full", "POLICY",
              "when the disk is full: drop lines, or block the container (default drop)",
              [this](const std::string& text) { return SetLogOption("full", text, spec_); });
  flags.Value("--log-opt", "NAME=VALUE", "max-size=, max-file=, full=: as the flags above",
              [this](const std::string& text) {
                std::pair<std::string, std::string> pair =
                    absl::StrSplit(text, absl::MaxSplits('=', 1));
                return SetLogOption(pair.first, pair.second, spec_);
              });
  flags.Text("--cgroup-parent", "PATH", spec_.mutable_cgroup_parent(),
             "cgroup to put it below, which must exist (default: noded's --cgroup-parent)");
}

absl::Status ContainerFlags::Finish(const std::vector<std::string>& words) {
  std::vector<std::string> command = words;
  node::v1::RootFilesystem& root = *spec_.mutable_root();
  node::v1::Process& process = *spec_.mutable_process();
  if (!root_.empty()) {
    root.set_host_directory(AbsolutePath(root_, host_.working_directory()));
    if (!entrypoint_.value_or("").empty()) command.insert(command.begin(), *entrypoint_);
    if (command.empty()) return absl::InvalidArgumentError("a command is needed");
  } else if (!command.empty()) {
    root.set_image(command.front());
    command.erase(command.begin());
    if (entrypoint_ && !entrypoint_->empty()) process.add_entrypoint(*entrypoint_);
    process.set_no_entrypoint(entrypoint_ && entrypoint_->empty());
  } else {
    return absl::InvalidArgumentError("an image is needed, or --rootfs with a directory");
  }
  for (const std::string& arg : command) process.add_argv(arg);
  root.set_read_only(read_only_);
  spec_.set_init(init_);
  spec_.mutable_security()->set_privileged(privileged_);
  environment_.AppendTo(process);
  node::v1::Namespaces& namespaces = *spec_.mutable_namespaces();
  bool mapped = !namespaces.uid_maps().empty() || !namespaces.gid_maps().empty();
  if (mapped && !namespaces.has_user()) {
    namespaces.mutable_user()->set_mode(node::v1::NAMESPACE_MODE_PRIVATE);
  }
  absl::Status status = limits_.Finish();
  if (!status.ok()) return status;
  DropEmptyMessages();
  return absl::OkStatus();
}

void ContainerFlags::DropEmptyMessages() {
  if (spec_.namespaces().ByteSizeLong() == 0) spec_.clear_namespaces();
  if (spec_.limits().ByteSizeLong() == 0) spec_.clear_limits();
  if (spec_.security().ByteSizeLong() == 0) spec_.clear_security();
}

}  // namespace noded::cli
