// A container's life from RunContainer to its removal.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/integration/engine/await.h"
#include "tests/integration/engine/fixture.h"

namespace noded::test {
namespace {

using node::v1::Container;
using ::testing::HasSubstr;

class LifeTest : public EngineTest {};

TEST_F(LifeTest, RunExecLogsStopRemove) {
  auto container =
      Run(Shell("echo hello; trap 'echo bye; exit 3' TERM; while :; do sleep 0.1; done"));
  ASSERT_TRUE(container.ok()) << container.status();
  EXPECT_EQ(container->state(), node::v1::CONTAINER_STATE_RUNNING);
  EXPECT_TRUE(IsAlive(container->pid()));

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

}  // namespace
}  // namespace noded::test
