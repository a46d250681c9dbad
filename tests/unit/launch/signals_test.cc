#include <signal.h>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "node/base/status.h"
#include "node/launch/plan.h"

namespace noded::launch {
namespace {

using testing::HasSubstr;

TEST(ParseSignal, NamesAndNumbers) {
  const std::pair<const char*, int> signals[] = {
      {"SIGTERM", 15}, {"TERM", 15},      {"15", 15},          {"term", 15},       {"SigKill", 9},
      {"HUP", 1},      {"USR1", SIGUSR1}, {"WINCH", SIGWINCH}, {"POLL", SIGPOLL},  {"IO", SIGIO},
      {"CHLD", 17},    {"SYS", 31},       {"STKFLT", 16},      {"PWR", SIGPWR},    {"1", 1},
      {"64", 64},      {"33", 33},        {"RTMIN", 34},       {"SIGRTMIN+3", 37}, {"RTMAX-1", 63},
      {"RTMAX", 64},   {"IOT", SIGABRT},  {"015", 15}};
  for (const auto& [text, number] : signals) {
    absl::StatusOr<int> signal = ParseSignal(text, "f");
    ASSERT_TRUE(signal.ok()) << text << ": " << signal.status();
    EXPECT_EQ(*signal, number) << text;
  }
}

TEST(ParseSignal, RefusesTheRestAndNamesTheField) {
  for (const char* text : {"", "SIG", "NOPE", "0", "65", "-1", "99999999999", "1.5", " TERM",
                           "TERM ", "RTMIN-1", "RTMIN+31", "RTMAX+1", "RTMAX-31", "RTMIN+",
                           "RTMIN+x", "RTMIN++1", "SIGSIGTERM", "RTMIN+0000000001"}) {
    absl::Status status = ParseSignal(text, "spec.stop_signal").status();
    ASSERT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << text;
    ASSERT_EQ(FieldViolationsOf(status).size(), 1u);
    EXPECT_EQ(FieldViolationsOf(status)[0].field, "spec.stop_signal");
  }
  EXPECT_THAT(std::string(ParseSignal("NOPE", "f").status().message()),
              HasSubstr("unknown signal \"NOPE\""));
}

}  // namespace
}  // namespace noded::launch
