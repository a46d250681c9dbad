// Rates of a block device: ext4 over a loop device, measured by the clock of who reads and writes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "cgroup/driver.h"
#include "tests/integration/cgroup/kernel_groups.h"

namespace noded::cgroup {
namespace {

constexpr int64_t kMiB = 1 << 20;
constexpr int64_t kRate = 5 * kMiB;

std::string Output(const std::string& command) {
  std::string text;
  FILE* pipe = popen(absl::StrCat(command, " 2>/dev/null").c_str(), "re");  // NOLINT
  if (pipe == nullptr) return text;
  char line[256];
  while (fgets(line, sizeof(line), pipe) != nullptr) text += line;
  if (pclose(pipe) != 0) return "";
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

// A file system of its own on a loop device while it lives.
class LoopDisk {
 public:
  LoopDisk() : base_(absl::StrCat(DiskDirectory(), "/noded-disk-", getpid())) {
    if (DiskDirectory().empty()) return;
    std::string image = base_ + ".img";
    if (Output(absl::StrCat("truncate -s 96M ", image, " && mkfs.ext4 -q -F ", image,
                            " && echo made")) != "made") {
      return;
    }
    // Direct, or the loop driver's own page cache would take the writes and not the disk.
    device_ = Output(absl::StrCat("losetup --direct-io=on -f --show ", image));
    if (device_.empty()) return;
    mkdir(directory().c_str(), 0700);
    mounted_ = mount(device_.c_str(), directory().c_str(), "ext4", 0, nullptr) == 0;
    struct stat info;
    if (stat(device_.c_str(), &info) == 0) number_ = info.st_rdev;
  }
  ~LoopDisk() {
    if (mounted_ && umount(directory().c_str()) != 0) ADD_FAILURE() << strerror(errno);
    if (!device_.empty()) Output(absl::StrCat("losetup -d ", device_));
    rmdir(directory().c_str());
    unlink((base_ + ".img").c_str());
  }
  bool works() const { return mounted_; }
  std::string directory() const { return base_; }
  BlockDeviceLimit Limit() const { return {.major = major(number_), .minor = minor(number_)}; }

 private:
  std::string base_, device_;
  bool mounted_ = false;
  dev_t number_ = 0;
};

enum class Direction { kWrite, kRead };

// By way of the page cache, until it is on disk.
int WriteBuffered(const std::string& path, int64_t bytes) {
  const std::string piece(kMiB, 'x');
  int fd = open(path.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
  for (int64_t done = 0; done < bytes; done += kMiB) {
    if (write(fd, piece.data(), piece.size()) < 0) return 1;
  }
  return fsync(fd) == 0 ? 0 : 2;
}

// Moves so much directly between memory and disk, in pieces.
int Transfer(const std::string& path, Direction direction, int64_t bytes) {
  constexpr size_t kPiece = 256 << 10;
  auto* buffer = static_cast<char*>(std::aligned_alloc(4096, kPiece));
  memset(buffer, 'x', kPiece);
  bool writes = direction == Direction::kWrite;
  int fd =
      open(path.c_str(), (writes ? O_CREAT | O_WRONLY : O_RDONLY) | O_DIRECT | O_CLOEXEC, 0600);
  if (fd < 0) return 1;
  for (int64_t done = 0; done < bytes; done += kPiece) {
    ssize_t got = writes ? write(fd, buffer, kPiece) : read(fd, buffer, kPiece);
    if (got != static_cast<ssize_t>(kPiece)) return 2;
  }
  return 0;
}

class IoTest : public CgroupTest {
 protected:
  bool HasIo() const { return Has("blkio") || Has("io"); }
  // Bytes to the disk, by the group's own counter.
  static double Written(const Group& group, const BlockDeviceLimit& disk) {
    auto stats = group.ReadStats();
    if (!stats.ok() || !stats->block_devices) return 0;
    for (const BlockStats& one : *stats->block_devices) {
      if (one.major == disk.major && one.minor == disk.minor) {
        return static_cast<double>(one.written_bytes.value_or(0));
      }
    }
    return 0;
  }
  // Bytes a second of a process in the group.
  double Rate(const Group& group, const std::string& path, Direction direction, int64_t bytes) {
    absl::Time begin = absl::Now();
    Payload payload(group, [&] { return Transfer(path, direction, bytes); });
    EXPECT_EQ(payload.Wait(), 0);
    return static_cast<double>(bytes) / absl::ToDoubleSeconds(absl::Now() - begin);
  }
};

TEST_P(IoTest, FiveMebibytesASecondAndNotTheNeighbours) {
  if (!HasIo()) GTEST_SKIP() << "no block io controller for the " << GetParam().name << " driver";
  LoopDisk disk;
  if (!disk.works()) GTEST_SKIP() << "no loop device with ext4 can be had on this host";
  BlockDeviceLimit limit = disk.Limit();
  limit.read_bytes = kRate;
  limit.write_bytes = kRate;
  auto slow = Make("slow", {.block_devices = {limit}});
  auto neighbour = Make("neighbour");
  ASSERT_NE(slow, nullptr);
  ASSERT_NE(neighbour, nullptr);
  const std::string file = disk.directory() + "/file";
  const std::string elsewhere = absl::StrCat(DiskDirectory(), "/noded-neighbour-", getpid());

  double write_rate = Rate(*slow, file, Direction::kWrite, 20 * kMiB);
  EXPECT_GE(write_rate, 3.5 * kMiB);
  EXPECT_LE(write_rate, 6.5 * kMiB);

  {
    Payload reader(*slow, [&] { return Transfer(file, Direction::kRead, 20 * kMiB); });
    absl::Time begin = absl::Now();
    // The best of three, because this disk is not ours alone.
    double alongside = 0;
    for (int i = 0; i < 3; ++i) {
      alongside = std::max(alongside, Rate(*neighbour, elsewhere, Direction::kWrite, 32 * kMiB));
    }
    EXPECT_EQ(reader.Wait(), 0);
    double read_rate = 20.0 * kMiB / absl::ToDoubleSeconds(absl::Now() - begin);
    EXPECT_GE(read_rate, 3.5 * kMiB);
    EXPECT_LE(read_rate, 6.5 * kMiB);
    double alone = Rate(*neighbour, elsewhere, Direction::kWrite, 32 * kMiB);
    EXPECT_GE(alongside, 0.7 * alone) << "the neighbour's rate beside a throttled one";
  }
  unlink(elsewhere.c_str());

  EXPECT_GE(Written(*slow, limit), 20.0 * kMiB);

  // Without the limit, while it is at work.
  absl::Time begin = absl::Now();
  Payload freed(*slow, [&] { return Transfer(file, Direction::kWrite, 40 * kMiB); });
  absl::SleepFor(absl::Milliseconds(500));
  ASSERT_OK(slow->Update({}, {}));
  EXPECT_EQ(freed.Wait(), 0);
  EXPECT_LT(absl::Now() - begin, absl::Seconds(6)) << "8 s at the old rate";

  // And with it again.
  Payload busy(*slow, [&] {
    while (Transfer(file, Direction::kWrite, 40 * kMiB) == 0) {
    }
    return 1;
  });
  absl::SleepFor(absl::Milliseconds(500));
  ASSERT_OK(slow->Update({.block_devices = {limit}}, {}));
  absl::SleepFor(absl::Milliseconds(500));
  begin = absl::Now();
  double written = Written(*slow, limit);
  absl::SleepFor(absl::Seconds(3));
  double rate = (Written(*slow, limit) - written) / absl::ToDoubleSeconds(absl::Now() - begin);
  EXPECT_GE(rate, 3.5 * kMiB);
  EXPECT_LE(rate, 6.5 * kMiB);
}

TEST_P(IoTest, BufferedWritesOnV2) {
  if (!HasIo()) GTEST_SKIP() << "no block io controller for the " << GetParam().name << " driver";
  if (driver_->mode() != Mode::kV2) {
    GTEST_SKIP() << "cgroup v1 writes back outside of the group, which Unenforceable says";
  }
  LoopDisk disk;
  if (!disk.works()) GTEST_SKIP() << "no loop device with ext4 can be had on this host";
  BlockDeviceLimit limit = disk.Limit();
  limit.write_bytes = kRate;
  auto slow = Make("slow", {.memory_bytes = 64 * kMiB, .block_devices = {limit}});
  ASSERT_NE(slow, nullptr);
  const std::string file = disk.directory() + "/buffered";
  absl::Time begin = absl::Now();
  Payload writer(*slow, [&] { return WriteBuffered(file, 20 * kMiB); });
  EXPECT_EQ(writer.Wait(), 0);
  double rate = 20.0 * kMiB / absl::ToDoubleSeconds(absl::Now() - begin);
  EXPECT_GE(rate, 3.5 * kMiB);
  EXPECT_LE(rate, 6.5 * kMiB);
}

INSTANTIATE_TEST_SUITE_P(Kernel, IoTest,
                         testing::Values(Choice{"v1_or_hybrid", "v1", true},
                                         Choice{"v2", "v2", true}),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace noded::cgroup
