#include "node/launch/image_defaults.h"

#include <set>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "node/base/status.h"
#include "node/launch/paths.h"
#include "node/launch/plan.h"

namespace noded::launch {
namespace {

using node::v1::ImageConfig;
using node::v1::Process;

using Words = google::protobuf::RepeatedPtrField<std::string>;

// The user's entrypoint goes without the image's cmd, which was written for the image's.
void SetCommand(const ImageConfig& config, Process& process) {
  Words words;
  if (!process.entrypoint().empty()) {
    words = process.entrypoint();
  } else if (!process.no_entrypoint()) {
    words = config.entrypoint();
    if (process.argv().empty()) words.MergeFrom(config.cmd());
  }
  words.MergeFrom(process.argv());
  *process.mutable_argv() = std::move(words);
  process.clear_entrypoint();
  process.clear_no_entrypoint();
}

std::string NameOf(const std::string& entry) { return entry.substr(0, entry.find('=')); }

void SetEnvironment(const ImageConfig& config, Process& process) {
  std::set<std::string> given;
  for (const std::string& entry : process.env()) given.insert(NameOf(entry));
  Words env;
  for (const std::string& entry : config.env()) {
    if (!given.contains(NameOf(entry))) *env.Add() = entry;
  }
  env.MergeFrom(process.env());
  *process.mutable_env() = std::move(env);
}

bool HasUser(const Process& process) {
  const node::v1::User& user = process.user();
  return !user.name().empty() || user.has_uid() || user.has_gid();
}

void AddVolumes(const ImageConfig& config, node::v1::ContainerSpec& spec) {
  std::set<std::string> targets;
  for (const node::v1::Mount& mount : spec.mounts()) targets.insert(CleanPath(mount.target()));
  for (const std::string& volume : config.volumes()) {
    if (!targets.insert(CleanPath(volume)).second) continue;
    node::v1::Mount* mount = spec.add_mounts();
    mount->set_target(volume);
    mount->mutable_volume();
  }
}

}  // namespace

absl::Status ApplyImageConfig(const ImageConfig& config, node::v1::ContainerSpec& spec) {
  Process& process = *spec.mutable_process();
  SetCommand(config, process);
  SetEnvironment(config, process);
  if (!HasUser(process) && !config.user().empty()) process.mutable_user()->set_name(config.user());
  if (process.working_directory().empty()) {
    process.set_working_directory(config.working_directory());
  }
  if (spec.stop_signal().empty()) spec.set_stop_signal(config.stop_signal());
  for (const auto& [key, value] : config.labels()) spec.mutable_labels()->insert({key, value});
  AddVolumes(config, spec);
  if (process.argv().empty()) {
    return InvalidField(
        "spec.process.argv",
        spec.root().has_image()
            ? absl::StrCat("is required: image ", spec.root().image(), " has no command of its own")
            : "is required");
  }
  // What is wrong now is the image's: the spec alone was found right.
  return Annotate(ValidateSpec(spec),
                  absl::StrCat("with the configuration of image ", spec.root().image()));
}

}  // namespace noded::launch
