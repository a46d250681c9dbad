#include "cgroup/stat_files.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

namespace noded::cgroup {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(ParseIoStat, DevicesAndWhatIsNotKnown) {
  EXPECT_THAT(ParseIoStat("8:16 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6\n"
                          "253:0\n"
                          "7:1 rbytes=10 cost.usage=0\n"
                          "nonsense rbytes=1\n"
                          "8:0 rbytes=x wbytes=1\n"),
              ElementsAre(BlockStats{8, 16, 1, 2, 3, 4},
                          BlockStats{7, 1, 10, std::nullopt, std::nullopt, std::nullopt},
                          BlockStats{8, 0, std::nullopt, 1, std::nullopt, std::nullopt}));
}

TEST(ParseBlkio, BytesAndOperationsOfOneDeviceCombine) {
  std::vector<BlockStats> devices;
  ParseBlkio(
      "254:0 Read 100\n254:0 Write 200\n254:0 Sync 1\n254:0 Total 300\n7:0 Read 5\nTotal 305\n",
      BlkioFile::kBytes, devices);
  ParseBlkio("254:0 Read 1\n254:0 Write 2\nTotal 3\n", BlkioFile::kOperations, devices);
  EXPECT_THAT(devices, ElementsAre(BlockStats{254, 0, 100, 200, 1, 2},
                                   BlockStats{7, 0, 5, std::nullopt, std::nullopt, std::nullopt}));
  std::vector<BlockStats> none;
  ParseBlkio("Total 0\n8:0 Read\n8 Read 1\n", BlkioFile::kBytes, none);
  EXPECT_THAT(none, IsEmpty());
}

TEST(ParsePressure, BothLinesOrOne) {
  auto pressure = ParsePressure(
      "some avg10=1.50 avg60=0.25 avg300=0.00 total=1234\n"
      "full avg10=0.00 avg60=0.00 avg300=0.01 total=99\n");
  ASSERT_TRUE(pressure.has_value());
  EXPECT_EQ(pressure->some, (PressureLine{1.5, 0.25, 0, 1234}));
  EXPECT_EQ(pressure->full, (PressureLine{0, 0, 0.01, 99}));
  pressure = ParsePressure("some avg10=0.00 avg60=0.00 avg300=0.00 total=7\n");
  ASSERT_TRUE(pressure.has_value());
  EXPECT_EQ(pressure->full, std::nullopt) << "cpu has it since Linux 5.13";
  EXPECT_EQ(ParsePressure("some avg10=0.00 total=7\n"), std::nullopt);
  EXPECT_EQ(ParsePressure(""), std::nullopt);
}

TEST(ParseMemoryStat, V1CountsTheGroupsBelow) {
  Stats stats;
  stats.memory_usage_bytes = 100;
  ParseMemoryStat("rss 1\ninactive_file 5\ntotal_rss 2\ntotal_inactive_file 130\n", true, stats);
  EXPECT_EQ(stats.memory_rss_bytes, 2u);
  EXPECT_EQ(stats.memory_working_set_bytes, 0u) << "two files, read one after the other";
  EXPECT_EQ(stats.memory_limit_bytes, std::nullopt);
  ParseMemoryStat(
      "cache 9\nhierarchical_memory_limit 77\nhierarchical_memsw_limit 88\ntotal_cache 3\n", true,
      stats);
  EXPECT_EQ(stats.memory_limit_bytes, 77u);
  EXPECT_EQ(stats.memory_cache_bytes, 3u);
}

UniqueFd FileOf(const std::string& content) {
  UniqueFd fd(memfd_create("stat", MFD_CLOEXEC));
  EXPECT_EQ(write(fd.get(), content.data(), content.size()), static_cast<ssize_t>(content.size()));
  return fd;
}

TEST(StatReader, ReadsAgainAndGrows) {
  StatReader reader;
  UniqueFd small = FileOf("12\n"), large = FileOf(std::string(100'000, 'x'));
  EXPECT_EQ(reader.ReadNumber(small), 12u);
  EXPECT_EQ(reader.Read(large)->size(), 100'000u);
  EXPECT_EQ(reader.ReadNumber(small), 12u) << "from the beginning each time";
  UniqueFd too_large = FileOf(std::string(2 << 20, 'x'));
  EXPECT_EQ(reader.Read(too_large), std::nullopt);
  EXPECT_EQ(reader.Read(UniqueFd()), std::nullopt);
  EXPECT_FALSE(reader.gone());
}

}  // namespace
}  // namespace noded::cgroup
