#include "cgroup/v1_devices.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "node/base/status.h"
#include "tests/unit/cgroup/device_verdict.h"

namespace noded::cgroup {
namespace {

using ::testing::ElementsAre;

// The controller as security/device_cgroup.c has it.
class Controller {
 public:
  explicit Controller(const std::vector<DeviceWrite>& writes) {
    for (const DeviceWrite& one : writes) Take(one);
  }

  bool Allows(const DeviceRequest& request) const {
    for (const Exception& one : exceptions_) {
      if (one.type != request.type || !Matches(one.major, request.major) ||
          !Matches(one.minor, request.minor)) {
        continue;
      }
      bool all = request.access.find_first_not_of(one.access) == std::string::npos;
      bool some = request.access.find_first_of(one.access) != std::string::npos;
      if (allow_by_default_ ? some : all) return !allow_by_default_;
    }
    return allow_by_default_;
  }

 private:
  struct Exception {
    char type;
    std::string major, minor, access;
  };

  static bool Matches(const std::string& pattern, uint32_t number) {
    return pattern == "*" || pattern == std::to_string(number);
  }

  void Take(const DeviceWrite& write) {
    if (write.line[0] == 'a') {
      allow_by_default_ = write.allow;
      exceptions_.clear();
      return;
    }
    ASSERT_NE(write.allow, allow_by_default_) << "taking exceptions back is what must not happen";
    Exception one;
    std::istringstream words(write.line);
    std::string device;
    words >> one.type >> device >> one.access;
    size_t colon = device.find(':');
    one.major = device.substr(0, colon);
    one.minor = device.substr(colon + 1);
    exceptions_.push_back(one);
  }

  bool allow_by_default_ = true;
  std::vector<Exception> exceptions_;
};

TEST(FoldDeviceRules, UsualContainer) {
  auto writes = FoldDeviceRules({{.allow = false},
                                 {.allow = true, .type = 'c', .access = "m"},
                                 {.allow = true, .type = 'c', .major = 1, .minor = 3},
                                 {.allow = true, .type = 'c', .major = 136}});
  ASSERT_TRUE(writes.ok()) << writes.status();
  EXPECT_THAT(*writes,
              ElementsAre(DeviceWrite{false, "a"}, DeviceWrite{true, "c *:* m"},
                          DeviceWrite{true, "c 1:3 rwm"}, DeviceWrite{true, "c 136:* rwm"}));
}

TEST(FoldDeviceRules, PrivilegedWithOneNodeTakenAway) {
  auto writes =
      FoldDeviceRules({{.allow = true}, {.allow = false, .type = 'b', .major = 8, .access = "w"}});
  ASSERT_TRUE(writes.ok());
  EXPECT_THAT(*writes, ElementsAre(DeviceWrite{true, "a"}, DeviceWrite{false, "b 8:* w"}));
}

TEST(FoldDeviceRules, HoleInAnAllowedRangeIsRefused) {
  // The kernel would ignore the second line and leave the node allowed.
  auto writes = FoldDeviceRules({{.allow = true, .type = 'c', .major = 1},
                                 {.allow = false, .type = 'c', .major = 1, .minor = 1}});
  EXPECT_TRUE(absl::IsInvalidArgument(writes.status()));
  EXPECT_EQ(FieldViolationsOf(writes.status())[0].field, "limits.devices[1]");
}

TEST(FoldDeviceRules, NeverAllowsWhatTheRulesDeny) {
  std::mt19937 random(20240229);
  int folded = 0;
  for (int i = 0; i < 3000; ++i) {
    std::vector<DeviceRule> rules = RandomRules(random);
    auto writes = FoldDeviceRules(rules);
    if (!writes.ok()) continue;
    ++folded;
    Controller controller(*writes);
    for (const DeviceRequest& request : AllRequests()) {
      bool expected = Allowed(rules, request), actual = controller.Allows(request);
      // v1 wants one exception to allow all bits of a request, so several bits may be denied where
      // each alone is allowed; a single bit leaves no such room.
      bool right = request.access.size() == 1 ? actual == expected : !actual || expected;
      ASSERT_TRUE(right) << request.type << " " << request.major << ":" << request.minor << " "
                         << request.access << " under\n"
                         << Draw(rules);
    }
  }
  EXPECT_GT(folded, 1000);
}

DeviceRule Char(uint32_t major, uint32_t minor, const std::string& access = "rwm") {
  return {.type = 'c', .major = major, .minor = minor, .access = access};
}

TEST(DevicesBetween, OnlyTheDifferenceAddedFirst) {
  std::string now = "c 1:3 rwm\nc 1:5 r\n";
  DeviceChange change = DevicesBetween(now, *FoldDeviceRules({Char(1, 5, "rw"), Char(1, 8)}));
  EXPECT_FALSE(change.whole) << "the kernel takes no \"a\" with groups below";
  std::vector<DeviceWrite> wanted = {{true, "c 1:5 w"}, {true, "c 1:8 m"},  {true, "c 1:8 r"},
                                     {true, "c 1:8 w"}, {false, "c 1:3 m"}, {false, "c 1:3 r"},
                                     {false, "c 1:3 w"}};
  EXPECT_EQ(change.writes, wanted);
  for (size_t i = 0; i < wanted.size(); ++i) {
    EXPECT_EQ(change.undo[i].line, wanted[i].line);
    EXPECT_NE(change.undo[i].allow, wanted[i].allow);
  }
}

TEST(DevicesBetween, NothingForTheSame) {
  auto rules = FoldDeviceRules({Char(1, 3), {.type = 'b', .access = "m"}});
  EXPECT_THAT(DevicesBetween("b *:* m\nc 1:3 rwm\n", *rules).writes, testing::IsEmpty());
  EXPECT_THAT(DevicesBetween("a *:* rwm\n", *FoldDeviceRules({DeviceRule{}})).writes,
              testing::IsEmpty());
}

TEST(DevicesBetween, ADefaultThatChangesIsWrittenWhole) {
  DeviceChange closed = DevicesBetween("a *:* rwm\n", *FoldDeviceRules({Char(1, 3)}));
  EXPECT_TRUE(closed.whole);
  EXPECT_EQ(closed.writes, (std::vector<DeviceWrite>{{false, "a"}, {true, "c 1:3 rwm"}}));
  EXPECT_EQ(closed.undo, (std::vector<DeviceWrite>{{true, "a"}}));
  DeviceChange opened = DevicesBetween("c 1:3 rwm\n", *FoldDeviceRules({DeviceRule{}}));
  EXPECT_TRUE(opened.whole);
  EXPECT_EQ(opened.undo, (std::vector<DeviceWrite>{{false, "a"}, {true, "c 1:3 rwm"}}));
}

}  // namespace
}  // namespace noded::cgroup
