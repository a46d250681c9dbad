#include "cgroup/values.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace noded::cgroup {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(ParseNumber, NumbersOnly) {
  EXPECT_EQ(ParseNumber("4096\n"), 4096u);
  EXPECT_EQ(ParseNumber("18446744073709551615"), UINT64_MAX);
  for (const char* bad : {"max\n", "", "\n", "-1", "12x", " 12", "18446744073709551616"}) {
    EXPECT_EQ(ParseNumber(bad), std::nullopt) << bad;
  }
}

TEST(ParseKeyed, TheWholeKeyCounts) {
  constexpr char kStat[] = "oom 3\noom_kill 2\nnegative -1\nlast 9";
  EXPECT_EQ(ParseKeyed(kStat, "oom"), 3u);
  EXPECT_EQ(ParseKeyed(kStat, "oom_kill"), 2u);
  EXPECT_EQ(ParseKeyed(kStat, "last"), 9u);
  for (const char* absent : {"oom_", "kill", "negative", "la"}) {
    EXPECT_EQ(ParseKeyed(kStat, absent), std::nullopt) << absent;
  }
  EXPECT_EQ(ParseKeyed("", "oom"), std::nullopt);
}

TEST(ParsePids, StrangersAndGarbageAreLeftOut) {
  EXPECT_THAT(ParsePids("1\n0\n4194304\n"), ElementsAre(1, 4194304));
  EXPECT_THAT(ParsePids("-5\nabc\n99999999999\n"), IsEmpty());
}

TEST(ParseWords, BetweenWhiteSpace) {
  EXPECT_THAT(ParseWords("cpu memory\n"), ElementsAre("cpu", "memory"));
  EXPECT_THAT(ParseWords("\n"), IsEmpty());
}

TEST(CpuWeight, MapsBothEndsAndTheDefault) {
  EXPECT_EQ(CpuWeight(2), 1u);
  EXPECT_EQ(CpuWeight(1024), 100u);
  EXPECT_EQ(CpuWeight(262144), 10000u);
  EXPECT_EQ(CpuWeight(0), 1u);
  EXPECT_EQ(CpuWeight(UINT64_MAX), 10000u);
  for (uint64_t shares = 2; shares < 262144; ++shares) {
    ASSERT_LE(CpuWeight(shares), CpuWeight(shares + 1)) << shares;
  }
}

TEST(ListIsWithin, RangesAndNeighbours) {
  EXPECT_TRUE(ListIsWithin("1", "0-3"));
  EXPECT_TRUE(ListIsWithin("0-3", "0-3\n"));
  EXPECT_TRUE(ListIsWithin("1-2,0", "2,0-1"));
  EXPECT_TRUE(ListIsWithin("5,1", "0-1,5"));
  for (const char* beyond : {"4", "3-4", "0-4", "5,1", "", "a", "2-1", "1,"}) {
    EXPECT_FALSE(ListIsWithin(beyond, "0-3")) << beyond;
  }
  EXPECT_FALSE(ListIsWithin("1-4", "0-2,4"));
  EXPECT_FALSE(ListIsWithin("0", ""));
  EXPECT_FALSE(ListIsWithin("2147483647", "0-2147483646"));
}

}  // namespace
}  // namespace noded::cgroup
