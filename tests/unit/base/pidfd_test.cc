#include "node/base/pidfd.h"

#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <csignal>

#include "absl/time/clock.h"
#include "node/base/syscalls.h"

namespace noded {
namespace {

// A child that runs `body`; its pidfd alone is used from then on.
template <typename Body>
Pidfd Spawn(Body body, int exit_signal = SIGCHLD) {
  int fd = -1;
  clone_args args{};
  args.flags = CLONE_PIDFD;
  args.pidfd = reinterpret_cast<uint64_t>(&fd);
  args.exit_signal = static_cast<uint64_t>(exit_signal);
  pid_t pid = Clone3(&args);
  if (pid == 0) {
    body();
    _exit(0);
  }
  EXPECT_GT(pid, 0);
  return Pidfd(UniqueFd(fd));
}

std::optional<ExitStatus> WaitFor(const Pidfd& child) {
  for (int i = 0; i < 5000; ++i) {
    auto status = child.TryWait();
    EXPECT_TRUE(status.ok()) << status.status();
    if (!status.ok() || status->has_value()) return *status;
    absl::SleepFor(absl::Milliseconds(1));
  }
  return std::nullopt;
}

void SleepForever() {
  while (true) pause();
}

TEST(Pidfd, ExitCodeIsToldOnce) {
  Pidfd child = Spawn([] { _exit(42); });
  EXPECT_EQ(WaitFor(child), (ExitStatus{.code = 42, .signal = {}}));
  EXPECT_TRUE(absl::IsNotFound(child.TryWait().status())) << "reaped already";
  EXPECT_TRUE(absl::IsNotFound(child.Signal(SIGTERM)));
}

TEST(Pidfd, SignalIsTold) {
  Pidfd child = Spawn(SleepForever);
  EXPECT_FALSE(child.Ended());
  EXPECT_EQ(*child.TryWait(), std::nullopt) << "does not block";
  ASSERT_TRUE(child.Signal(SIGTERM).ok());
  EXPECT_EQ(WaitFor(child), (ExitStatus{.code = {}, .signal = SIGTERM}));
  EXPECT_TRUE(child.Ended());
}

TEST(Pidfd, EndedDoesNotReap) {
  Pidfd child = Spawn([] { _exit(7); });
  for (int i = 0; i < 5000 && !child.Ended(); ++i) absl::SleepFor(absl::Milliseconds(1));
  EXPECT_TRUE(child.Ended());
  EXPECT_TRUE(child.Ended());
  EXPECT_EQ(WaitFor(child), (ExitStatus{.code = 7, .signal = {}}));
}

TEST(Pidfd, ChildWithoutExitSignalIsWaitedForToo) {
  Pidfd child = Spawn([] { _exit(3); }, 0);
  EXPECT_EQ(WaitFor(child), (ExitStatus{.code = 3, .signal = {}}));
}

TEST(Pidfd, StrangersAreNotOurChildren) {
  auto parent = Pidfd::Open(getppid());
  ASSERT_TRUE(parent.ok());
  EXPECT_TRUE(absl::IsNotFound(parent->TryWait().status()));
}

TEST(Pidfd, NoSuchProcess) {
  pid_t pid = fork();
  if (pid == 0) _exit(0);
  waitpid(pid, nullptr, 0);
  EXPECT_TRUE(absl::IsNotFound(Pidfd::Open(pid).status()));
  EXPECT_TRUE(absl::IsNotFound(ProcessStartTicks(pid).status()));
}

TEST(ProcessStartTicks, IsNotMisledByTheCommandName) {
  auto honest = ProcessStartTicks(getpid());
  ASSERT_TRUE(honest.ok());
  EXPECT_GT(*honest, 0u);
  // A payload chooses its name; this one would shift every field.
  char before[16];
  prctl(PR_GET_NAME, before);
  prctl(PR_SET_NAME, "x) S 1 1 (1) 9");
  auto disguised = ProcessStartTicks(getpid());
  prctl(PR_SET_NAME, before);
  EXPECT_EQ(*disguised, *honest);
}

}  // namespace
}  // namespace noded
