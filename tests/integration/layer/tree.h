// A directory for a test, what is in it, and unpacking into it.
#ifndef TESTS_INTEGRATION_LAYER_TREE_H_
#define TESTS_INTEGRATION_LAYER_TREE_H_

#include <sys/stat.h>

#include <map>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "node/base/unique_fd.h"
#include "rootfs/layer/packing.h"
#include "rootfs/layer/unpacking.h"

namespace noded::layer {

// Removed with the object.
class TempTree {
 public:
  TempTree();
  ~TempTree();
  TempTree(const TempTree&) = delete;
  TempTree& operator=(const TempTree&) = delete;

  const std::string& path() const { return path_; }
  int fd() const { return fd_.get(); }
  std::string At(std::string_view name) const { return path_ + "/" + std::string(name); }
  bool Has(std::string_view name) const;
  // Of the link itself.
  struct stat Stat(std::string_view name) const;
  std::string Content(std::string_view name) const;
  std::string Target(std::string_view name) const;
  // "" when it has no such attribute.
  std::string Attribute(std::string_view name, const char* key) const;
  bool IsWhiteoutAt(std::string_view name) const;
  void Write(std::string_view name, std::string_view content) const;

 private:
  std::string path_;
  UniqueFd fd_;
};

// With the tests' own child, into the tree.
UnpackOptions InTree(const TempTree& tree);
PackOptions OfTree(const TempTree& tree);
// All of the bytes by Write, then Finish.
absl::StatusOr<Unpacked> UnpackBytes(const UnpackOptions& options, std::string_view bytes);
// The stream, with its result.
absl::StatusOr<std::pair<std::string, Packed>> PackBytes(const PackOptions& options);

// Everything about each file below a directory, by its path: type, mode, owner, size, time, target,
// device, attributes, content, and which other names it has.
std::map<std::string, std::string> Describe(const std::string& path, bool directory_times = true);

}  // namespace noded::layer

#endif  // TESTS_INTEGRATION_LAYER_TREE_H_
