// Namespaces that the supervisor enters for the moment of a clone, and the user namespace that
// id-maps mounts. Single-threaded: they change this process.
#ifndef NODE_SHIM_NAMESPACES_H_
#define NODE_SHIM_NAMESPACES_H_

#include <sys/types.h>

#include <cstdint>
#include <vector>

#include "node/base/unique_fd.h"
#include "node/shim/failure.h"

namespace noded::shim {

// Enters namespaces of others, so that a child is born in them, and comes back when it is
// destroyed. By the supervisor and before the clone, because a pid namespace is for children only,
// and because a child that is already in a user namespace of its own may join nothing of the
// host's. Never a mount or user namespace.
class JoinedNamespaces {
 public:
  JoinedNamespaces() = default;
  JoinedNamespaces(const JoinedNamespaces&) = delete;
  ~JoinedNamespaces();

  // `fd` is a /proc/PID/ns file or a pidfd; `type` is one CLONE_NEW* flag.
  MaybeFailure Join(int fd, uint64_t type, const std::string& description);

 private:
  struct Own {
    UniqueFd fd;
    uint64_t type;
  };
  std::vector<Own> own_;
};

using IdRanges = google::protobuf::RepeatedPtrField<pb::IdRange>;

// Writes the maps of a child that has a new user namespace.
MaybeFailure WriteIdMaps(pid_t pid, const IdRanges& uids, const IdRanges& gids);

// A user namespace with these maps, held by its descriptor alone. Mounts are id-mapped by it before
// the container's own exists: what counts are the maps.
MaybeFailure MakeUserNamespace(const IdRanges& uids, const IdRanges& gids, UniqueFd* out);

}  // namespace noded::shim

#endif  // NODE_SHIM_NAMESPACES_H_
