// A large buffer that costs memory only while it is in use: pages of its own, given back when idle.
// A supervisor is to be small, and one of a hundred chatty moments must not be kept for good.
// Move-only; thread-compatible.
#ifndef NODE_SHIM_SCRATCH_H_
#define NODE_SHIM_SCRATCH_H_

#include <sys/mman.h>

#include <cstddef>

namespace noded::shim {

class Scratch {
 public:
  explicit Scratch(size_t bytes) : bytes_(bytes) {
    void* made = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    data_ = made == MAP_FAILED ? nullptr : static_cast<char*>(made);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  ~Scratch() {
    if (data_ != nullptr) munmap(data_, bytes_);
  }

  bool valid() const { return data_ != nullptr; }
  char* data() { return data_; }
  const char* data() const { return data_; }
  size_t size() const { return bytes_; }
  // The content is lost.
  void Release() { madvise(data_, bytes_, MADV_DONTNEED); }

 private:
  char* data_;
  size_t bytes_;
};

}  // namespace noded::shim

#endif  // NODE_SHIM_SCRATCH_H_
