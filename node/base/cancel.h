// Tells a long operation on another thread that nobody wants it any more. Whoever takes one says
// how soon it looks; it then ends with CANCELLED. Thread-safe.
#ifndef NODE_BASE_CANCEL_H_
#define NODE_BASE_CANCEL_H_

#include <atomic>

namespace noded {

class Cancel {
 public:
  Cancel() = default;
  Cancel(const Cancel&) = delete;
  Cancel& operator=(const Cancel&) = delete;

  // For good. From any thread.
  void Set() { set_.store(true, std::memory_order_release); }
  bool Cancelled() const { return set_.load(std::memory_order_acquire); }

 private:
  std::atomic<bool> set_ = false;
};

}  // namespace noded

#endif  // NODE_BASE_CANCEL_H_
