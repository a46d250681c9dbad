// Leases: what a pull, build or start is about to use, so that no collection takes it away.
//
// The rule that makes it safe beside a running collection: *hold first, then look*. What is found
// after it was held stays, until a table entry or a container names it and the lease ends. While a
// collection runs, what was held at its start or at any time since counts as held to its end, so
// nothing falls between a lease that ends and an entry that the collection had already read.
#ifndef ROOTFS_STORE_LEASE_H_
#define ROOTFS_STORE_LEASE_H_

#include <functional>
#include <map>
#include <set>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "rootfs/oci/digest.h"

namespace noded::store {

class Leases;

// Ends with the object. Move-only; thread-safe.
class Lease {
 public:
  Lease() = default;
  Lease(Lease&& other) noexcept;
  Lease& operator=(Lease&& other) noexcept;
  ~Lease();

  // A content. That of a manifest holds all that it names, as far as it is here.
  void Hold(const oci::Digest& digest);
  // An unpacked layer, by its chain id; not those below it.
  void HoldLayer(const oci::Digest& chain);

 private:
  friend class Leases;
  explicit Lease(Leases* leases) : leases_(leases) {}
  void End();
  Leases* leases_ = nullptr;
  // Guarded by the lock of `leases_`.
  std::vector<oci::Digest> contents_, layers_;
};

// Thread-safe; outlives its leases.
class Leases {
 public:
  Lease New() { return Lease(this); }

  // --- for collections, of which one runs at a time ---
  enum class Kind { kContent, kLayer };
  struct Item {
    Kind kind;
    oci::Digest digest;
    // clang-tidy 14 sees a 0 in the comparison that the compiler writes.
    auto operator<=>(const Item&) const = default;  // NOLINT(modernize-use-nullptr)
  };
  void BeginCollection() ABSL_LOCKS_EXCLUDED(lock_);
  void EndCollection() ABSL_LOCKS_EXCLUDED(lock_);
  // What is held since the beginning and was not yet returned: to be marked with all it names.
  std::vector<Item> TakeNew() ABSL_LOCKS_EXCLUDED(lock_);
  enum class Removal { kDone, kHeld, kNewHolds };
  // Runs `remove`, which must be quick, unless it is held. kNewHolds: something was held that
  // TakeNew has not returned yet, and that may name this. Holds wait meanwhile, so none can come
  // between.
  Removal RemoveUnlessHeld(const Item& item, const std::function<void()>& remove)
      ABSL_LOCKS_EXCLUDED(lock_);

 private:
  friend class Lease;
  void Add(Kind kind, const oci::Digest& digest, std::vector<oci::Digest>* list)
      ABSL_LOCKS_EXCLUDED(lock_);
  void Drop(Lease* lease) ABSL_LOCKS_EXCLUDED(lock_);

  absl::Mutex lock_;
  std::map<Item, int> held_ ABSL_GUARDED_BY(lock_);  // how many leases
  bool collecting_ ABSL_GUARDED_BY(lock_) = false;
  std::set<Item> touched_ ABSL_GUARDED_BY(lock_);  // held since the beginning
  std::vector<Item> new_ ABSL_GUARDED_BY(lock_);   // of those, not yet taken
};

}  // namespace noded::store

#endif  // ROOTFS_STORE_LEASE_H_
