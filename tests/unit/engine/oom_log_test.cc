// The kernel's log of killed tasks, as machines wrote it.
#include "node/oom_log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"

namespace noded {
namespace {

constexpr char kKilled[] =
    "3,1203,18994765119,-;Memory cgroup out of memory: Killed process 5294 (sh) "
    "total-vm:22756kB, anon-rss:16132kB, file-rss:1456kB, shmem-rss:4kB, UID:0 pgtables:80kB "
    "oom_score_adj:0\n";

std::string Chosen(const std::string& groups, const std::string& task = "sh") {
  return absl::StrCat("6,1202,18994765109,-;oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),",
                      groups, ",task=", task, ",pid=5294,uid=0\n");
}

// What the last of these records tells.
std::optional<LoggedOomKill> Last(const std::vector<std::string>& records) {
  OomLog log;
  std::optional<LoggedOomKill> last;
  for (const std::string& record : records) last = log.Feed(record);
  return last;
}

TEST(OomLogTest, AKillWithItsGroups) {
  auto kill = Last(
      {Chosen("cpuset=c1,mems_allowed=0,oom_memcg=/noded/c1,task_memcg=/noded/c1/sub"), kKilled});
  ASSERT_TRUE(kill.has_value());
  EXPECT_EQ(kill->pid, 5294);
  EXPECT_EQ(kill->process, "sh");
  EXPECT_EQ(kill->memory_bytes, (16132u + 1456 + 4) * 1024);
  EXPECT_EQ(kill->task_cgroup, "/noded/c1/sub");
  EXPECT_EQ(kill->limit_cgroup, "/noded/c1");
}

TEST(OomLogTest, OfTheWholeHost) {
  auto kill =
      Last({"6,1,2,-;oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),cpuset=/,"
            "mems_allowed=0,global_oom,task_memcg=/noded/c1,task=eater,pid=77,uid=0\n",
            "3,2,2,-;Out of memory: Killed process 77 (eater) total-vm:1kB, anon-rss:1kB, "
            "file-rss:0kB, shmem-rss:0kB, UID:0 pgtables:80kB oom_score_adj:0\n"});
  ASSERT_TRUE(kill.has_value());
  EXPECT_EQ(kill->task_cgroup, "/noded/c1");
  EXPECT_EQ(kill->limit_cgroup, std::nullopt);
}

TEST(OomLogTest, CompanionsOfAVictimDieWithTheirGroup) {
  OomLog log;
  log.Feed(Chosen("cpuset=/,mems_allowed=0,oom_memcg=/noded/c1,task_memcg=/noded/c1"));
  log.Feed("3,3,3,-;Tasks in /noded/c1 are going to be killed due to memory.oom.group set\n");
  EXPECT_TRUE(log.Feed(kKilled).has_value());
  auto second = log.Feed(
      "3,4,4,-;Memory cgroup out of memory: Killed process 9 (two) total-vm:8kB, anon-rss:4kB, "
      "file-rss:0kB, shmem-rss:0kB, UID:0 pgtables:4kB oom_score_adj:0\n");
  ASSERT_TRUE(second.has_value());
  EXPECT_EQ(second->pid, 9);
  EXPECT_EQ(second->task_cgroup, "/noded/c1");
}

TEST(OomLogTest, AKillWhoseGroupIsNotKnownIsNobodys) {
  EXPECT_EQ(Last({kKilled}), std::nullopt);
  // Another victim's line, because those of this one were suppressed.
  EXPECT_EQ(Last({"6,1,2,-;oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,"
                  "mems_allowed=0,oom_memcg=/a,task_memcg=/a,task=x,pid=1,uid=0\n",
                  kKilled}),
            std::nullopt);
}

TEST(OomLogTest, NamesOfAPayloadDoNotDeceive) {
  // Its own cpuset group, its own group of memory, its own name.
  auto kill = Last({Chosen("cpuset=x,oom_memcg=noded,mems_allowed=0,oom_memcg=/noded/c1,"
                           "task_memcg=/noded/c1/y,task_memcg=,pid=1",
                           "a,pid=1,uid=0"),
                    kKilled});
  ASSERT_TRUE(kill.has_value());
  EXPECT_EQ(kill->task_cgroup.substr(0, 10), "/noded/c1/");
  EXPECT_EQ(kill->limit_cgroup, "/noded/c1");
  auto named = Last({Chosen("cpuset=/,mems_allowed=0,oom_memcg=/c,task_memcg=/c"),
                     "3,1,1,-;Memory cgroup out of memory: Killed process 5294 (a) total-vm:1kB) "
                     "total-vm:8kB, anon-rss:4kB, file-rss:0kB, shmem-rss:0kB, UID:0\n"});
  ASSERT_TRUE(named.has_value());
  EXPECT_EQ(named->process, "a) total-vm:1kB");
  EXPECT_EQ(named->memory_bytes, 4096u);
}

TEST(OomLogTest, OnlyTheKernelIsBelieved) {
  std::string forged = kKilled;
  forged.replace(0, 1, "11");  // facility 1: a user's program wrote it
  EXPECT_EQ(Last({Chosen("cpuset=/,mems_allowed=0,oom_memcg=/c,task_memcg=/c"), forged}),
            std::nullopt);
}

TEST(OomLogTest, WhatIsCutOffIsPassedOver) {
  std::string chosen = Chosen("cpuset=/,mems_allowed=0,oom_memcg=/c,task_memcg=/c");
  for (size_t size = 0; size + 2 < chosen.size() - 6; ++size) {
    OomLog log;
    EXPECT_EQ(log.Feed(chosen.substr(0, size)), std::nullopt);
  }
  std::string killed = kKilled;
  auto kill = Last({chosen, killed.substr(0, killed.find("file-rss"))});
  ASSERT_TRUE(kill.has_value());
  EXPECT_EQ(kill->memory_bytes, std::nullopt) << "a part of the sum is no sum";
}

}  // namespace
}  // namespace noded
