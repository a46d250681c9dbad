// What is done about limits that a host does not keep.
#include "node/kept_limits.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <utility>

#include "node/base/status.h"

namespace noded {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;

// A host that does not keep what the test says.
class PoorHost : public cgroup::Driver {
 public:
  std::vector<cgroup::Unkept> unkept;
  absl::Status check;

  cgroup::Mode mode() const override { return cgroup::Mode::kV2; }
  std::vector<std::string> controllers() const override { return {}; }
  std::vector<cgroup::Support> Enforceable() const override { return {}; }
  std::vector<cgroup::Unkept> Unenforceable(const cgroup::Limits&) const override { return unkept; }
  absl::Status Check(const cgroup::Limits&) const override { return check; }
  absl::StatusOr<std::unique_ptr<cgroup::Group>> Create(const std::string&,
                                                        const cgroup::Limits&) override {
    return absl::UnimplementedError("no group is made here");
  }
  absl::StatusOr<std::unique_ptr<cgroup::Group>> Open(const std::string&) override {
    return absl::NotFoundError("no group is here");
  }
  absl::StatusOr<std::vector<std::string>> List() override { return std::vector<std::string>(); }
};

node::v1::ContainerSpec Spec(bool best_effort) {
  node::v1::ContainerSpec spec;
  spec.mutable_limits()->set_pids(5);
  spec.mutable_limits()->mutable_cpu()->set_idle(true);
  spec.mutable_limits()->set_best_effort(best_effort);
  return spec;
}

TEST(KeepLimits, AllAreKept) {
  auto kept = KeepLimitsOf(PoorHost(), Spec(false));
  ASSERT_TRUE(kept.ok()) << kept.status();
  EXPECT_EQ(kept->limits.pids_max, 5);
  EXPECT_TRUE(kept->limits.cpu_idle);
  EXPECT_FALSE(kept->limits.devices.empty()) << "the default devices";
  EXPECT_THAT(kept->unenforced, IsEmpty());
}

TEST(KeepLimits, WhatIsNotKeptIsRefused) {
  PoorHost host;
  host.unkept = {{"limits.cpu.idle", "old kernel", "a new one", false}};
  auto kept = KeepLimitsOf(host, Spec(false));
  EXPECT_TRUE(absl::IsFailedPrecondition(kept.status())) << kept.status();
  EXPECT_EQ(ReasonOf(kept.status()), reason::kNotSupported);
  EXPECT_THAT(kept.status().message(), HasSubstr("limits.cpu.idle"));
}

TEST(KeepLimits, OnBestEffortItIsLeftOutAndTold) {
  PoorHost host;
  host.unkept = {{"limits.cpu.idle", "old kernel", "a new one", false},
                 {"limits.pids", "only threads", "processes", true}};
  auto kept = KeepLimitsOf(host, Spec(true));
  ASSERT_TRUE(kept.ok()) << kept.status();
  EXPECT_FALSE(kept->limits.cpu_idle);
  EXPECT_EQ(kept->limits.pids_max, 5) << "kept in part is applied";
  node::v1::Container container;
  (*container.mutable_unenforced_limits())["limits.memory.max_bytes"] = "of an earlier spec";
  EXPECT_FALSE(IsTold(*kept, container));
  Tell(*kept, container);
  EXPECT_TRUE(IsTold(*kept, container));
  EXPECT_THAT((std::map<std::string, std::string>(container.unenforced_limits().begin(),
                                                  container.unenforced_limits().end())),
              ElementsAre(Pair("limits.cpu.idle", "old kernel; what would help: a new one"),
                          Pair("limits.pids", HasSubstr("kept in part: only threads"))));
}

TEST(KeepLimits, WhatNoHostWouldKeepIsRefusedOnBestEffortToo) {
  PoorHost host;
  host.check = InvalidField("limits.cpu.cpuset_cpus", "must be within \"0-1\"");
  EXPECT_TRUE(absl::IsInvalidArgument(KeepLimitsOf(host, Spec(true)).status()));
}

}  // namespace
}  // namespace noded
