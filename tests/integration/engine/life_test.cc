// A container's life from RunContainer to its removal.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <filesystem>
#include <fstream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "node/base/status.h"
#include "tests/integration/engine/await.h"
#include "tests/integration/engine/fixture.h"

namespace noded::test {
namespace {

using node::v1::Container;
using node::v1::ContainerSpec;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// Ends with status 3 when it is told to.
constexpr char kObedient[] =
    "trap 'echo bye; exit 3' TERM; echo hello; while :; do sleep 0.05; done";
constexpr char kStubborn[] = "trap '' TERM; echo hello; while :; do sleep 0.05; done";

class LifeTest : public EngineTest {
 protected:
  void AwaitLog(const std::string& container, const std::string& text) {
    ASSERT_TRUE(Eventually([&] { return absl::StrContains(Log(container), text); }))
        << "the log is: " << Log(container);
  }
};

TEST_F(LifeTest, RunExecLogsStopRemove) {
  auto container = Run(Shell(kObedient));
  ASSERT_TRUE(container.ok()) << container.status();
  EXPECT_EQ(container->state(), node::v1::CONTAINER_STATE_RUNNING);
  EXPECT_TRUE(IsAlive(container->pid()));
  EXPECT_EQ(container->start_count(), 1);
  AwaitLog(container->id(), "hello");

  ExecResult exec = Exec(container->id(), "echo out; echo err >&2; exit 7");
  EXPECT_TRUE(exec.status.ok()) << exec.status;
  EXPECT_EQ(exec.out, "out\n");
  EXPECT_EQ(exec.err, "err\n");
  EXPECT_EQ(exec.code, 7);

  auto stopped = Stop(container->id());
  ASSERT_TRUE(stopped.ok()) << stopped.status();
  EXPECT_EQ(stopped->state(), node::v1::CONTAINER_STATE_EXITED);
  EXPECT_EQ(stopped->exit_status().code(), 3);
  EXPECT_EQ(stopped->exit_reason(), node::v1::EXIT_REASON_STOPPED);
  EXPECT_EQ(Log(container->id()), "hello\nbye\n");

  EXPECT_TRUE(Remove(container->id()).ok());
  EXPECT_TRUE(absl::IsNotFound(Get(container->id()).status()));
}

TEST_F(LifeTest, ExitStatusesAreTheTrueOnes) {
  auto code = Run(Shell("exit 42"));
  ASSERT_TRUE(code.ok()) << code.status();
  auto waited = Wait(code->id());
  ASSERT_TRUE(waited.ok()) << waited.status();
  EXPECT_EQ(waited->status().code(), 42);
  EXPECT_EQ(waited->reason(), node::v1::EXIT_REASON_COMPLETED);
  EXPECT_TRUE(waited->has_finish_time());

  ContainerSpec spec = Shell("kill -SEGV $$; sleep 9");
  spec.set_init(true);  // PID 1 would not die of its own signal
  auto signalled = Run(spec);
  ASSERT_TRUE(signalled.ok()) << signalled.status();
  waited = Wait(signalled->id());
  ASSERT_TRUE(waited.ok()) << waited.status();
  EXPECT_EQ(waited->status().signal(), SIGSEGV);
  EXPECT_EQ(waited->reason(), node::v1::EXIT_REASON_SIGNALED);
}

// The process may be gone before its start is answered; watchers see both, in their order.
TEST_F(LifeTest, AnExitBeforeTheStartWasAcknowledgedIsNormal) {
  auto watch = engine_->Watch(node::v1::WatchRequest());
  ASSERT_TRUE(watch.ok());
  for (int i = 0; i < 20; ++i) {
    auto container = Run(Spec({"true"}));
    ASSERT_TRUE(container.ok()) << container.status();
    auto waited = Wait(container->id());
    ASSERT_TRUE(waited.ok()) << waited.status();
    EXPECT_EQ(waited->status().code(), 0);
    ASSERT_TRUE(Remove(container->id()).ok());
    std::vector<node::v1::ContainerEventType> seen;
    while (seen.empty() || seen.back() != node::v1::CONTAINER_EVENT_TYPE_REMOVED) {
      auto next = Next(**watch);
      ASSERT_TRUE(next.ok() && next->has_value()) << next.status();
      for (const node::v1::ContainerEvent& event : (*next)->events()) {
        if (event.type() != node::v1::CONTAINER_EVENT_TYPE_UPDATED) seen.push_back(event.type());
      }
    }
    ASSERT_THAT(
        seen,
        ElementsAre(node::v1::CONTAINER_EVENT_TYPE_CREATED, node::v1::CONTAINER_EVENT_TYPE_STARTED,
                    node::v1::CONTAINER_EVENT_TYPE_EXITED, node::v1::CONTAINER_EVENT_TYPE_REMOVED));
  }
  (*watch)->Cancel();
}

TEST_F(LifeTest, CreateStartExitAndStartAgain) {
  auto created = Create(Shell("echo run >>/tmp/runs; cat /tmp/runs"));
  ASSERT_TRUE(created.ok()) << created.status();
  EXPECT_EQ(created->state(), node::v1::CONTAINER_STATE_CREATED);
  EXPECT_EQ(created->pid(), 0);
  for (int run = 1; run <= 3; ++run) {
    auto started = Start(created->id());
    ASSERT_TRUE(started.ok()) << started.status();
    EXPECT_EQ(started->start_count(), run);
    ASSERT_TRUE(Wait(created->id()).ok());
  }
  // The writable layer stays from run to run.
  EXPECT_EQ(Log(created->id()), "run\nrun\nrun\nrun\nrun\nrun\n");
}

TEST_F(LifeTest, StartOfARunningOneIsRefusedAndHarmless) {
  auto container = Run(Shell(kObedient));
  ASSERT_TRUE(container.ok()) << container.status();
  absl::Status again = Start(container->id()).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(again)) << again;
  EXPECT_EQ(ReasonOf(again), reason::kWrongState);
  EXPECT_TRUE(IsAlive(container->pid()));
  EXPECT_EQ(Exec(container->id(), "echo still here").out, "still here\n");
  EXPECT_EQ(Stop(container->id())->exit_status().code(), 3);
}

TEST_F(LifeTest, StopKillsWhatDoesNotListenAfterItsGrace) {
  auto container = Run(Shell(kStubborn));
  ASSERT_TRUE(container.ok()) << container.status();
  AwaitLog(container->id(), "hello");
  absl::Time before = absl::Now();
  auto stopped = Stop(container->id(), absl::Milliseconds(700));
  ASSERT_TRUE(stopped.ok()) << stopped.status();
  EXPECT_EQ(stopped->exit_status().signal(), SIGKILL);
  EXPECT_EQ(stopped->exit_reason(), node::v1::EXIT_REASON_STOPPED);
  EXPECT_GE(absl::Now() - before, absl::Milliseconds(700));
}

TEST_F(LifeTest, StopIsIdempotentAndSeveralShareTheSignal) {
  auto container = Run(Shell("trap 'echo term' TERM; echo hello; while :; do sleep 0.05; done"));
  ASSERT_TRUE(container.ok()) << container.status();
  AwaitLog(container->id(), "hello");
  node::v1::StopRequest request;
  request.set_container(container->id());
  request.mutable_grace()->set_seconds(30);
  engine_->Stop(request, [](auto) {});
  AwaitLog(container->id(), "term");
  // The second has less patience.
  auto stopped = Stop(container->id(), absl::Milliseconds(300));
  ASSERT_TRUE(stopped.ok()) << stopped.status();
  EXPECT_EQ(stopped->exit_status().signal(), SIGKILL);
  EXPECT_EQ(Log(container->id()), "hello\nterm\n");
  EXPECT_TRUE(Stop(container->id()).ok());
}

TEST_F(LifeTest, KillSendsOneSignalOrEndsTheWhole) {
  auto container = Run(Shell("trap 'echo usr1' USR1; echo hello; while :; do sleep 0.05; done"));
  ASSERT_TRUE(container.ok()) << container.status();
  AwaitLog(container->id(), "hello");
  ASSERT_TRUE(Kill(container->id(), "USR1").ok());
  AwaitLog(container->id(), "usr1");
  EXPECT_TRUE(absl::IsInvalidArgument(Kill(container->id(), "NONSENSE")));
  ASSERT_TRUE(Kill(container->id(), "").ok());
  auto waited = Wait(container->id());
  ASSERT_TRUE(waited.ok()) << waited.status();
  EXPECT_EQ(waited->status().signal(), SIGKILL);
  EXPECT_EQ(waited->reason(), node::v1::EXIT_REASON_STOPPED);
  EXPECT_TRUE(absl::IsFailedPrecondition(Kill(container->id(), "TERM")));
}

TEST_F(LifeTest, OutOfMemoryIsTold) {
  ContainerSpec spec = Shell("x=a; while :; do x=$x$x$x$x; done");
  spec.mutable_limits()->mutable_memory()->set_max_bytes(16 << 20);
  auto container = Run(spec);
  ASSERT_TRUE(container.ok()) << container.status();
  ASSERT_TRUE(Wait(container->id()).ok());
  auto ended = Get(container->id());
  EXPECT_TRUE(ended->oom_killed());
  EXPECT_EQ(ended->exit_reason(), node::v1::EXIT_REASON_OOM_KILLED);
  EXPECT_EQ(ended->exit_status().signal(), SIGKILL);
}

TEST_F(LifeTest, AutoRemoveLeavesNothing) {
  ContainerSpec spec = Shell("exit 5");
  spec.set_auto_remove(true);
  auto container = Run(spec);
  ASSERT_TRUE(container.ok()) << container.status();
  auto waited = Wait(container->id());
  // Either it was in time for the exit, or the container was gone before it asked.
  EXPECT_TRUE(absl::IsNotFound(waited.status()) || waited->status().code() == 5);
  EXPECT_TRUE(Eventually([&] { return absl::IsNotFound(Get(container->id()).status()); }));
  EXPECT_TRUE(Eventually([&] { return Leftovers().empty(); }));
}

TEST_F(LifeTest, AutoRemoveTakesWhatFailedToStartToo) {
  ContainerSpec spec = Spec({"frobnicate"});
  spec.set_auto_remove(true);
  auto created = Create(spec);
  ASSERT_TRUE(created.ok()) << created.status();
  EXPECT_TRUE(absl::IsInvalidArgument(Start(created->id()).status()));
  EXPECT_TRUE(absl::IsNotFound(Get(created->id()).status()));
}

TEST_F(LifeTest, AReadOnlyRootTakesNothing) {
  ContainerSpec spec = Shell("echo x >/file || echo refused; echo y >/scratch/file && echo taken");
  spec.mutable_root()->set_read_only(true);
  node::v1::Mount& mount = *spec.add_mounts();
  mount.set_target("/scratch");  // the root has no such directory
  mount.mutable_tmpfs();
  auto container = Run(spec);
  ASSERT_TRUE(container.ok()) << container.status();
  ASSERT_TRUE(Wait(container->id()).ok());
  EXPECT_THAT(Log(container->id()), HasSubstr("refused\ntaken\n"));
  EXPECT_FALSE(std::filesystem::exists(rootfs_ + "/scratch"));
}

TEST_F(LifeTest, RemoveOfARunningOneNeedsForce) {
  auto container = Run(Shell(kStubborn));
  ASSERT_TRUE(container.ok()) << container.status();
  absl::Status refused = Remove(container->id());
  EXPECT_TRUE(absl::IsFailedPrecondition(refused)) << refused;
  EXPECT_THAT(std::string(refused.message()), HasSubstr("is running; stop it first or use force"));
  EXPECT_TRUE(IsAlive(container->pid()));
  EXPECT_TRUE(Remove(container->id(), /*force=*/true).ok());
  EXPECT_FALSE(IsAlive(container->pid()));
  EXPECT_TRUE(absl::IsNotFound(Remove(container->id(), true)));
}

TEST_F(LifeTest, AMissingBindSourceIsMadeWhenAskedFor) {
  std::string source = scratch_ + "/made/for/it";
  ContainerSpec spec = Shell("echo data >/mnt/file");
  node::v1::Mount& mount = *spec.add_mounts();
  mount.set_target("/mnt");
  mount.mutable_bind()->set_source(source);
  mount.mutable_bind()->set_create_source(true);
  auto container = Run(spec);
  ASSERT_TRUE(container.ok()) << container.status();
  EXPECT_EQ(Wait(container->id())->status().code(), 0);
  EXPECT_TRUE(std::filesystem::exists(source + "/file"));
}

TEST_F(LifeTest, GivenFilesAreThere) {
  ContainerSpec spec = Shell("hostname; cat /etc/hostname; cat /etc/hosts; test -d /proc/1");
  spec.set_hostname("web-1");
  spec.add_extra_hosts("10.0.0.5 db");
  auto container = Run(spec);
  ASSERT_TRUE(container.ok()) << container.status();
  EXPECT_EQ(Wait(container->id())->status().code(), 0);
  std::string log = Log(container->id());
  EXPECT_THAT(log, ::testing::StartsWith("web-1\nweb-1\n127.0.0.1\tlocalhost\n"));
  EXPECT_THAT(log, HasSubstr("10.0.0.5 db\n"));
}

TEST_F(LifeTest, ANetworkOfAnotherContainerIsJoinedWhileThatRuns) {
  ContainerSpec first = Shell(kObedient);
  first.set_name("first");
  auto container = Run(first);
  ASSERT_TRUE(container.ok()) << container.status();
  ContainerSpec spec = Shell("ls -l /proc/self/ns/net");
  spec.mutable_namespaces()->mutable_network()->set_mode(node::v1::NAMESPACE_MODE_CONTAINER);
  spec.mutable_namespaces()->mutable_network()->set_container("first");
  auto second = Run(spec);
  ASSERT_TRUE(second.ok()) << second.status();
  ASSERT_TRUE(Wait(second->id()).ok());
  std::string net =
      std::filesystem::read_symlink(absl::StrCat("/proc/", container->pid(), "/ns/net"));
  EXPECT_THAT(Log(second->id()), HasSubstr(net));
  ASSERT_TRUE(Stop("first").ok());
  absl::Status refused = Run(spec).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(refused)) << refused;
  EXPECT_THAT(std::string(refused.message()), HasSubstr("network namespace of first"));
}

TEST_F(LifeTest, DryRunTellsThePlanAndMakesNothing) {
  node::v1::RunContainerRequest request;
  *request.mutable_spec() = Shell("true");
  request.set_dry_run(true);
  auto response = Await<node::v1::RunContainerResponse>(
      [&](auto done) { engine_->RunContainer(request, done); });
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_THAT(response->launch_plan_json(), HasSubstr("\"steps\""));
  EXPECT_EQ(response->container().id().size(), 64u);
  EXPECT_THAT(Leftovers(), IsEmpty());
  EXPECT_TRUE(absl::IsNotFound(Get(response->container().id()).status()));
}

// ---- bad input: the right code, the right words, and nothing left ----

struct BadSpec {
  const char* name;
  std::function<void(ContainerSpec&)> change;
  absl::StatusCode code;
  const char* words;
};

class BadSpecTest : public EngineTest, public ::testing::WithParamInterface<BadSpec> {};

TEST_P(BadSpecTest, IsRefusedAndNothingIsLeft) {
  ContainerSpec spec = Spec({"sleep", "60"});
  spec.set_name("bad");
  GetParam().change(spec);
  absl::Status refused = Run(spec).status();
  EXPECT_EQ(refused.code(), GetParam().code) << refused;
  EXPECT_THAT(std::string(refused.message()), HasSubstr(GetParam().words));
  EXPECT_TRUE(Eventually([&] { return Leftovers().empty(); }))
      << ::testing::PrintToString(Leftovers());
  EXPECT_EQ(engine_->List(node::v1::ListRequest())->containers_size(), 0);
  // Its name is free.
  ContainerSpec good = Spec({"true"});
  good.set_name("bad");
  EXPECT_TRUE(Run(good).ok());
}

const BadSpec kBadSpecs[] = {
    {"NoArgv", [](ContainerSpec& spec) { spec.mutable_process()->clear_argv(); },
     absl::StatusCode::kInvalidArgument, "spec.process.argv"},
    {"SlashInName", [](ContainerSpec& spec) { spec.set_name("a/b"); },
     absl::StatusCode::kInvalidArgument, "spec.name"},
    {"MissingBinary",
     [](ContainerSpec& spec) { spec.mutable_process()->set_argv(0, "frobnicate"); },
     absl::StatusCode::kInvalidArgument, "start container bad: execute \"frobnicate\""},
    {"NotExecutable",
     [](ContainerSpec& spec) { spec.mutable_process()->set_argv(0, "/etc/passwd"); },
     absl::StatusCode::kInvalidArgument, "permission denied"},
    {"UnknownUser",
     [](ContainerSpec& spec) { spec.mutable_process()->mutable_user()->set_name("mallory"); },
     absl::StatusCode::kInvalidArgument, "mallory"},
    {"MissingRoot",
     [](ContainerSpec& spec) { spec.mutable_root()->set_host_directory("/no/such/root"); },
     absl::StatusCode::kInvalidArgument, "spec.root.host_directory"},
    {"RootIsAFile",
     [](ContainerSpec& spec) { spec.mutable_root()->set_host_directory("/etc/hostname"); },
     absl::StatusCode::kInvalidArgument, "is not a directory"},
    {"MissingBindSource",
     [](ContainerSpec& spec) {
       spec.add_mounts()->set_target("/mnt");
       spec.mutable_mounts(0)->mutable_bind()->set_source("/no/such/source");
     },
     absl::StatusCode::kInvalidArgument, "spec.mounts[0].bind.source: \"/no/such/source\""},
    {"TargetOutside",
     [](ContainerSpec& spec) {
       spec.add_mounts()->set_target("/../etc");
       spec.mutable_mounts(0)->mutable_tmpfs();
     },
     absl::StatusCode::kInvalidArgument, "spec.mounts[0].target"},
    {"NegativeLimit", [](ContainerSpec& spec) { spec.mutable_limits()->set_pids(-1); },
     absl::StatusCode::kInvalidArgument, "spec.limits.pids"},
    {"NoSuchCgroupParent", [](ContainerSpec& spec) { spec.set_cgroup_parent("/no/such/group"); },
     absl::StatusCode::kInvalidArgument, "spec.cgroup_parent: \"/no/such/group\" must be a cgroup"},
    {"CgroupParentThatClimbs", [](ContainerSpec& spec) { spec.set_cgroup_parent("/noded/../.."); },
     absl::StatusCode::kInvalidArgument, "spec.cgroup_parent"},
    {"NoDevice", [](ContainerSpec& spec) { spec.add_devices()->set_host_path("/etc/hostname"); },
     absl::StatusCode::kInvalidArgument, "spec.devices[0].host_path"},
    {"UnknownNetworkOwner",
     [](ContainerSpec& spec) {
       auto& network = *spec.mutable_namespaces()->mutable_network();
       network.set_mode(node::v1::NAMESPACE_MODE_CONTAINER);
       network.set_container("nobody");
     },
     absl::StatusCode::kNotFound, "nobody"},
};

INSTANTIATE_TEST_SUITE_P(All, BadSpecTest, ::testing::ValuesIn(kBadSpecs),
                         [](const auto& info) { return std::string(info.param.name); });

TEST_F(LifeTest, AFailedStartLeavesTheCreatedContainerExited) {
  auto created = Create(Spec({"frobnicate"}));
  ASSERT_TRUE(created.ok()) << created.status();
  absl::Status failed = Start(created->id()).status();
  EXPECT_TRUE(absl::IsInvalidArgument(failed)) << failed;
  EXPECT_EQ(ReasonOf(failed), reason::kCommandNotFound);
  auto container = Get(created->id());
  ASSERT_TRUE(container.ok());
  EXPECT_EQ(container->state(), node::v1::CONTAINER_STATE_EXITED);
  EXPECT_EQ(container->exit_reason(), node::v1::EXIT_REASON_START_FAILED);
  EXPECT_THAT(container->error(), HasSubstr("frobnicate"));
  EXPECT_TRUE(absl::IsInvalidArgument(Start(created->id()).status())) << "it may be tried again";
}

TEST_F(LifeTest, UnknownContainersAreNotFound) {
  EXPECT_TRUE(absl::IsNotFound(Start("nobody").status()));
  EXPECT_TRUE(absl::IsNotFound(Stop("nobody").status()));
  EXPECT_TRUE(absl::IsNotFound(Kill("nobody", "TERM")));
  EXPECT_TRUE(absl::IsNotFound(Remove("nobody")));
  EXPECT_TRUE(absl::IsNotFound(Wait("nobody").status()));
  EXPECT_TRUE(absl::IsNotFound(Get("nobody").status()));
  EXPECT_TRUE(absl::IsNotFound(Exec("nobody", "true").status));
}

TEST_F(LifeTest, AWaitCanBeGivenUp) {
  auto created = Create(Spec({"true"}));
  ASSERT_TRUE(created.ok()) << created.status();
  node::v1::WaitRequest request;
  request.set_container(created->id());
  std::function<void()> give_up;
  auto waited = Await<node::v1::WaitResponse>([&](auto done) {
    give_up = engine_->Wait(request, done);
    give_up();
  });
  EXPECT_TRUE(absl::IsCancelled(waited.status())) << waited.status();
}

// ---- request_id ----

TEST_F(LifeTest, ARepeatedRequestGetsTheFirstAnswer) {
  ContainerSpec spec = Shell(kObedient);
  auto first = Run(spec, "request-1");
  ASSERT_TRUE(first.ok()) << first.status();
  auto repeat = Run(spec, "request-1");
  ASSERT_TRUE(repeat.ok()) << repeat.status();
  EXPECT_EQ(repeat->id(), first->id());
  absl::Status reused = Run(Shell("true"), "request-1").status();
  EXPECT_TRUE(absl::IsInvalidArgument(reused)) << reused;
  EXPECT_EQ(ReasonOf(reused), reason::kRequestIdReused);
  EXPECT_EQ(ReasonOf(Create(spec, "request-1").status()), reason::kRequestIdReused)
      << "another RPC is another request";
  // Also when it is gone, and after a restart.
  ASSERT_TRUE(Remove(first->id(), true).ok());
  repeat = Run(spec, "request-1");
  ASSERT_TRUE(repeat.ok()) << repeat.status();
  EXPECT_EQ(repeat->id(), first->id());
  ReopenEngine();
  repeat = Run(spec, "request-1");
  ASSERT_TRUE(repeat.ok()) << repeat.status();
  EXPECT_EQ(repeat->id(), first->id());
}

TEST_F(LifeTest, ManyAtOnceMakeOneContainer) {
  ContainerSpec spec = Shell(kObedient);
  spec.set_name("one");
  constexpr int kCallers = 16;
  absl::Mutex mutex;
  std::vector<absl::StatusOr<std::string>> ids;
  node::v1::RunContainerRequest request;
  *request.mutable_spec() = spec;
  request.set_request_id("request-2");
  for (int i = 0; i < kCallers; ++i) {
    engine_->RunContainer(request, [&](absl::StatusOr<node::v1::RunContainerResponse> response) {
      absl::MutexLock lock(&mutex);
      if (response.ok()) {
        EXPECT_EQ(response->container().state(), node::v1::CONTAINER_STATE_RUNNING);
        ids.push_back(response->container().id());
      } else {
        ids.push_back(response.status());
      }
    });
  }
  ASSERT_TRUE(Eventually([&] {
    absl::MutexLock lock(&mutex);
    return ids.size() == kCallers;
  }));
  for (const auto& id : ids) {
    ASSERT_TRUE(id.ok()) << id.status();
    EXPECT_EQ(*id, *ids[0]);
  }
  EXPECT_EQ(engine_->List(node::v1::ListRequest())->containers_size(), 1);
}

TEST_F(LifeTest, ARequestThatFailedMayBeRepeated) {
  ContainerSpec spec = Spec({"sleep", "60"});
  std::string source = scratch_ + "/later";
  spec.add_mounts()->set_target("/mnt");
  spec.mutable_mounts(0)->mutable_bind()->set_source(source);
  EXPECT_TRUE(absl::IsInvalidArgument(Run(spec, "request-3").status()));
  std::filesystem::create_directory(source);
  auto repeat = Run(spec, "request-3");
  EXPECT_TRUE(repeat.ok()) << repeat.status();
}

TEST_F(LifeTest, NamesAreUnique) {
  ContainerSpec spec = Shell(kObedient);
  spec.set_name("web-1");
  ASSERT_TRUE(Run(spec).ok());
  absl::Status taken = Run(spec).status();
  EXPECT_TRUE(absl::IsAlreadyExists(taken)) << taken;
  EXPECT_EQ(ReasonOf(taken), reason::kNameInUse);
}

}  // namespace
}  // namespace noded::test
