#include "rootfs/layer/entry_name.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "rootfs/layer/ids.h"
#include "rootfs/layer/refusal.h"

namespace noded::layer {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(PathPartsTest, AreTakenFromTheRoot) {
  EXPECT_THAT(PathParts("etc/passwd"), ElementsAre("etc", "passwd"));
  EXPECT_THAT(PathParts("/etc//./passwd/"), ElementsAre("etc", "passwd"));
  EXPECT_THAT(PathParts("a/../b"), ElementsAre("b"));
  EXPECT_THAT(PathParts("../../b/.."), IsEmpty());
  EXPECT_THAT(PathParts("/../../etc"), ElementsAre("etc"));
  for (const char* root : {"", "/", ".", "./", "..", "//"}) {
    EXPECT_THAT(PathParts(root), IsEmpty()) << root;
  }
  EXPECT_THAT(PathParts("...//.a"), ElementsAre("...", ".a"));
}

TEST(KindOfNameTest, WhiteoutsByTheirPrefix) {
  EXPECT_EQ(KindOfName("passwd"), NameKind::kFile);
  EXPECT_EQ(KindOfName(".whatever"), NameKind::kFile);
  EXPECT_EQ(KindOfName(".wh"), NameKind::kFile);
  EXPECT_EQ(KindOfName(".wh.passwd"), NameKind::kWhiteout);
  EXPECT_EQ(KindOfName(".wh..bashrc"), NameKind::kWhiteout);
  EXPECT_EQ(KindOfName(".wh...."), NameKind::kWhiteout) << "of \"...\"";
  EXPECT_EQ(KindOfName(".wh..wh..opq"), NameKind::kOpaque);
  EXPECT_EQ(KindOfName(".wh..wh.plnk"), NameKind::kIgnored);
  EXPECT_EQ(KindOfName(".wh..wh.aufs"), NameKind::kIgnored);
  EXPECT_EQ(KindOfName(".wh."), NameKind::kInvalid);
  EXPECT_EQ(KindOfName(".wh.."), NameKind::kInvalid);
  EXPECT_EQ(KindOfName(".wh..."), NameKind::kInvalid);
}

TEST(AttributeTest, OverlaysOwnAndLabelsAreReserved) {
  for (const char* name : {"trusted.overlay.opaque", "trusted.overlay.redirect",
                           "user.overlay.opaque", "security.selinux"}) {
    EXPECT_TRUE(IsReservedAttribute(name)) << name;
  }
  for (const char* name : {"security.capability", "user.overlayer", "trusted.mine", "user.x"}) {
    EXPECT_FALSE(IsReservedAttribute(name)) << name;
  }
}

TEST(IdsTest, RangesBothWays) {
  const IdMap map = {{.inside = 0, .outside = 100000, .count = 10},
                     {.inside = 10, .outside = 5, .count = 1}};
  EXPECT_EQ(ToOutside(map, 9), 100009u);
  EXPECT_EQ(ToOutside(map, 10), 5u);
  EXPECT_EQ(ToOutside(map, 11), std::nullopt);
  EXPECT_EQ(ToInside(map, 5), 10u);
  EXPECT_EQ(ToInside(map, 100010), std::nullopt);
  EXPECT_EQ(ToOutside({}, 70000), 70000u);
  EXPECT_EQ(ToOutside({}, -1), std::nullopt);
  EXPECT_EQ(ToOutside({}, 4294967295), std::nullopt) << "\"unchanged\" to chown(2)";
}

TEST(QuotedTest, AnyBytesAreText) {
  EXPECT_EQ(Quoted("a b"), "\"a b\"");
  EXPECT_EQ(Quoted("a\"\xff\n"), "\"a\\\"\\xff\\n\"");
  EXPECT_EQ(Quoted(std::string(300, 'x')), "\"" + std::string(256, 'x') + "…\"");
}

}  // namespace
}  // namespace noded::layer
