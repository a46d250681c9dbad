#include "server/call.h"

#include <memory>
#include <thread>

#include "absl/time/clock.h"
#include "gtest/gtest.h"

namespace noded::server {
namespace {

struct Counted final : Interruptible {
  void Interrupt() override { ++interrupts; }
  int interrupts = 0;
};

TEST(Authorize, LetsInWhoeverIsKnown) {
  EXPECT_TRUE(Authorize({Identity::Kind::kUnix, ""}, "ContainerService/Stop").ok());
  EXPECT_TRUE(Authorize({Identity::Kind::kLoopback, ""}, "ContainerService/Stop").ok());
  EXPECT_TRUE(Authorize({Identity::Kind::kCertificate, "alice"}, "ContainerService/Stop").ok());
  EXPECT_EQ(Authorize({}, "ContainerService/Stop").code(), absl::StatusCode::kUnauthenticated);
}

TEST(Identity, IsOneWordInTheLog) {
  EXPECT_EQ((Identity{Identity::Kind::kUnix, ""}.Text()), "unix");
  EXPECT_EQ((Identity{Identity::Kind::kCertificate, "alice"}.Text()), "cn=alice");
  EXPECT_EQ(Identity().Text(), "unknown");
}

TEST(CallSet, DrainRefusesAndInterrupts) {
  CallSet calls;
  const auto stream = std::make_shared<Counted>();
  const auto forgotten = std::make_shared<Counted>();
  ASSERT_TRUE(calls.Enter().ok());
  calls.RememberLong(stream.get(), stream);
  calls.RememberLong(forgotten.get(), forgotten);
  calls.ForgetLong(forgotten.get());
  EXPECT_EQ(calls.Drain(absl::ZeroDuration()), 1u) << "one has entered and not left";
  EXPECT_EQ(stream->interrupts, 1);
  EXPECT_EQ(forgotten->interrupts, 0);
  EXPECT_EQ(calls.Enter().code(), absl::StatusCode::kUnavailable);
  const auto late = std::make_shared<Counted>();
  calls.RememberLong(late.get(), late);
  EXPECT_EQ(late->interrupts, 1) << "entered before the drain, became long after it";
}

TEST(CallSet, DrainReturnsWhenTheLastHasLeft) {
  CallSet calls;
  ASSERT_TRUE(calls.Enter().ok());
  std::thread leaver([&] {
    absl::SleepFor(absl::Milliseconds(50));
    calls.Leave();
  });
  const absl::Time start = absl::Now();
  EXPECT_EQ(calls.Drain(absl::Seconds(30)), 0u);
  EXPECT_LT(absl::Now() - start, absl::Seconds(10));
  leaver.join();
}

}  // namespace
}  // namespace noded::server
