#include "clients/cli/mount_flags.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace noded::cli {
namespace {

using testing::HasSubstr;

// The mount as short text, or the error.
template <typename Message>
std::string Show(const absl::StatusOr<Message>& result) {
  return result.ok() ? result->ShortDebugString()
                     : "error: " + std::string(result.status().message());
}

TEST(VolumeTest, Reads) {
  struct Case {
    const char* text;
    const char* mount;
  };
  for (
      const Case& c : {
          Case{"/a:/b", R"(target: "/b" bind { source: "/a" create_source: true })"},
          {"./a:/b", R"(target: "/b" bind { source: "/here/a" create_source: true })"},
          {".:/b", R"(target: "/b" bind { source: "/here" create_source: true })"},
          {"/a:/b:ro", R"(target: "/b" bind { source: "/a" create_source: true } read_only: true)"},
          {"/a:/b:rro",
           R"(target: "/b" bind { source: "/a" create_source: true recursive_read_only: true } read_only: true)"},
          {"/a:/b:rw,rslave",
           R"(target: "/b" bind { source: "/a" create_source: true propagation: MOUNT_PROPAGATION_SLAVE })"},
          {"/a:/b:z,rshared",
           R"(target: "/b" bind { source: "/a" create_source: true propagation: MOUNT_PROPAGATION_SHARED })"},
          {"/b", R"(target: "/b" volume { })"},
          {"data:/b", R"(target: "/b" volume { name: "data" })"},
          {"my.data_2:/b:ro,nocopy,z",
           R"(target: "/b" read_only: true volume { name: "my.data_2" no_copy: true })"},
          {"data:/b:rslave",
           R"(target: "/b" volume { name: "data" propagation: MOUNT_PROPAGATION_SLAVE })"},
      }) {
    EXPECT_EQ(Show(ParseVolume(c.text, "/here")), c.mount) << c.text;
  }
}

TEST(VolumeTest, RefusesAndSaysTheForm) {
  EXPECT_THAT(Show(ParseVolume("a", "/")), HasSubstr("[SOURCE:]TARGET"));
  EXPECT_THAT(Show(ParseVolume("/a:/b:ro:rw", "/")), HasSubstr("[SOURCE:]TARGET"));
  EXPECT_THAT(Show(ParseVolume("/a:/b:rx", "/")), HasSubstr("no option \"rx\""));
  EXPECT_THAT(Show(ParseVolume("a/b:/b", "/")), HasSubstr("neither a volume's name nor a path"));
  EXPECT_THAT(Show(ParseVolume("_a:/b", "/")), HasSubstr("neither a volume's name nor a path"));
  EXPECT_THAT(Show(ParseVolume("/a:/b:nocopy", "/")), HasSubstr("no option \"nocopy\""));
  EXPECT_THAT(Show(ParseVolume("data:/b:rro", "/")), HasSubstr("no option \"rro\""));
  EXPECT_THAT(Show(ParseVolume(":/b", "/")), HasSubstr("a source and a target are needed"));
}

TEST(MountTest, Reads) {
  EXPECT_EQ(Show(ParseMount("type=bind,source=/a,target=/b,readonly", "/")),
            R"(target: "/b" bind { source: "/a" } read_only: true)");
  EXPECT_EQ(Show(ParseMount("target=/b,src=./a,bind-nonrecursive,type=bind,ro=false", "/x")),
            R"(target: "/b" bind { source: "/x/a" non_recursive: true })");
  EXPECT_EQ(Show(ParseMount("type=tmpfs,dst=/t,tmpfs-size=1m,tmpfs-mode=0700", "/")),
            R"(target: "/t" tmpfs { size_bytes: 1048576 mode: 448 })");
  EXPECT_EQ(
      Show(ParseMount("type=bind,src=/a,dst=/b,bind-propagation=rslave,bind-recursive=readonly",
                      "/")),
      R"(target: "/b" bind { source: "/a" recursive_read_only: true propagation: MOUNT_PROPAGATION_SLAVE })");
}

TEST(MountTest, ReadsVolumesAndImages) {
  EXPECT_EQ(Show(ParseMount("source=data,target=/b", "/")),
            R"(target: "/b" volume { name: "data" })");
  EXPECT_EQ(Show(ParseMount("type=volume,dst=/b,readonly,volume-nocopy", "/")),
            R"(target: "/b" read_only: true volume { no_copy: true })");
  EXPECT_EQ(Show(ParseMount("type=image,src=busybox:1,dst=/b", "/")),
            R"(target: "/b" image { image: "busybox:1" })");
}

TEST(MountTest, Refuses) {
  EXPECT_THAT(Show(ParseMount("type=bind,target=/b", "/")), HasSubstr("source is needed"));
  EXPECT_THAT(Show(ParseMount("type=bind,source=/b", "/")), HasSubstr("target is needed"));
  EXPECT_THAT(Show(ParseMount("type=image,target=/b", "/")), HasSubstr("source is needed"));
  EXPECT_THAT(Show(ParseMount("type=tmpfs,source=/a,target=/b", "/")), HasSubstr("no source"));
  EXPECT_THAT(Show(ParseMount("type=cluster,source=v,target=/b", "/")),
              HasSubstr("no type \"cluster\""));
  EXPECT_THAT(Show(ParseMount("type=bind,source=/a,target=/b,ro=perhaps", "/")),
              HasSubstr("true or false"));
  EXPECT_THAT(Show(ParseMount("type=bind,colour=red", "/")), HasSubstr("\"colour\": no such key"));
}

TEST(TmpfsTest, Reads) {
  EXPECT_EQ(Show(ParseTmpfs("/t")), R"(target: "/t" tmpfs { })");
  EXPECT_EQ(Show(ParseTmpfs("/t:size=64m,mode=1777,exec,ro,nosuid")),
            R"(target: "/t" tmpfs { size_bytes: 67108864 mode: 1023 exec: true } read_only: true)");
  EXPECT_THAT(Show(ParseTmpfs("/t:mode=9")), HasSubstr("not an octal mode"));
  EXPECT_THAT(Show(ParseTmpfs("/t:siz=1")), HasSubstr("size=64m"));
  EXPECT_THAT(Show(ParseTmpfs("")), HasSubstr("a target is needed"));
}

TEST(DeviceTest, Reads) {
  EXPECT_EQ(Show(ParseDevice("/dev/fuse")), R"(host_path: "/dev/fuse")");
  EXPECT_EQ(Show(ParseDevice("/dev/fuse:rw")), R"(host_path: "/dev/fuse" permissions: "rw")");
  EXPECT_EQ(Show(ParseDevice("/dev/sda:/dev/disk:r")),
            R"(host_path: "/dev/sda" container_path: "/dev/disk" permissions: "r")");
  EXPECT_THAT(Show(ParseDevice("fuse")), HasSubstr("HOST[:CONTAINER][:rwm]"));
  EXPECT_THAT(Show(ParseDevice("/dev/fuse:rx")), HasSubstr("not a device"));
}

}  // namespace
}  // namespace noded::cli
