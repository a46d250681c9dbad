// Volumes: directories that outlive containers, by name: <root>/volumes/<name>/data, and
// volume.json beside it. A name that begins with a dot is on its way in or out, and discarded at
// the next Open.
#ifndef ROOTFS_VOLUME_VOLUMES_H_
#define ROOTFS_VOLUME_VOLUMES_H_

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "node/v1/volume_service.pb.h"

namespace noded::volume {

struct VolumesOptions {
  std::string directory;
  // Volume names by container, running or not; may take the caller's locks. Any thread.
  std::function<std::map<std::string, std::vector<std::string>>()> uses;
  // 64 random hexadecimal digits.
  std::function<absl::StatusOr<std::string>()> random_name;
  // Deletes a tree behind the caller's back.
  std::function<absl::Status(const std::string& path)> discard;
};

// Thread-safe. Blocks on the disk. Errors are as volume_service.proto says.
class Volumes {
 public:
  static absl::StatusOr<std::unique_ptr<Volumes>> Open(VolumesOptions options);

  absl::StatusOr<node::v1::CreateVolumeResponse> Create(
      const node::v1::CreateVolumeRequest& request);
  absl::StatusOr<node::v1::ListVolumesResponse> List(const node::v1::ListVolumesRequest& request);
  absl::StatusOr<node::v1::GetVolumeResponse> Get(const node::v1::GetVolumeRequest& request);
  absl::StatusOr<node::v1::RemoveVolumeResponse> Remove(
      const node::v1::RemoveVolumeRequest& request);
  absl::StatusOr<node::v1::PruneVolumesResponse> Prune(
      const node::v1::PruneVolumesRequest& request);

  // For a container: made when there is none of the name, "" makes an anonymous one. `fill` is
  // called with the directory of a new one, to put something there that takes the place of `data`;
  // when it fails nothing is left. The caller makes the use known before the next Prune: until
  // `Release` the volume counts as used.
  using Fill = std::function<absl::Status(const std::string& volume_directory)>;
  absl::StatusOr<node::v1::Volume> Acquire(const std::string& name, const Fill& fill);
  void Release(const std::string& name);
  // Those of `names` that are anonymous and that no other container has; with their content.
  void RemoveAnonymous(const std::vector<std::string>& names, const std::string& container_id);

 private:
  explicit Volumes(VolumesOptions options) : options_(std::move(options)) {}
  absl::Status Load();
  absl::StatusOr<node::v1::Volume> Make(node::v1::Volume volume, const Fill& fill)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status Discard(const std::string& name) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::string PathOf(const std::string& name) const { return options_.directory + "/" + name; }
  // Container ids by volume.
  std::map<std::string, std::vector<std::string>> Users() const;

  const VolumesOptions options_;
  // Held over the disk: volumes are made and removed one at a time.
  absl::Mutex mutex_;
  std::map<std::string, node::v1::Volume> volumes_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, int> acquired_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace noded::volume

#endif  // ROOTFS_VOLUME_VOLUMES_H_
