#include "rootfs/volume/volumes.h"

#include <fcntl.h>
#include <google/protobuf/util/json_util.h>
#include <google/protobuf/util/time_util.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "node/base/file.h"
#include "node/base/name.h"
#include "node/base/status.h"

namespace noded::volume {

using node::v1::Volume;

namespace {

constexpr int kDefaultPage = 100;
constexpr int kMostPage = 1000;
constexpr int kMostLabels = 256;
constexpr size_t kMostLabelBytes = 4096;

absl::Status NotFound(const std::string& name) {
  return WithReason(absl::NotFoundError(absl::StrCat("no such volume: ", name)),
                    reason::kVolumeNotFound);
}

template <typename Labels, typename Wanted>
bool HasLabels(const Labels& labels, const Wanted& wanted) {
  return std::all_of(wanted.begin(), wanted.end(), [&](const auto& label) {
    const auto found = labels.find(label.first);
    return found != labels.end() && (label.second.empty() || found->second == label.second);
  });
}

bool SameLabels(const Volume& volume, const node::v1::CreateVolumeRequest& request) {
  return volume.labels().size() == request.labels().size() &&
         std::all_of(request.labels().begin(), request.labels().end(), [&](const auto& label) {
           const auto found = volume.labels().find(label.first);
           return found != volume.labels().end() && found->second == label.second;
         });
}

int64_t BytesBelow(const std::string& path) {
  int64_t bytes = 0;
  std::error_code error;
  std::filesystem::recursive_directory_iterator at(path, error), end;
  for (; !error && at != end; at.increment(error)) {
    struct stat info;
    if (lstat(at->path().c_str(), &info) == 0) bytes += int64_t{info.st_blocks} * 512;
  }
  return bytes;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Volumes>> Volumes::Open(VolumesOptions options) {
  auto volumes = std::unique_ptr<Volumes>(new Volumes(std::move(options)));
  RETURN_IF_ERROR(volumes->Load());
  return volumes;
}

absl::Status Volumes::Load() {
  RETURN_IF_ERROR(MakeDirs(options_.directory, 0711));
  ASSIGN_OR_RETURN(std::vector<std::string> names, ListDirAt(AT_FDCWD, options_.directory));
  absl::MutexLock lock(&mutex_);
  for (const std::string& name : names) {
    if (!IsName(name)) {
      RETURN_IF_ERROR(options_.discard(PathOf(name)));
      continue;
    }
    Volume volume;
    absl::StatusOr<std::string> json = ReadFileAt(AT_FDCWD, PathOf(name) + "/volume.json");
    if (!json.ok() || !google::protobuf::util::JsonStringToMessage(*json, &volume).ok()) {
      // The data are worth more than the record: it comes back without labels.
      volume.Clear();
    }
    volume.set_name(name);
    volume.set_directory(PathOf(name) + "/data");
    volumes_.emplace(name, std::move(volume));
  }
  return absl::OkStatus();
}

std::map<std::string, std::vector<std::string>> Volumes::Users() const {
  std::map<std::string, std::vector<std::string>> users;
  if (!options_.uses) return users;
  for (const auto& [container, names] : options_.uses()) {
    for (const std::string& name : names) users[name].push_back(container);
  }
  return users;
}

// Complete before it has its name.
absl::StatusOr<Volume> Volumes::Make(Volume volume, const Fill& fill) {
  const std::string draft = PathOf("." + volume.name());
  RETURN_IF_ERROR(RemoveTreeAt(AT_FDCWD, draft));
  auto made = [&]() -> absl::Status {
    RETURN_IF_ERROR(MakeDirs(draft + "/data", 0755));
    if (fill) RETURN_IF_ERROR(fill(draft));
    std::string json;
    if (!google::protobuf::util::MessageToJsonString(volume, &json).ok()) {
      return absl::InternalError("print the volume's record");
    }
    RETURN_IF_ERROR(ReplaceFileAt(AT_FDCWD, draft + "/volume.json", json, 0600, /*sync=*/true));
    if (rename(draft.c_str(), PathOf(volume.name()).c_str()) != 0) {
      return ErrnoStatus(errno, absl::StrCat("name directory of volume ", volume.name()));
    }
    return absl::OkStatus();
  }();
  if (!made.ok()) {
    options_.discard(draft).IgnoreError();
    return Annotate(made, absl::StrCat("create volume ", volume.name()));
  }
  volume.set_directory(PathOf(volume.name()) + "/data");
  volumes_[volume.name()] = volume;
  return volume;
}

absl::StatusOr<node::v1::CreateVolumeResponse> Volumes::Create(
    const node::v1::CreateVolumeRequest& request) {
  Violations violations;
  if (!request.name().empty() && !IsName(request.name())) {
    violations.Add("name", absl::StrCat("\"", request.name(), "\"", kNameRule));
  }
  if (request.labels_size() > kMostLabels) {
    violations.Add("labels", absl::StrCat("must have at most ", kMostLabels, " entries"));
  }
  for (const auto& [key, value] : request.labels()) {
    if (key.empty() || key.size() > kMostLabelBytes || value.size() > kMostLabelBytes) {
      violations.Add("labels", absl::StrCat("keys must be 1 to ", kMostLabelBytes,
                                            " bytes, values at most as many"));
    }
  }
  RETURN_IF_ERROR(violations.ToStatus());
  node::v1::CreateVolumeResponse response;
  absl::MutexLock lock(&mutex_);
  const auto known = volumes_.find(request.name());
  if (known != volumes_.end()) {
    if (!SameLabels(known->second, request)) {
      return WithReason(absl::AlreadyExistsError(absl::StrCat(
                            "volume ", request.name(), " exists already, with other labels")),
                        reason::kNameInUse);
    }
    *response.mutable_volume() = known->second;
    return response;
  }
  Volume volume;
  volume.set_name(request.name());
  volume.set_anonymous(request.name().empty());
  if (volume.anonymous()) {
    ASSIGN_OR_RETURN(*volume.mutable_name(), options_.random_name());
  }
  *volume.mutable_labels() = request.labels();
  *volume.mutable_create_time() = google::protobuf::util::TimeUtil::GetCurrentTime();
  ASSIGN_OR_RETURN(*response.mutable_volume(), Make(std::move(volume), nullptr));
  return response;
}

absl::StatusOr<node::v1::ListVolumesResponse> Volumes::List(
    const node::v1::ListVolumesRequest& request) {
  const int most = request.page_size() == 0 ? kDefaultPage : request.page_size();
  if (most < 0 || most > kMostPage) {
    return InvalidField("page_size", absl::StrCat(most, " must be 1 to ", kMostPage));
  }
  if (!request.page_token().empty() && !IsName(request.page_token())) {
    return InvalidField("page_token", "is not one that ListVolumes gave");
  }
  const auto users = Users();
  node::v1::ListVolumesResponse response;
  absl::MutexLock lock(&mutex_);
  for (auto at = volumes_.upper_bound(request.page_token()); at != volumes_.end(); ++at) {
    const auto& [name, volume] = *at;
    if (!absl::StartsWith(name, request.name_prefix())) continue;
    if (!HasLabels(volume.labels(), request.labels())) continue;
    const auto used = users.find(name);
    if (request.unused() && used != users.end()) continue;
    if (response.volumes_size() == most) {
      response.set_next_page_token(response.volumes(most - 1).name());
      break;
    }
    Volume& told = *response.add_volumes() = volume;
    if (used == users.end()) continue;
    for (const std::string& id : used->second) told.add_container_ids(id);
  }
  return response;
}

absl::StatusOr<node::v1::GetVolumeResponse> Volumes::Get(
    const node::v1::GetVolumeRequest& request) {
  if (request.name().empty()) return InvalidField("name", "is required");
  const auto users = Users();
  absl::MutexLock lock(&mutex_);
  const auto known = volumes_.find(request.name());
  if (known == volumes_.end()) return NotFound(request.name());
  node::v1::GetVolumeResponse response;
  *response.mutable_volume() = known->second;
  const auto used = users.find(request.name());
  if (used != users.end()) {
    for (const std::string& id : used->second) response.mutable_volume()->add_container_ids(id);
  }
  return response;
}

absl::Status Volumes::Discard(const std::string& name) {
  RETURN_IF_ERROR(options_.discard(PathOf(name)));
  volumes_.erase(name);
  return absl::OkStatus();
}

absl::StatusOr<node::v1::RemoveVolumeResponse> Volumes::Remove(
    const node::v1::RemoveVolumeRequest& request) {
  if (request.name().empty()) return InvalidField("name", "is required");
  absl::MutexLock lock(&mutex_);
  if (!volumes_.contains(request.name())) return NotFound(request.name());
  // Under the lock: a container that comes now finds the volume held by us, or gone.
  const auto users = Users();
  const auto used = users.find(request.name());
  if (used != users.end() || acquired_.contains(request.name())) {
    std::vector<std::string> ids;
    if (used != users.end()) {
      for (const std::string& id : used->second) ids.push_back(id.substr(0, 12));
    }
    return WithReason(absl::FailedPreconditionError(absl::StrCat(
                          "volume ", request.name(), " is in use by ",
                          ids.empty() ? "a container being made" : absl::StrJoin(ids, ", "),
                          "; remove that first")),
                      reason::kVolumeInUse);
  }
  RETURN_IF_ERROR(Discard(request.name()));
  return node::v1::RemoveVolumeResponse();
}

absl::StatusOr<node::v1::PruneVolumesResponse> Volumes::Prune(
    const node::v1::PruneVolumesRequest& request) {
  node::v1::PruneVolumesResponse response;
  absl::MutexLock lock(&mutex_);
  const auto users = Users();
  std::vector<std::string> unused;
  for (const auto& [name, volume] : volumes_) {
    if (users.contains(name) || acquired_.contains(name)) continue;
    if (!volume.anonymous() && !request.all()) continue;
    if (HasLabels(volume.labels(), request.labels())) unused.push_back(name);
  }
  for (const std::string& name : unused) {
    const int64_t bytes = BytesBelow(PathOf(name));
    RETURN_IF_ERROR(Discard(name));
    response.set_reclaimed_bytes(response.reclaimed_bytes() + bytes);
    response.add_removed(name);
  }
  return response;
}

absl::StatusOr<Volume> Volumes::Acquire(const std::string& name, const Fill& fill) {
  absl::MutexLock lock(&mutex_);
  Volume volume;
  const auto known = volumes_.find(name);
  if (known != volumes_.end()) {
    volume = known->second;
  } else {
    volume.set_name(name);
    volume.set_anonymous(name.empty());
    if (name.empty()) {
      ASSIGN_OR_RETURN(*volume.mutable_name(), options_.random_name());
    }
    *volume.mutable_create_time() = google::protobuf::util::TimeUtil::GetCurrentTime();
    ASSIGN_OR_RETURN(volume, Make(std::move(volume), fill));
  }
  ++acquired_[volume.name()];
  return volume;
}

void Volumes::Release(const std::string& name) {
  absl::MutexLock lock(&mutex_);
  const auto held = acquired_.find(name);
  if (held != acquired_.end() && --held->second == 0) acquired_.erase(held);
}

void Volumes::RemoveAnonymous(const std::vector<std::string>& names,
                              const std::string& container_id) {
  absl::MutexLock lock(&mutex_);
  const auto users = Users();
  for (const std::string& name : names) {
    const auto known = volumes_.find(name);
    if (known == volumes_.end() || !known->second.anonymous() || acquired_.contains(name)) continue;
    const auto used = users.find(name);
    const bool others =
        used != users.end() && std::any_of(used->second.begin(), used->second.end(),
                                           [&](const auto& id) { return id != container_id; });
    if (!others) Discard(name).IgnoreError();
  }
}

}  // namespace noded::volume
