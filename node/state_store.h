// The registry's records on disk, one JSON file each, so that a damaged one costs one container and
// a person can read it. Written by temp file and rename: a crash leaves the old or the new one.
// fsync is grouped in the background (at most one second later), so that power loss leaves old or
// new too and a start does not wait for the disk.
//
//   <root>/lock                              flock: one daemon a root
//   <root>/revision                          revisions below this number may have been given out
//   <root>/containers/<id>/container.json    ContainerRecord; beside it the last version known to
//                                            be on disk, see group_sync.h
//   <root>/requests/<sha256>.json            RequestRecord
//   <root>/damaged/<id>-<unix time>.json     records that could not be read, set aside
//   <root>/containers/.removed-<id>          being removed
#ifndef NODE_STATE_STORE_H_
#define NODE_STATE_STORE_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "node/base/unique_fd.h"
#include "node/state/v1/record.pb.h"

namespace noded {

using node::state::v1::ContainerRecord;
using node::state::v1::RequestRecord;

// Thread-safe; writes of one container must not overlap (the registry sees to it).
class StateStore {
 public:
  // Makes the directories (0700, root's) and takes the lock. FAILED_PRECONDITION: another daemon
  // (its pid is named) has it.
  static absl::StatusOr<std::unique_ptr<StateStore>> Open(const std::string& root);
  virtual ~StateStore() = default;

  struct Loaded {
    std::vector<ContainerRecord> containers;
    // Directories whose record was missing, torn or of a later schema: id and why. The record was
    // set aside.
    struct Damaged {
      std::string id;
      std::string reason;
    };
    std::vector<Damaged> damaged;
    std::vector<RequestRecord> requests;  // expired ones are deleted and not returned
    int64_t next_revision = 1;            // never given out before
  };
  virtual absl::StatusOr<Loaded> Load() = 0;

  // Makes the container's directory when it is not there (0700).
  virtual absl::Status Save(const ContainerRecord& record) = 0;
  // Removes the whole directory of a container: renamed aside first, so a crash leaves it whole or
  // out of the way.
  virtual absl::Status Delete(const std::string& id) = 0;
  virtual absl::Status SaveRequest(const RequestRecord& record) = 0;
  // What SaveRequest saved; NOT_FOUND.
  virtual absl::StatusOr<RequestRecord> LoadRequest(const std::string& request_id) = 0;
  virtual absl::Status DeleteRequest(const std::string& request_id) = 0;
  // Raises the persisted bound, in blocks: after it returns OK `revision` may be published.
  virtual absl::Status CoverRevision(int64_t revision) = 0;

  virtual const std::string& root() const = 0;
  // "<root>/containers/<id>".
  virtual std::string ContainerDirectory(const std::string& id) const = 0;
};

}  // namespace noded

#endif  // NODE_STATE_STORE_H_
