// Which request_ids have been used: of containers that exist, and for ten minutes of those that are
// gone. Of the latter only the id is in memory; the answer is in the state store.
#ifndef NODE_REQUEST_MEMORY_H_
#define NODE_REQUEST_MEMORY_H_

#include <cstdint>
#include <deque>
#include <string>
#include <unordered_map>
#include <vector>

#include "absl/time/time.h"

namespace noded {

// Thread-compatible: under the registry's lock. An empty request_id is ignored everywhere.
class RequestMemory {
 public:
  static constexpr absl::Duration kKept = absl::Minutes(10);
  // Past it the oldest are forgotten early. At some 170 bytes each.
  static constexpr size_t kMost = 100'000;

  // Of a container that exists, or is being inserted.
  void Hold(const std::string& request_id, const std::string& container_id);
  void Release(const std::string& request_id);
  // nullptr: no container that exists was made by it.
  const std::string* HolderOf(const std::string& request_id) const;

  // Calls must come in the order of `expires`.
  void Remember(const std::string& request_id, absl::Time expires);
  bool Remembers(const std::string& request_id, absl::Time now) const;
  // Forgets what has expired or is too much, and returns it: its files can be deleted.
  std::vector<std::string> Forget(absl::Time now);
  bool remembers_any() const { return !remembered_.empty(); }

 private:
  std::unordered_map<std::string, std::string> held_;
  std::unordered_map<std::string, absl::Time> remembered_;
  // In the order of expiry. An id that was remembered again has an older entry too, which is told
  // by its time; so a key of `remembered_` is there (and stays where it is) as long as an entry is.
  struct Expiry {
    absl::Time time;
    const std::string* request_id;
  };
  std::deque<Expiry> order_;
};

}  // namespace noded

#endif  // NODE_REQUEST_MEMORY_H_
