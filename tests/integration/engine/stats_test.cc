// Statistics for many clients from one sampling.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <google/protobuf/util/time_util.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "node/base/file.h"
#include "node/process_table.h"
#include "tests/integration/engine/await.h"
#include "tests/integration/engine/fixture.h"

namespace noded::test {
namespace {

using google::protobuf::util::TimeUtil;
using node::v1::StatsRequest;
using node::v1::StatsResponse;
using node::v1::StatsSample;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using StatsStream = std::shared_ptr<ResponseStream<StatsResponse>>;

class StatsTest : public EngineTest {
 protected:
  StatsStream Open(absl::Duration interval, const std::vector<std::string>& containers = {}) {
    StatsRequest request;
    for (const std::string& one : containers) request.add_containers(one);
    if (interval > absl::ZeroDuration()) {
      *request.mutable_interval() =
          TimeUtil::MillisecondsToDuration(absl::ToInt64Milliseconds(interval));
    }
    auto stream = engine_->Stats(request);
    EXPECT_TRUE(stream.ok()) << stream.status();
    return stream.ok() ? *stream : nullptr;
  }
  std::vector<StatsSample> Round(const StatsStream& stream) {
    auto next = Next(*stream);
    EXPECT_TRUE(next.ok() && next->has_value()) << next.status();
    if (!next.ok() || !next->has_value()) return {};
    return {(*next)->samples().begin(), (*next)->samples().end()};
  }
  StatsSample One(const std::string& container) {
    std::vector<StatsSample> samples = Round(Open(absl::ZeroDuration(), {container}));
    EXPECT_THAT(samples, SizeIs(1));
    return samples.empty() ? StatsSample() : samples[0];
  }
  static int64_t TimeOf(const StatsSample& sample) {
    return TimeUtil::TimestampToNanoseconds(sample.time());
  }
  void OpenWith(const std::function<void(EngineOptions&)>& change) {
    CloseEngine();
    EngineOptions options = Options();
    change(options);
    auto engine = Engine::Open(options);
    ASSERT_TRUE(engine.ok()) << engine.status();
    engine_ = *std::move(engine);
  }
  static size_t Descriptors() {
    auto names = ListDirAt(AT_FDCWD, "/proc/self/fd");
    return names.ok() ? names->size() : 0;
  }
};

TEST_F(StatsTest, StreamsShareSamples) {
  auto container = Run(Spec({"sleep", "1000"}));
  ASSERT_TRUE(container.ok()) << container.status();
  StatsStream first = Open(absl::Seconds(1)), second = Open(absl::Seconds(1), {container->id()});
  std::set<int64_t> times;
  for (int round = 0; round < 3; ++round) {
    for (const StatsStream& stream : {first, second}) {
      std::vector<StatsSample> samples = Round(stream);
      ASSERT_THAT(samples, SizeIs(1));
      times.insert(TimeOf(samples[0]));
    }
  }
  EXPECT_LE(times.size(), 4u) << "six samples were delivered, and half of them need be taken";
}

TEST_F(StatsTest, ASampleIsNeverOlderThanHalfOfItsInterval) {
  auto container = Run(Spec({"sleep", "1000"}));
  ASSERT_TRUE(container.ok()) << container.status();
  int64_t first = TimeOf(One(container->id()));
  EXPECT_GT(TimeOf(One(container->id())), first) << "without an interval it is always a new one";
  StatsStream fast = Open(absl::Milliseconds(100), {container->id()});
  absl::SleepFor(absl::Milliseconds(60));
  std::vector<StatsSample> samples = Round(fast);
  ASSERT_THAT(samples, SizeIs(1));
  EXPECT_GE(absl::FromUnixNanos(TimeOf(samples[0])), absl::FromUnixNanos(first));
}

TEST_F(StatsTest, LaterContainersJoinAndEndedOnesLeave) {
  auto early = Run(Spec({"sleep", "1000"}));
  ASSERT_TRUE(early.ok()) << early.status();
  StatsStream all = Open(absl::Milliseconds(100));
  StatsStream named = Open(absl::Milliseconds(100), {early->id()});
  EXPECT_THAT(Round(all), SizeIs(1));
  auto late = Run(Spec({"sleep", "1000"}));
  ASSERT_TRUE(late.ok()) << late.status();
  EXPECT_TRUE(Eventually([&] { return Round(all).size() == 2; }));
  ASSERT_TRUE(Stop(early->id(), absl::ZeroDuration()).ok());
  EXPECT_TRUE(Eventually([&] {
    std::vector<StatsSample> samples = Round(all);
    return samples.size() == 1 && samples[0].container_id() == late->id();
  }));
  EXPECT_TRUE(Eventually([&] { return Round(named).empty(); })) << "an empty round, not an end";
  ASSERT_TRUE(Start(early->id()).ok());
  EXPECT_TRUE(Eventually([&] { return Round(named).size() == 1; }));
}

TEST_F(StatsTest, RoundsThatASlowClientMissesAreDropped) {
  auto container = Run(Spec({"sleep", "1000"}));
  ASSERT_TRUE(container.ok()) << container.status();
  StatsStream stream = Open(absl::Milliseconds(100));
  ASSERT_THAT(Round(stream), SizeIs(1));
  absl::SleepFor(absl::Seconds(1));
  absl::Time asked = absl::Now();
  std::vector<StatsSample> samples = Round(stream);
  ASSERT_THAT(samples, SizeIs(1));
  // Less than half an interval, and some for a loaded host's clocks.
  EXPECT_GE(absl::FromUnixNanos(TimeOf(samples[0])), asked - absl::Milliseconds(60))
      << "no sample from before was kept for it";
}

TEST_F(StatsTest, WhatIsNotKnownIsAbsent) {
  OpenWith([](EngineOptions& options) { options.pressure = false; });
  node::v1::ContainerSpec spec = Spec({"sleep", "1000"});
  spec.mutable_namespaces()->mutable_network()->set_mode(node::v1::NAMESPACE_MODE_HOST);
  spec.mutable_root()->set_read_only(true);
  auto container = Run(spec);
  ASSERT_TRUE(container.ok()) << container.status();
  node::v1::ContainerStats stats = One(container->id()).stats();
  EXPECT_FALSE(stats.has_pressure());
  EXPECT_THAT(stats.networks(), IsEmpty()) << "they are the host's";
  EXPECT_FALSE(stats.has_writable_layer_bytes());
  EXPECT_FALSE(stats.memory().has_limit_bytes());
  EXPECT_FALSE(stats.cpu().has_limit_cpus());
  EXPECT_TRUE(stats.cpu().has_total_ns());
  EXPECT_TRUE(stats.memory().has_usage_bytes());
  EXPECT_TRUE(stats.memory().has_oom_kills()) << "0 is known here";
}

TEST_F(StatsTest, TheQuotaIsTold) {
  node::v1::ContainerSpec spec = Spec({"sleep", "1000"});
  spec.mutable_limits()->mutable_cpu()->set_quota_us(25'000);
  auto container = Run(spec);
  ASSERT_TRUE(container.ok()) << container.status();
  EXPECT_DOUBLE_EQ(One(container->id()).stats().cpu().limit_cpus(), 0.25);
}

TEST_F(StatsTest, LastSamplesAreOfThePresentRunAndCauseNone) {
  auto container = Run(Spec({"sleep", "1000"}));
  ASSERT_TRUE(container.ok()) << container.status();
  EXPECT_THAT(engine_->LastSamples(), IsEmpty());
  StatsSample sample = One(container->id());
  for (int i = 0; i < 2; ++i) {
    std::vector<LastSample> last = engine_->LastSamples();
    ASSERT_THAT(last, SizeIs(1));
    EXPECT_EQ(last[0].id, container->id());
    EXPECT_EQ(last[0].name, container->name());
    EXPECT_EQ(TimeOf(*last[0].sample), TimeOf(sample));
  }
  ASSERT_TRUE(Stop(container->id(), absl::ZeroDuration()).ok());
  EXPECT_THAT(engine_->LastSamples(), IsEmpty());
  ASSERT_TRUE(Start(container->id()).ok());
  EXPECT_THAT(engine_->LastSamples(), IsEmpty()) << "that sample was of another run";
}

TEST_F(StatsTest, TheBackgroundSamplesWhenNobodyAsks) {
  OpenWith([](EngineOptions& options) { options.sample_interval = absl::Milliseconds(50); });
  ASSERT_TRUE(Run(Spec({"sleep", "1000"})).ok());
  std::set<int64_t> times;
  EXPECT_TRUE(Eventually([&] {
    for (const LastSample& last : engine_->LastSamples()) times.insert(TimeOf(*last.sample));
    return times.size() >= 3;
  }));
}

TEST_F(StatsTest, AContainerTakesAtMostTwentyDescriptors) {
  constexpr size_t kContainers = 5;
  // Makes what there is one of for all.
  ASSERT_TRUE(Run(Spec({"sleep", "1000"})).ok());
  StatsStream stream = Open(absl::Milliseconds(100));
  ASSERT_THAT(Round(stream), SizeIs(1));
  size_t before = Descriptors();
  std::vector<std::string> ids;
  for (size_t i = 0; i < kContainers; ++i) {
    auto container = Run(Spec({"sleep", "1000"}));
    ASSERT_TRUE(container.ok()) << container.status();
    ids.push_back(container->id());
  }
  ASSERT_TRUE(Eventually([&] { return Round(stream).size() == kContainers + 1; }));
  // The supervisor that is kept ready is no container's, and may have been away in between.
  constexpr size_t kSpare = 2;
  EXPECT_LE(Descriptors(), before + kContainers * 20 + kSpare);
  RecordProperty("descriptors_per_container",
                 static_cast<int>((Descriptors() - before) / kContainers));
  for (const std::string& id : ids) ASSERT_TRUE(Stop(id, absl::ZeroDuration()).ok());
  EXPECT_TRUE(Eventually([&] { return Descriptors() <= before + kSpare; }))
      << before << " before, " << Descriptors() << " after: closed with their containers";
}

TEST_F(StatsTest, TheCacheOfTheLogIsNotTheContainers) {
  constexpr uint64_t kLogBytes = 20 << 20;
  auto container = Run(Shell(absl::StrCat("yes 0123456789012345678901234567890 | head -c ",
                                          kLogBytes, "; exec sleep 1000")));
  ASSERT_TRUE(container.ok()) << container.status();
  ASSERT_TRUE(Eventually([&] {
    uint64_t written = 0;
    for (const auto& file : std::filesystem::directory_iterator(container->log_directory())) {
      written += file.file_size();
    }
    return written >= kLogBytes;
  }));
  node::v1::MemoryStats memory = One(container->id()).stats().memory();
  ASSERT_TRUE(memory.has_usage_bytes());
  EXPECT_LT(memory.peak_bytes(), kLogBytes / 2);
  EXPECT_LT(memory.cache_bytes(), kLogBytes / 2);
  auto init = ReadProcessStat(static_cast<pid_t>(container->pid()));
  ASSERT_TRUE(init.ok()) << init.status();
  auto groups = ReadFileAt(AT_FDCWD, absl::StrCat("/proc/", init->parent, "/cgroup"));
  ASSERT_TRUE(groups.ok()) << groups.status();
  EXPECT_FALSE(absl::StrContains(*groups, container->id()))
      << "the supervisor, who writes the log, is in a group of the container's: " << *groups;
}

}  // namespace
}  // namespace noded::test
