// All containers of the node: immutable snapshots, found by id, prefix or name; every change is
// persisted, then published with a revision; watchers see each change once and in order. Readers
// never wait for an operation or the disk.
#ifndef NODE_REGISTRY_H_
#define NODE_REGISTRY_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "node/state/v1/record.pb.h"
#include "node/state_store.h"
#include "node/streams.h"
#include "node/v1/container_service.pb.h"

namespace noded {

using Snapshot = std::shared_ptr<const ContainerRecord>;

// When a change goes to the disk.
enum class Saving {
  kFirst,  // the change is refused when the disk refuses
  // What happened in the world must not be denied: published even when the disk refuses, and saved
  // again later.
  kIfPossible,
  // What is on disk in another form already, from which recovery would tell the same: published at
  // once. The caller owes a SaveChanged.
  kAfterwards,
};

// Thread-safe.
class Registry {
 public:
  // `store` outlives the registry. Adopts what was loaded, without events. What was damaged becomes
  // a container in state UNKNOWN with the reason in `error`.
  static absl::StatusOr<std::unique_ptr<Registry>> Create(StateStore* store,
                                                          StateStore::Loaded loaded);
  virtual ~Registry() = default;

  // By id, unambiguous prefix of one or name; an exact name wins over a prefix.
  // NOT_FOUND (CONTAINER_NOT_FOUND), INVALID_ARGUMENT (AMBIGUOUS_ID, or empty with field
  // "container").
  virtual absl::StatusOr<Snapshot> Find(const std::string& reference) const = 0;
  // By full id; nullptr when it is gone.
  virtual Snapshot Get(const std::string& id) const = 0;
  virtual std::vector<Snapshot> All() const = 0;

  // What a repeated request_id must be answered with. nullopt: not known. INVALID_ARGUMENT
  // (REQUEST_ID_REUSED): another digest. The container may still be CREATING or STARTING (wait with
  // OnChange), or be gone (its last state is given).
  virtual absl::StatusOr<std::optional<node::v1::Container>> FindRequest(
      const std::string& request_id, const std::string& digest) const = 0;

  // Reserves name, id and request_id in one step, persists and publishes CREATED. ALREADY_EXISTS
  // (NAME_IN_USE, or reason of the request_id when it has just been taken by another call).
  virtual absl::StatusOr<Snapshot> Insert(ContainerRecord record) = 0;

  // Changes one record: `change` edits a copy (an error leaves all as it was), which is persisted
  // and then published. Changes of one container are one after another; `change` may be called on
  // any thread and must not call the registry. NOT_FOUND when it is gone. A change of `state` that
  // the table in container_state.h does not have is FAILED_PRECONDITION (WRONG_STATE).
  virtual absl::StatusOr<Snapshot> Change(const std::string& id, node::v1::ContainerEventType type,
                                          absl::AnyInvocable<absl::Status(ContainerRecord&)> change,
                                          Saving saving = Saving::kFirst) = 0;

  // Saves what was changed with kAfterwards.
  virtual void SaveChanged() = 0;

  // Deletes the record and its directory, remembers its request_id for ten minutes, publishes
  // REMOVED. With `forget` (a create that failed) the request_id may be used again at once.
  // NOT_FOUND when it is gone. After another error it is still there.
  virtual absl::Status Remove(const std::string& id, bool forget = false) = 0;

  // Calls `seen` with the present snapshot, then with each new one, nullptr once it is removed,
  // until it returns true. Not under the registry's lock; one at a time, in order; one that is more
  // than 64 snapshots behind is spared those in between. On the thread that changes the container,
  // so it must not block. The returned function ends it: afterwards `seen` is not called (unless
  // called from within); it may outlive the registry.
  using Seen = std::function<bool(const Snapshot&)>;
  virtual std::function<void()> OnChange(const std::string& id, Seen seen) = 0;

  virtual absl::StatusOr<node::v1::ListResponse> List(
      const node::v1::ListRequest& request) const = 0;
  // The stream never ends by itself; a progress notice comes every 10 s without changes. A watcher
  // that falls more than the kept changes behind gets OUT_OF_RANGE (REVISION_COMPACTED).
  virtual std::shared_ptr<ResponseStream<node::v1::WatchResponse>> Watch(
      const node::v1::WatchRequest& request) = 0;
  virtual int64_t revision() const = 0;
};

}  // namespace noded

#endif  // NODE_REGISTRY_H_
