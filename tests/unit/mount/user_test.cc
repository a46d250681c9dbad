#include "rootfs/mount/user.h"

#include <cerrno>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace noded::mount {
namespace {

using ::testing::ElementsAre;

constexpr char kPasswd[] =
    "root:x:0:0:root:/root:/bin/sh\n"
    "daemon:x:1:1\n"
    "app:x:1000:1001:An App:/home/app:/bin/sh\n"
    "app:x:2000:2000::/second:/bin/sh\n"
    "7:x:500:500::/seven:\n";
constexpr char kGroup[] =
    "root:x:0:\n"
    "app:x:1001:\n"
    "audio:x:29:app,daemon\n"
    "video:x:44:daemon,app\n"
    "appendix:x:45:application\n";

struct Case {
  const char* name;
  uint32_t uid;
  uint32_t gid;
  std::vector<uint32_t> groups;
  const char* home;
};

User Resolve(const ::node::shim::v1::UserPlan& plan) {
  User user;
  Result result = ResolveUser(plan, kPasswd, kGroup, &user);
  EXPECT_TRUE(result.ok()) << result.object << " " << result.detail;
  return user;
}

Result Refusal(const std::string& name, std::string_view passwd = kPasswd,
               std::string_view group = kGroup) {
  ::node::shim::v1::UserPlan plan;
  plan.set_name(name);
  User user;
  return ResolveUser(plan, passwd, group, &user);
}

TEST(UserTest, NamesAndNumbers) {
  const Case kCases[] = {
      {"root", 0, 0, {0}, "/root"},
      {"app", 1000, 1001, {29, 44, 1001}, "/home/app"},
      {"1000", 1000, 1001, {29, 44, 1001}, "/home/app"},
      // An entry without a home, but with memberships.
      {"daemon", 1, 1, {1, 29, 44}, "/"},
      // A number is an id and not a name.
      {"7", 7, 0, {0}, "/"},
      {"4711", 4711, 0, {0}, "/"},
      // With a group, that alone.
      {"app:audio", 1000, 29, {29}, "/home/app"},
      {"app:4000", 1000, 4000, {4000}, "/home/app"},
      {"4711:4000", 4711, 4000, {4000}, "/"},
      {":audio", 0, 29, {29}, "/root"},
      {"4294967294", 4294967294, 0, {0}, "/"},
  };
  for (const Case& expected : kCases) {
    SCOPED_TRACE(expected.name);
    ::node::shim::v1::UserPlan plan;
    plan.set_name(expected.name);
    User user = Resolve(plan);
    EXPECT_EQ(user.uid, expected.uid);
    EXPECT_EQ(user.gid, expected.gid);
    EXPECT_EQ(user.groups, expected.groups);
    EXPECT_EQ(user.home, expected.home);
  }
}

TEST(UserTest, IdsWithoutAName) {
  ::node::shim::v1::UserPlan plan;
  plan.set_uid(1000);
  EXPECT_EQ(Resolve(plan).gid, 1001u);
  EXPECT_THAT(Resolve(plan).groups, ElementsAre(29, 44, 1001));
  plan.set_gid(5);
  EXPECT_EQ(Resolve(plan).gid, 5u);
  EXPECT_THAT(Resolve(plan).groups, ElementsAre(5));
  EXPECT_EQ(Resolve(plan).home, "/home/app");
}

TEST(UserTest, AdditionalGroups) {
  ::node::shim::v1::UserPlan plan;
  plan.set_name("4711:4000");
  plan.add_additional_groups("video");
  plan.add_additional_groups("99");
  plan.add_additional_groups("44");
  EXPECT_THAT(Resolve(plan).groups, ElementsAre(44, 99, 4000));
  plan.add_additional_groups("nobodies");
  User user;
  Result result = ResolveUser(plan, kPasswd, kGroup, &user);
  EXPECT_FALSE(result.ok());
  EXPECT_EQ(result.object, "nobodies");
  EXPECT_EQ(result.detail, "in /etc/group");
}

TEST(UserTest, WhatIsNotThereIsRefusedByItsName) {
  EXPECT_EQ(Refusal("nobody").object, "nobody");
  EXPECT_EQ(Refusal("nobody").detail, "in /etc/passwd");
  EXPECT_EQ(Refusal("app:nogroup").object, "nogroup");
  EXPECT_EQ(Refusal("app", "", "").object, "app");
  EXPECT_TRUE(Refusal("1000", "", "").ok());
}

TEST(UserTest, TheIdThatMeansUnchangedIsNeverGiven) {
  EXPECT_EQ(Refusal("4294967295").error, ERANGE);
  EXPECT_EQ(Refusal("99999999999999999999").error, ERANGE);
  EXPECT_EQ(Refusal("0:4294967295").error, ERANGE);
  // An entry with it is none.
  EXPECT_FALSE(Refusal("evil", "evil:x:4294967295:0::/:\n").ok());
  ::node::shim::v1::UserPlan plan;
  plan.set_uid(UINT32_MAX);
  User user;
  EXPECT_FALSE(ResolveUser(plan, "", "", &user).ok());
}

TEST(UserTest, GarbageIsPassedOver) {
  const std::string passwd =
      std::string("\n:::::\nno colon\nx:y:-1:0:::\nx:y: 1:0:::\nx:y:0x1:0:::\n") +
      std::string("\0\xff:x:1:1\n", 9) + "good:x:12:13:::";
  ::node::shim::v1::UserPlan plan;
  plan.set_name("good");
  User user;
  ASSERT_TRUE(ResolveUser(plan, passwd, "::\n,,,\ngood:x:77:,,good,", &user).ok());
  EXPECT_EQ(user.uid, 12u);
  EXPECT_EQ(user.gid, 13u);
  EXPECT_THAT(user.groups, ElementsAre(13, 77));
  plan.set_name("x");
  EXPECT_FALSE(ResolveUser(plan, passwd, "", &user).ok());
}

}  // namespace
}  // namespace noded::mount
