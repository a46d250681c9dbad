#include "tests/integration/layer/tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "node/base/file.h"
#include "node/base/status.h"
#include "rootfs/oci/digest.h"

namespace noded::layer {
namespace {

std::string ReadWhole(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream content;
  content << file.rdbuf();
  return content.str();
}

std::string AttributeAt(const std::string& path, const std::string& key) {
  char value[4096];
  const ssize_t size = lgetxattr(path.c_str(), key.c_str(), value, sizeof value);
  return size < 0 ? "" : std::string(value, static_cast<size_t>(size));
}

std::string AttributesAt(const std::string& path) {
  char names[4096];
  const ssize_t size = llistxattr(path.c_str(), names, sizeof names);
  std::vector<std::string> all;
  for (const char* name = names; size > 0 && name < names + size;
       name += std::string_view(name).size() + 1) {
    all.push_back(absl::StrCat(" ", name, "=", absl::CHexEscape(AttributeAt(path, name))));
  }
  std::sort(all.begin(), all.end());
  std::string text;
  for (const std::string& one : all) text += one;
  return text;
}

std::string DescribeOne(const std::string& path, const struct stat& info, bool with_time) {
  std::string text = absl::StrCat("mode ", absl::Hex(info.st_mode), " owner ", info.st_uid, ":",
                                  info.st_gid, AttributesAt(path));
  if (with_time) absl::StrAppend(&text, " time ", info.st_mtim.tv_sec, ".", info.st_mtim.tv_nsec);
  if (S_ISLNK(info.st_mode)) {
    absl::StrAppend(&text, " to ", std::filesystem::read_symlink(path).string());
  }
  if (S_ISCHR(info.st_mode) || S_ISBLK(info.st_mode)) {
    absl::StrAppend(&text, " device ", major(info.st_rdev), ":", minor(info.st_rdev));
  }
  if (S_ISREG(info.st_mode)) {
    absl::StrAppend(&text, " size ", info.st_size, " ", oci::Sha256::Of(ReadWhole(path)).text());
  }
  return text;
}

}  // namespace

TempTree::TempTree() {
  signal(SIGPIPE, SIG_IGN);
  char name[] = "/tmp/noded-layer-XXXXXX";
  path_ = mkdtemp(name);
  chmod(path_.c_str(), 0755);
  fd_.Reset(open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}

TempTree::~TempTree() { EXPECT_TRUE(RemoveTreeAt(AT_FDCWD, path_).ok()); }

bool TempTree::Has(std::string_view name) const {
  struct stat info;
  return lstat(At(name).c_str(), &info) == 0;
}

struct stat TempTree::Stat(std::string_view name) const {
  struct stat info {};
  EXPECT_EQ(lstat(At(name).c_str(), &info), 0) << name << " is not there";
  return info;
}

std::string TempTree::Content(std::string_view name) const { return ReadWhole(At(name)); }

std::string TempTree::Target(std::string_view name) const {
  std::error_code error;
  return std::filesystem::read_symlink(At(name), error).string();
}

std::string TempTree::Attribute(std::string_view name, const char* key) const {
  return AttributeAt(At(name), key);
}

bool TempTree::IsWhiteoutAt(std::string_view name) const {
  struct stat info {};
  return lstat(At(name).c_str(), &info) == 0 && S_ISCHR(info.st_mode) &&
         info.st_rdev == makedev(0, 0);
}

void TempTree::Write(std::string_view name, std::string_view content) const {
  std::ofstream(At(name), std::ios::binary) << content;
}

UnpackOptions InTree(const TempTree& tree) {
  UnpackOptions options;
  options.program = LAYER_CHILD_PATH;
  options.tree.directory = tree.fd();
  return options;
}

PackOptions OfTree(const TempTree& tree) {
  PackOptions options;
  options.program = LAYER_CHILD_PATH;
  options.tree.directory = tree.fd();
  return options;
}

absl::StatusOr<Unpacked> UnpackBytes(const UnpackOptions& options, std::string_view bytes) {
  ASSIGN_OR_RETURN(const auto unpacking, Unpacking::Start(options));
  RETURN_IF_ERROR(unpacking->Write(bytes));
  return unpacking->Finish();
}

absl::StatusOr<std::pair<std::string, Packed>> PackBytes(const PackOptions& options) {
  ASSIGN_OR_RETURN(const auto packing, Packing::Start(options));
  std::string bytes;
  while (true) {
    ASSIGN_OR_RETURN(const std::string some, packing->Read(64 << 10));
    if (some.empty()) break;
    bytes += some;
  }
  ASSIGN_OR_RETURN(const Packed packed, packing->Finish());
  return std::pair(bytes, packed);
}

std::map<std::string, std::string> Describe(const std::string& path, bool directory_times) {
  std::map<std::string, std::string> described;
  std::map<ino_t, std::string> names;
  std::vector<std::string> paths = {""};
  for (const auto& entry : std::filesystem::recursive_directory_iterator(path)) {
    paths.push_back(entry.path().string().substr(path.size()));
  }
  std::sort(paths.begin(), paths.end());
  for (const std::string& name : paths) {
    struct stat info {};
    lstat((path + name).c_str(), &info);
    const bool is_directory = S_ISDIR(info.st_mode);
    described[name] = DescribeOne(path + name, info, !is_directory || directory_times);
    if (is_directory || info.st_nlink == 1) continue;
    const auto [first, is_first] = names.emplace(info.st_ino, name);
    if (!is_first) described[name] += " same as " + first->second;
  }
  return described;
}

}  // namespace noded::layer
