#include "rootfs/registry/session.h"

#include <gtest/gtest.h>

#include "absl/time/clock.h"

namespace noded::registry {
namespace {

TEST(RetryAfter, SecondsOrDate) {
  const absl::Time now =
      absl::FromCivil(absl::CivilSecond(2024, 5, 6, 7, 8, 0), absl::UTCTimeZone());
  EXPECT_EQ(ParseRetryAfter("120", now), absl::Seconds(120));
  EXPECT_EQ(ParseRetryAfter("Mon, 06 May 2024 07:08:30 GMT", now), absl::Seconds(30));
  EXPECT_EQ(ParseRetryAfter("Mon, 06 May 2024 07:00:00 GMT", now), absl::ZeroDuration());
  for (const char* text : {"", "-5", "soon", "1.5"})
    EXPECT_EQ(ParseRetryAfter(text, now), absl::ZeroDuration()) << text;
  EXPECT_LT(ParseRetryAfter("9223372036854775807", now), absl::InfiniteDuration());
}

class RetriesTest : public testing::Test {
 protected:
  RetriesTest() {
    options_.first_delay = options_.longest_delay = absl::ZeroDuration();
    options_.attempts = 6;
  }
  // How often an end of this kind is tried again.
  int Count(Failure failure, bool last, int status = 0, const std::string& retry_after = "") {
    Retries retries(options_, cancel_, last);
    Exchange exchange{.failure = failure};
    exchange.answer.status = status;
    if (!retry_after.empty()) exchange.answer.headers["retry-after"] = retry_after;
    int count = 0;
    while (retries.Again(exchange) && count < 100) ++count;
    return count;
  }

  ClientOptions options_;
  Cancel cancel_;
};

TEST_F(RetriesTest, EndAfterTheirAttempts) {
  EXPECT_EQ(Count(Failure::kBroken, true), 5);
  EXPECT_EQ(Count(Failure::kUnreachable, true), 2);
  EXPECT_EQ(Count(Failure::kStalled, true), 2);
  EXPECT_EQ(Count(Failure::kFinal, true), 0);
  EXPECT_EQ(Count(Failure::kNoTls, true), 0);
}

TEST_F(RetriesTest, LeaveAHostSoonWhenThereIsAnother) {
  EXPECT_EQ(Count(Failure::kBroken, false), 1);
  EXPECT_EQ(Count(Failure::kUnreachable, false), 0);
  EXPECT_EQ(Count(Failure::kNone, false, 503), 0);
}

TEST_F(RetriesTest, ByTheAnswersStatus) {
  for (int status : {429, 500, 502, 503, 504}) EXPECT_EQ(Count(Failure::kNone, true, status), 5);
  for (int status : {200, 206, 400, 401, 403, 404, 416, 501})
    EXPECT_EQ(Count(Failure::kNone, true, status), 0) << status;
  EXPECT_EQ(Count(Failure::kNone, true, 429, "61"), 0) << "longer than anybody waits";
}

TEST_F(RetriesTest, CountAnewAfterProgress) {
  Retries retries(options_, cancel_, true);
  for (int i = 0; i < 50; ++i) {
    retries.Progress();
    EXPECT_TRUE(retries.Again({.failure = Failure::kBroken}));
  }
}

TEST_F(RetriesTest, AreNotWaitedForWhenCancelled) {
  options_.first_delay = options_.longest_delay = absl::Hours(1);
  cancel_.Set();
  EXPECT_EQ(Count(Failure::kBroken, true), 5);
}

}  // namespace
}  // namespace noded::registry
