// What a launch makes, and what is left of one that fails.
#include <fcntl.h>
#include <sched.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <thread>

#include "gtest/gtest.h"
#include "node/base/file.h"
#include "tests/integration/shim/harness.h"

namespace noded::shim {
namespace {

TEST(LaunchTest, HelloWorld) {
  Shim shim;
  Client client = shim.Connect();
  Client::Answer answer =
      client.Launch(shim.Plan({"sh", "-c", "echo hello; echo oops >&2; exit 7"}));
  ASSERT_TRUE(answer.reply.has_launched()) << answer.Text();
  pb::ExitRecord exit = client.WaitExited();
  EXPECT_EQ(exit.code(), 7);
  EXPECT_FALSE(exit.has_signal());
  EXPECT_NE(shim.Log().find("stdout F hello\n"), std::string::npos) << shim.Log();
  EXPECT_NE(shim.Log().find("stderr F oops\n"), std::string::npos) << shim.Log();
  pb::ExitRecord written;
  ASSERT_TRUE(written.ParseFromString(ReadAll(shim.directory() + "/exit")));
  EXPECT_EQ(written.SerializeAsString(), exit.SerializeAsString());
  EXPECT_TRUE(client.WaitClosed());
  EXPECT_TRUE(shim.WaitLeft());
}

}  // namespace
}  // namespace noded::shim
