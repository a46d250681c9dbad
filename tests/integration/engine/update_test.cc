// Update of containers that run, as the kernel's files and the container itself show it.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <filesystem>
#include <fstream>
#include <thread>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "node/base/file.h"
#include "node/base/status.h"
#include "tests/integration/engine/await.h"
#include "tests/integration/engine/fixture.h"

namespace noded::test {
namespace {

namespace fs = std::filesystem;
using node::v1::Container;
using node::v1::ContainerSpec;
using node::v1::UpdateRequest;
using node::v1::UpdateResponse;
using ::testing::HasSubstr;

constexpr int64_t kMega = 1 << 20;

class UpdateTest : public EngineTest {
 protected:
  absl::StatusOr<Container> Update(UpdateRequest request) {
    auto response = Await<UpdateResponse>([&](auto done) { engine_->Update(request, done); });
    if (!response.ok()) return response.status();
    return response->container();
  }
  static UpdateRequest RequestFor(const Container& container) {
    UpdateRequest request;
    request.set_container(container.id());
    return request;
  }
  // Of the container's group; the names of the file on v1 and on v2.
  static std::string FileOf(const Container& container, const std::string& controller,
                            const std::string& v1, const std::string& v2) {
    std::string path = absl::StrCat("/sys/fs/cgroup/", controller, container.cgroup_path());
    path = fs::exists(path) ? absl::StrCat(path, "/", v1)
                            : absl::StrCat("/sys/fs/cgroup", container.cgroup_path(), "/", v2);
    return path;
  }
  static std::string Read(const std::string& path) {
    return std::string(
        absl::StripAsciiWhitespace(ReadFileAt(AT_FDCWD, path).value_or("(cannot be read)")));
  }
  static std::string MemoryOf(const Container& container) {
    return Read(FileOf(container, "memory", "memory.limit_in_bytes", "memory.max"));
  }
  static std::string PidsOf(const Container& container) {
    return Read(FileOf(container, "pids", "pids.max", "pids.max"));
  }
  Container RunWithLimits(const std::string& script) {
    ContainerSpec spec = Shell(script);
    spec.mutable_limits()->mutable_memory()->set_max_bytes(64 * kMega);
    spec.mutable_limits()->set_pids(30);
    auto container = Run(spec);
    EXPECT_TRUE(container.ok()) << container.status();
    return container.value_or(Container());
  }
};

TEST_F(UpdateTest, HoldsAtOnceAndOverRestarts) {
  Container container =
      RunWithLimits("while :; do dd if=/dev/zero of=/tmp/x bs=1M count=4; done 2>/dev/null");
  UpdateRequest request = RequestFor(container);
  request.mutable_limits()->mutable_memory()->set_max_bytes(96 * kMega);
  request.mutable_limits()->mutable_cpu()->set_quota_us(30000);
  request.mutable_limits()->mutable_cpu()->set_period_us(100000);
  request.mutable_limits()->mutable_cpu()->set_cpuset_cpus("0");
  auto updated = Update(request);
  ASSERT_TRUE(updated.ok()) << updated.status();
  EXPECT_EQ(updated->state(), node::v1::CONTAINER_STATE_RUNNING);
  EXPECT_EQ(updated->spec().limits().pids(), 30) << "what was not named stays";
  EXPECT_EQ(MemoryOf(container), absl::StrCat(96 * kMega));
  EXPECT_EQ(PidsOf(container), "30");
  EXPECT_THAT(Exec(container.id(), "grep Cpus_allowed_list /proc/1/status").out,
              HasSubstr("\t0\n"));
  std::string quota = Read(FileOf(container, "cpu", "cpu.cfs_quota_us", "cpu.max"));
  EXPECT_TRUE(quota == "30000" || quota == "30000 100000") << quota;
  ReopenEngine();
  EXPECT_EQ(Get(container.id())->spec().limits().memory().max_bytes(), 96 * kMega);
  EXPECT_EQ(MemoryOf(container), absl::StrCat(96 * kMega));
  ASSERT_TRUE(Stop(container.id(), absl::ZeroDuration()).ok());
  ASSERT_TRUE(Start(container.id()).ok());
  EXPECT_EQ(MemoryOf(container), absl::StrCat(96 * kMega));
}

TEST_F(UpdateTest, TakesLimitsAway) {
  Container container = RunWithLimits("sleep 1000");
  UpdateRequest request = RequestFor(container);
  request.add_clear("limits.memory");
  request.add_clear("limits.pids");
  request.mutable_limits()->set_pids(7);
  auto updated = Update(request);
  ASSERT_TRUE(updated.ok()) << updated.status();
  EXPECT_FALSE(updated->spec().limits().memory().has_max_bytes());
  std::string memory = MemoryOf(container);
  EXPECT_TRUE(memory == "max" || memory == "9223372036854771712") << memory;
  EXPECT_EQ(PidsOf(container), "7") << "what is set comes after what is cleared";
}

TEST_F(UpdateTest, OneDeviceAndThenTheOther) {
  // Nodes of the test's own: the kernel's log, and a network tap, which needs no driver to be
  // refused.
  std::string log = scratch_ + "/log", tap = scratch_ + "/tap";
  ASSERT_EQ(mknod(log.c_str(), S_IFCHR | 0666, makedev(1, 11)), 0);
  ASSERT_EQ(mknod(tap.c_str(), S_IFCHR | 0666, makedev(10, 200)), 0);
  ContainerSpec spec = Shell("sleep 1000");
  node::v1::Device& first = *spec.add_devices();
  first.set_host_path(log);
  first.set_container_path("/dev/log-device");
  auto container = Run(spec);
  ASSERT_TRUE(container.ok()) << container.status();
  ASSERT_EQ(Exec(container->id(), "mknod /tmp/log c 1 11; mknod /tmp/tap c 10 200").code, 0);
  auto denied = [&](const std::string& node) {
    return absl::StrContains(Exec(container->id(), ": >>/tmp/" + node).err,
                             "Operation not permitted");
  };
  EXPECT_FALSE(denied("log"));
  EXPECT_TRUE(denied("tap"));
  UpdateRequest request = RequestFor(*container);
  request.mutable_devices()->add_devices()->set_host_path(tap);
  auto updated = Update(request);
  ASSERT_TRUE(updated.ok()) << updated.status();
  EXPECT_TRUE(denied("log"));
  EXPECT_FALSE(denied("tap"));
  EXPECT_EQ(updated->spec().devices_size(), 1);
  request.mutable_devices()->Clear();
  ASSERT_TRUE(Update(request).ok());
  EXPECT_TRUE(denied("tap"));
  EXPECT_EQ(Exec(container->id(), ": >/dev/null").code, 0) << "the default ones stay";
}

TEST_F(UpdateTest, ARefusedOneChangesNothing) {
  Container container = RunWithLimits("sleep 1000");
  int64_t revision = Get(container.id())->revision();
  UpdateRequest request = RequestFor(container);
  request.mutable_limits()->set_pids(40);
  request.mutable_limits()->mutable_memory()->set_max_bytes(80 * kMega);
  request.mutable_limits()->mutable_cpu()->set_cpuset_cpus("0-3000");
  auto refused = Update(request);
  EXPECT_TRUE(absl::IsInvalidArgument(refused.status())) << refused.status();
  EXPECT_THAT(refused.status().message(), HasSubstr("limits.cpu.cpuset_cpus"));
  request.mutable_limits()->clear_cpu();
  request.mutable_devices()->add_devices()->set_host_path("/no/such/device");
  refused = Update(request);
  ASSERT_EQ(FieldViolationsOf(refused.status()).size(), 1u) << refused.status();
  EXPECT_EQ(FieldViolationsOf(refused.status())[0].field, "devices.devices[0].host_path");
  EXPECT_EQ(PidsOf(container), "30");
  EXPECT_EQ(MemoryOf(container), absl::StrCat(64 * kMega));
  EXPECT_EQ(Get(container.id())->revision(), revision);
}

TEST_F(UpdateTest, OneThatCannotBeRecordedIsTakenBack) {
  Container container = RunWithLimits("sleep 1000");
  std::string directory = absl::StrCat(root_, "/containers/", container.id());
  UpdateRequest request = RequestFor(container);
  request.mutable_limits()->set_pids(40);
  fs::rename(directory, root_ + "/away");
  // A missing directory would be made again.
  std::ofstream(directory).put('x');
  auto failed = Update(request);
  fs::remove(directory);
  fs::rename(root_ + "/away", directory);
  EXPECT_FALSE(failed.ok());
  EXPECT_EQ(PidsOf(container), "30");
  EXPECT_EQ(Get(container.id())->spec().limits().pids(), 30);
  auto updated = Update(request);
  ASSERT_TRUE(updated.ok()) << updated.status();
  EXPECT_EQ(PidsOf(container), "40");
}

TEST_F(UpdateTest, MemoryBelowWhatIsInUseKillsNobody) {
  // Without swap a file in memory cannot be reclaimed.
  ContainerSpec spec =
      Shell("dd if=/dev/zero of=/shm/x bs=1M count=40 2>/dev/null; echo full; sleep 1000");
  spec.mutable_limits()->mutable_memory()->set_max_bytes(64 * kMega);
  spec.add_mounts()->set_target("/shm");
  spec.mutable_mounts(0)->mutable_tmpfs();
  auto container = Run(spec);
  ASSERT_TRUE(container.ok()) << container.status();
  ASSERT_TRUE(Eventually([&] { return Log(container->id()) == "full\n"; }));
  if (std::string swaps = Read("/proc/swaps"); absl::StrContains(swaps, "\n")) {
    GTEST_SKIP() << "this host has swap";
  }
  UpdateRequest request = RequestFor(*container);
  request.mutable_limits()->mutable_memory()->set_max_bytes(16 * kMega);
  request.mutable_limits()->set_pids(40);
  for (bool force : {false, true}) {
    request.set_force(force);
    auto refused = Update(request);
    EXPECT_TRUE(absl::IsFailedPrecondition(refused.status())) << refused.status();
    EXPECT_THAT(refused.status().message(), HasSubstr("in use"));
    EXPECT_EQ(MemoryOf(*container), absl::StrCat(64 * kMega));
  }
  EXPECT_EQ(Get(container->id())->state(), node::v1::CONTAINER_STATE_RUNNING);
  EXPECT_EQ(Exec(container->id(), "rm /shm/x").code, 0);
  auto updated = Update(request);
  EXPECT_TRUE(updated.ok()) << updated.status();
  EXPECT_EQ(MemoryOf(*container), absl::StrCat(16 * kMega));
}

TEST_F(UpdateTest, OfOneThatWasNotStartedOrHasEnded) {
  auto container = Create(Shell("sleep 1000"));
  ASSERT_TRUE(container.ok()) << container.status();
  UpdateRequest request = RequestFor(*container);
  request.mutable_limits()->set_pids(9);
  auto updated = Update(request);
  ASSERT_TRUE(updated.ok()) << updated.status();
  EXPECT_EQ(updated->state(), node::v1::CONTAINER_STATE_CREATED);
  ASSERT_TRUE(Start(container->id()).ok());
  EXPECT_EQ(PidsOf(*container), "9");
  ASSERT_TRUE(Stop(container->id(), absl::ZeroDuration()).ok());
  request.mutable_limits()->set_pids(10);
  auto refused = Update(request);
  EXPECT_TRUE(absl::IsFailedPrecondition(refused.status())) << refused.status();
  EXPECT_EQ(ReasonOf(refused.status()), reason::kWrongState);
  EXPECT_EQ(Get(container->id())->spec().limits().pids(), 9);
}

TEST_F(UpdateTest, ManyAtOnceAllHold) {
  Container container = RunWithLimits("sleep 1000");
  std::vector<UpdateRequest> requests(4, RequestFor(container));
  requests[0].mutable_limits()->set_pids(44);
  requests[1].mutable_limits()->mutable_memory()->set_max_bytes(48 * kMega);
  requests[2].mutable_limits()->mutable_cpu()->set_shares(300);
  requests[3].mutable_limits()->mutable_cpu()->set_quota_us(70000);
  std::vector<std::thread> threads;
  for (const UpdateRequest& request : requests) {
    threads.emplace_back([this, request] {
      auto updated = Update(request);
      EXPECT_TRUE(updated.ok()) << updated.status();
    });
  }
  for (std::thread& thread : threads) thread.join();
  node::v1::Limits limits = Get(container.id())->spec().limits();
  EXPECT_EQ(limits.pids(), 44);
  EXPECT_EQ(limits.memory().max_bytes(), 48 * kMega);
  EXPECT_EQ(limits.cpu().shares(), 300u);
  EXPECT_EQ(limits.cpu().quota_us(), 70000);
  EXPECT_EQ(PidsOf(container), "44");
  EXPECT_EQ(MemoryOf(container), absl::StrCat(48 * kMega));
}

TEST_F(UpdateTest, WatchersSeeIt) {
  Container container = RunWithLimits("sleep 1000");
  node::v1::WatchRequest from;
  from.set_from_revision(Get(container.id())->revision() + 1);
  auto watch = engine_->Watch(from);
  ASSERT_TRUE(watch.ok()) << watch.status();
  UpdateRequest request = RequestFor(container);
  request.mutable_limits()->set_pids(12);
  auto updated = Update(request);
  ASSERT_TRUE(updated.ok()) << updated.status();
  auto next = Next(**watch);
  ASSERT_TRUE(next.ok() && next->has_value()) << next.status();
  ASSERT_EQ((*next)->events_size(), 1);
  EXPECT_EQ((*next)->events(0).type(), node::v1::CONTAINER_EVENT_TYPE_UPDATED);
  EXPECT_EQ((*next)->events(0).container().spec().limits().pids(), 12);
  EXPECT_EQ((*next)->events(0).revision(), updated->revision());
  (*watch)->Cancel();
}

TEST_F(UpdateTest, ANewDaemonPutsTheRecordedLimitsInForce) {
  Container container = RunWithLimits("sleep 1000");
  CloseEngine();
  // As if it had been killed between the kernel and the record.
  ASSERT_TRUE(
      WriteExistingAt(AT_FDCWD, FileOf(container, "pids", "pids.max", "pids.max"), "99").ok());
  OpenEngine();
  EXPECT_EQ(PidsOf(container), "30");
}

TEST_F(UpdateTest, WhatTheHostDoesNotKeepIsRefusedOrTold) {
  ContainerSpec spec = Shell("sleep 1000");
  spec.mutable_limits()->mutable_hugetlb()->Add()->set_page_size("3MB");
  spec.mutable_limits()->set_pids(11);
  for (const auto& refused : {Create(spec), Run(spec)}) {
    EXPECT_TRUE(absl::IsFailedPrecondition(refused.status())) << refused.status();
    EXPECT_EQ(ReasonOf(refused.status()), reason::kNotSupported);
    EXPECT_THAT(refused.status().message(), HasSubstr("limits.hugetlb[0]"));
    EXPECT_THAT(refused.status().message(), HasSubstr("what would help"));
  }
  EXPECT_TRUE(fs::is_empty(root_ + "/containers"));
  spec.mutable_limits()->set_best_effort(true);
  auto container = Run(spec);
  ASSERT_TRUE(container.ok()) << container.status();
  EXPECT_EQ(container->unenforced_limits().count("limits.hugetlb[0]"), 1u)
      << container->DebugString();
  EXPECT_EQ(PidsOf(*container), "11");
  UpdateRequest request = RequestFor(*container);
  request.add_clear("limits.hugetlb");
  auto updated = Update(request);
  ASSERT_TRUE(updated.ok()) << updated.status();
  EXPECT_TRUE(updated->unenforced_limits().empty());
}

}  // namespace
}  // namespace noded::test
