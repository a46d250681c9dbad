// One at a time by name: who wants a content that another is bringing waits, and then finds it
// there, or brings it.
#ifndef ROOTFS_IMAGE_EXCLUSIVE_H_
#define ROOTFS_IMAGE_EXCLUSIVE_H_

#include <set>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "node/base/cancel.h"

namespace noded::image {

// Thread-safe; outlives its turns.
class Exclusive {
 public:
  // Ends with the object. Move-only.
  class Turn {
   public:
    Turn(Turn&& other) noexcept
        : owner_(std::exchange(other.owner_, nullptr)), name_(std::move(other.name_)) {}
    Turn& operator=(Turn&&) = delete;
    ~Turn() {
      if (owner_ != nullptr) owner_->End(name_);
    }

   private:
    friend class Exclusive;
    Turn(Exclusive* owner, std::string name) : owner_(owner), name_(std::move(name)) {}
    Exclusive* owner_;
    std::string name_;
  };

  // Waits until nobody else has it; CANCELLED soon after `cancel` was set.
  absl::StatusOr<Turn> Wait(const std::string& name, const Cancel& cancel) {
    // A Cancel wakes nobody, so that it need not know who waits.
    constexpr absl::Duration kLook = absl::Milliseconds(100);
    absl::MutexLock lock(&mutex_);
    while (!busy_.insert(name).second) {
      if (cancel.Cancelled()) return absl::CancelledError("given up");
      auto is_free = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return !busy_.contains(name); };
      mutex_.AwaitWithTimeout(absl::Condition(&is_free), kLook);
    }
    return Turn(this, name);
  }

 private:
  void End(const std::string& name) {
    absl::MutexLock lock(&mutex_);
    busy_.erase(name);
  }

  absl::Mutex mutex_;
  std::set<std::string> busy_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace noded::image

#endif  // ROOTFS_IMAGE_EXCLUSIVE_H_
