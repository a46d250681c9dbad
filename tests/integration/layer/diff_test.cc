// What an upper directory changes, told of real overlay mounts.
#include "rootfs/layer/diff.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include <filesystem>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "node/base/status.h"
#include "tests/integration/layer/tree.h"

namespace noded::layer {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::vector<std::string> Diff(const TempTree& upper, const std::vector<int>& lowers) {
  std::vector<std::string> lines;
  const auto changes = DiffUpper(upper.fd(), lowers);
  EXPECT_TRUE(changes.ok()) << changes.status();
  if (!changes.ok()) return lines;
  for (const Change& change : *changes) {
    constexpr char kLetters[] = "ACD";
    lines.push_back(
        absl::StrCat(std::string(1, kLetters[static_cast<int>(change.kind)]), " ", change.path));
  }
  return lines;
}

// An overlay, mounted nowhere: what is done in it is done by its descriptor.
class Overlay {
 public:
  Overlay(const std::vector<const TempTree*>& lowers, const TempTree& upper) {
    const UniqueFd context(fsopen("overlay", FSOPEN_CLOEXEC));
    std::string lower;
    for (const TempTree* tree : lowers)
      absl::StrAppend(&lower, lower.empty() ? "" : ":", tree->path());
    const auto set = [&](const char* key, const std::string& value) {
      EXPECT_EQ(fsconfig(context.get(), FSCONFIG_SET_STRING, key, value.c_str(), 0), 0) << key;
    };
    set("lowerdir", lower);
    set("upperdir", upper.path());
    set("workdir", work_.path());
    EXPECT_EQ(fsconfig(context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0), 0);
    root_.Reset(fsmount(context.get(), FSMOUNT_CLOEXEC, 0));
    EXPECT_TRUE(root_);
  }
  fs::path At(const std::string& name) const {
    return absl::StrCat("/proc/self/fd/", root_.get(), "/", name);
  }

 private:
  TempTree work_;
  UniqueFd root_;
};

TEST(DiffTest, NothingChanged) {
  TempTree lower, upper;
  lower.Write("a", "");
  EXPECT_THAT(Diff(upper, {lower.fd()}), IsEmpty());
}

TEST(DiffTest, AddedChangedDeletedInOrder) {
  TempTree lower, upper;
  fs::create_directories(lower.At("etc/keep"));
  fs::create_directories(lower.At("var/log/old"));
  lower.Write("etc/passwd", "root");
  lower.Write("etc/motd", "hello");
  lower.Write("etc/untouched", "");
  {
    Overlay overlay({&lower}, upper);
    EXPECT_EQ(chmod(overlay.At("etc/passwd").c_str(), 0600), 0);
    fs::remove(overlay.At("etc/motd"));
    fs::create_directories(overlay.At("new/deep"));
    fs::create_symlink("x", overlay.At("etc/link"));
    fs::remove_all(overlay.At("var/log"));
    fs::create_directories(overlay.At("var/log"));  // opaque, with nothing of the old
    // Made and removed: nothing below knew it.
    fs::create_directories(overlay.At("tmp"));
    fs::remove_all(overlay.At("tmp"));
  }
  EXPECT_THAT(Diff(upper, {lower.fd()}),
              ElementsAre("C /etc", "A /etc/link", "D /etc/motd", "C /etc/passwd", "A /new",
                          "A /new/deep", "C /var", "C /var/log", "D /var/log/old"));
}

TEST(DiffTest, LayersBelowHideOneAnother) {
  TempTree bottom, middle, upper;
  fs::create_directories(bottom.At("d"));
  bottom.Write("gone", "");
  bottom.Write("d/hidden", "");
  fs::create_directories(middle.At("d"));
  ASSERT_EQ(setxattr(middle.At("d").c_str(), "trusted.overlay.opaque", "y", 1, 0), 0);
  ASSERT_EQ(mknod(middle.At("gone").c_str(), S_IFCHR, makedev(0, 0)), 0);
  fs::create_directories(upper.At("d"));
  upper.Write("gone", "is new again");
  upper.Write("d/hidden", "is new");
  EXPECT_THAT(Diff(upper, {middle.fd(), bottom.fd()}),
              ElementsAre("C /d", "A /d/hidden", "A /gone"));
}

TEST(DiffTest, OtherTypes) {
  TempTree lower, upper;
  fs::create_directories(lower.At("was-dir/x"));
  lower.Write("was-file", "");
  upper.Write("was-dir", "");
  fs::create_directories(upper.At("was-file/x"));
  EXPECT_THAT(Diff(upper, {lower.fd()}), ElementsAre("C /was-dir", "C /was-file", "A /was-file/x"));
}

TEST(DiffTest, Bounded) {
  TempTree lower, upper;
  for (int i = 0; i < 5; ++i) upper.Write(std::to_string(i), "");
  EXPECT_TRUE(absl::IsResourceExhausted(DiffUpper(upper.fd(), {lower.fd()}, 4).status()));
}

}  // namespace
}  // namespace noded::layer
