// Tars of local files, and files out of tars that want to do harm.
#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <filesystem>

#include "clients/cli/tar_pack.h"
#include "clients/cli/tar_unpack.h"
#include "tests/unit/cli/fake_node.h"

namespace noded::cli {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

struct Entry {
  std::string name;
  mode_t type = AE_IFREG;
  std::string content;  // or where a link leads
  mode_t mode = 0644;
  bool hard_link = false;
};

// A tar as a container may send it, whatever is in it.
std::string TarOf(const std::vector<Entry>& entries) {
  std::string tar(1 << 20, '\0');
  size_t used = 0;
  archive* out = archive_write_new();
  archive_write_set_format_pax_restricted(out);
  archive_write_open_memory(out, tar.data(), tar.size(), &used);
  for (const Entry& one : entries) {
    archive_entry* entry = archive_entry_new();
    archive_entry_copy_pathname(entry, one.name.c_str());
    archive_entry_set_mode(entry, one.type | one.mode);
    archive_entry_set_mtime(entry, 1'000'000, 0);
    if (one.hard_link) {
      archive_entry_copy_hardlink(entry, one.content.c_str());
    } else if (one.type == AE_IFLNK) {
      archive_entry_copy_symlink(entry, one.content.c_str());
    } else if (one.type == AE_IFREG) {
      archive_entry_set_size(entry, static_cast<la_int64_t>(one.content.size()));
    }
    archive_write_header(out, entry);
    if (one.type == AE_IFREG && !one.hard_link) {
      archive_write_data(out, one.content.data(), one.content.size());
    }
    archive_entry_free(entry);
  }
  archive_write_close(out);
  archive_write_free(out);
  tar.resize(used);
  return tar;
}

mode_t ModeOf(const std::string& path) {
  struct stat status = {};
  return lstat(path.c_str(), &status) == 0 ? status.st_mode : 0;
}

// Of its last change.
time_t SecondOf(const std::string& path) {
  struct stat status = {};
  return lstat(path.c_str(), &status) == 0 ? status.st_mtime : 0;
}

class TarTest : public testing::Test {
 protected:
  TarTest() {
    fs::create_directory(scratch_ / "out");
    WriteFile(scratch_ / "outside", "untouched");
  }
  // Unpacks into "out", in pieces of `piece` bytes.
  absl::Status Unpack(const std::string& tar, const UnpackRules& rules = {"src", "dst"},
                      size_t piece = 1000) {
    ScopedFd out(open((scratch_ / "out").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    size_t at = 0;
    auto source = [&]() -> absl::string_view {
      absl::string_view rest = absl::string_view(tar).substr(at, piece);
      at += rest.size();
      return rest;
    };
    return UnpackTar(source, out.get(), rules, &left_out_);
  }
  std::string Pack(const std::string& path, const std::string& name, bool follow = false) {
    std::string tar;
    absl::Status status = PackTar(
        path, name, follow,
        [&](absl::string_view bytes) {
          tar.append(bytes.data(), bytes.size());
          return true;
        },
        &left_out_);
    EXPECT_TRUE(status.ok()) << status;
    return tar;
  }
  std::string Out(const std::string& name) { return scratch_ / ("out/" + name); }

  ScratchDirectory scratch_;
  std::vector<std::string> left_out_;
};

TEST_F(TarTest, FilesTurnOutAsTheyAreInTheTar) {
  const std::string tar = TarOf({{"src/", AE_IFDIR, "", 0550},
                                 {"src/file", AE_IFREG, "text", 04750},
                                 {"src/ünï", AE_IFREG, std::string(5000, 'x')},
                                 {"src/deep/er/file", AE_IFREG, "deep"},
                                 {"src/link", AE_IFLNK, "/etc/passwd", 0777},
                                 {"src/hard", AE_IFREG, "src/file", 0644, true},
                                 {"src/fifo", AE_IFIFO, "", 0600}});
  ASSERT_EQ(Unpack(tar), absl::OkStatus());
  EXPECT_EQ(ContentOfFile(Out("dst/file")), "text");
  EXPECT_EQ(ContentOfFile(Out("dst/ünï")).size(), 5000u);
  EXPECT_EQ(ContentOfFile(Out("dst/deep/er/file")), "deep");
  EXPECT_EQ(fs::read_symlink(Out("dst/link")), "/etc/passwd");
  EXPECT_TRUE(fs::equivalent(Out("dst/hard"), Out("dst/file")));
  EXPECT_EQ(ModeOf(Out("dst")), S_IFDIR | 0550u) << "set when its entries are made";
  EXPECT_EQ(ModeOf(Out("dst/file")), S_IFREG | 0750u) << "no setuid without -a";
  EXPECT_TRUE(S_ISFIFO(ModeOf(Out("dst/fifo"))));
  EXPECT_EQ(SecondOf(Out("dst")), 1'000'000);
  EXPECT_THAT(left_out_, IsEmpty());
}

TEST_F(TarTest, OwnersAndSetuidAreKeptWhenAsked) {
  ASSERT_EQ(Unpack(TarOf({{"src", AE_IFREG, "text", 04755}}), {"src", "dst", geteuid() == 0}),
            absl::OkStatus());
  EXPECT_EQ(ModeOf(Out("dst")), S_IFREG | (geteuid() == 0 ? 04755u : 0755u));
}

TEST_F(TarTest, ContentsGoIntoTheDirectoryItself) {
  ASSERT_EQ(Unpack(TarOf({{"src/", AE_IFDIR, "", 0700}, {"src/a", AE_IFREG, "1"}}), {"src", ""}, 1),
            absl::OkStatus());
  EXPECT_EQ(ContentOfFile(Out("a")), "1");
  ASSERT_EQ(Unpack(TarOf({{"./", AE_IFDIR, "", 0700}, {"./b", AE_IFREG, "2"}}), {"", "all"}),
            absl::OkStatus());
  EXPECT_EQ(ContentOfFile(Out("all/b")), "2");
}

TEST_F(TarTest, NoNameLeadsOut) {
  for (const char* name :
       {"/outside", "src/../../outside", "../outside", "src/..", "other/x", ""}) {
    absl::Status status = Unpack(TarOf({{name, AE_IFREG, "harm"}}));
    EXPECT_FALSE(status.ok()) << name;
  }
  EXPECT_THAT(std::string(Unpack(TarOf({{"src/../../outside", AE_IFREG, "harm"}})).message()),
              HasSubstr("leads out of the destination"));
  EXPECT_EQ(ContentOfFile(scratch_ / "outside"), "untouched");
}

TEST_F(TarTest, NoLinkIsFollowed) {
  for (const std::string& target : {std::string(".."), std::string("../.."), scratch_ / "."}) {
    absl::Status status = Unpack(TarOf({{"src/", AE_IFDIR, "", 0755},
                                        {"src/way", AE_IFLNK, target, 0777},
                                        {"src/way/outside", AE_IFREG, "harm"}}));
    EXPECT_THAT(std::string(status.message()), HasSubstr("leads through \"way\"")) << target;
    EXPECT_FALSE(fs::exists(Out("outside")));
    fs::remove_all(Out("dst"));
  }
  // One that was there before the tar came is none the better.
  fs::create_directory_symlink(scratch_ / ".", Out("dst"));
  EXPECT_FALSE(Unpack(TarOf({{"src/outside", AE_IFREG, "harm"}})).ok());
  EXPECT_FALSE(Unpack(TarOf({{"src/", AE_IFDIR, "", 0700}, {"src/outside"}})).ok());
  EXPECT_EQ(ContentOfFile(scratch_ / "outside"), "untouched");
}

TEST_F(TarTest, AFileIsNeverWrittenThroughALink) {
  ASSERT_EQ(Unpack(TarOf({{"src/f", AE_IFLNK, "../../outside", 0777}, {"src/f", AE_IFREG, "new"}})),
            absl::OkStatus());
  EXPECT_EQ(ContentOfFile(Out("dst/f")), "new");
  EXPECT_EQ(ContentOfFile(scratch_ / "outside"), "untouched");
}

TEST_F(TarTest, NoHardLinkLeadsOut) {
  for (const char* target : {"../outside", "/etc/passwd", "src/../../outside", "src/way/outside"}) {
    absl::Status status = Unpack(TarOf({{"src/way", AE_IFLNK, "../..", 0777},
                                        {"src/hard", AE_IFREG, target, 0644, true},
                                        {"src/hard", AE_IFREG, "harm"}}));
    EXPECT_FALSE(status.ok()) << target;
    EXPECT_FALSE(fs::exists(Out("dst/hard")));
  }
  // One to a symbolic link links that and not what it leads to.
  ASSERT_EQ(Unpack(TarOf({{"src/s", AE_IFLNK, "../../outside", 0777},
                          {"src/h", AE_IFREG, "src/s", 0644, true}})),
            absl::OkStatus());
  EXPECT_TRUE(S_ISLNK(ModeOf(Out("dst/h"))));
}

TEST_F(TarTest, DevicesAreLeftOut) {
  ASSERT_EQ(Unpack(TarOf({{"src/null", AE_IFCHR, "", 0666}, {"src/a", AE_IFREG, "1"}})),
            absl::OkStatus());
  EXPECT_EQ(ModeOf(Out("dst/null")), 0u);
  EXPECT_EQ(ContentOfFile(Out("dst/a")), "1");
  EXPECT_THAT(left_out_, ElementsAre("src/null is a device"));
}

TEST_F(TarTest, FilesAndDirectoriesDoNotTakeEachOthersPlace) {
  fs::create_directories(Out("dst/d/keep"));
  WriteFile(Out("dst/f"), "old");
  EXPECT_THAT(std::string(Unpack(TarOf({{"src/d", AE_IFREG, "1"}})).message()),
              HasSubstr("would replace a directory"));
  EXPECT_THAT(std::string(Unpack(TarOf({{"src/f/", AE_IFDIR, "", 0755}})).message()),
              HasSubstr("would replace what is none"));
  EXPECT_TRUE(fs::exists(Out("dst/d/keep")));
  ASSERT_EQ(Unpack(TarOf({{"src/d/", AE_IFDIR, "", 0700}, {"src/f", AE_IFREG, "new"}})),
            absl::OkStatus());
  EXPECT_EQ(ContentOfFile(Out("dst/f")), "new");
  EXPECT_TRUE(fs::exists(Out("dst/d/keep")));
}

TEST_F(TarTest, WhatIsNoTarIsRefused) {
  EXPECT_FALSE(Unpack("this is no tar, and long enough to see that it is none").ok());
  const std::string whole = TarOf({{"src", AE_IFREG, std::string(5000, 'x')}});
  EXPECT_THAT(std::string(Unpack(whole.substr(0, 2000)).message()), HasSubstr("is damaged"));
  EXPECT_EQ(Unpack(""), absl::OkStatus());
}

TEST_F(TarTest, ATreePackedAndUnpackedIsTheSame) {
  const std::string tree = scratch_ / "tree";
  fs::create_directories(tree + "/sub/" + std::string(200, 'd'));
  WriteFile(tree + "/a", std::string(700'000, 'a'));
  WriteFile(tree + "/empty", "");
  WriteFile(tree + "/n\xff\n", "odd name");
  WriteFile(tree + "/sub/" + std::string(200, 'd') + "/long", "long name");
  fs::create_hard_link(tree + "/a", tree + "/sub/hard");
  fs::create_symlink("nowhere", tree + "/link");
  ASSERT_EQ(mkfifo((tree + "/fifo").c_str(), 0600), 0);
  ASSERT_EQ(chmod((tree + "/a").c_str(), 0640), 0);
  ASSERT_EQ(Unpack(Pack(tree, "src")), absl::OkStatus());
  EXPECT_EQ(ContentOfFile(Out("dst/a")), std::string(700'000, 'a'));
  EXPECT_EQ(ModeOf(Out("dst/a")), S_IFREG | 0640u);
  EXPECT_EQ(ContentOfFile(Out("dst/empty")), "");
  EXPECT_EQ(ContentOfFile(Out("dst/n\xff\n")), "odd name");
  EXPECT_EQ(ContentOfFile(Out("dst/sub/" + std::string(200, 'd') + "/long")), "long name");
  EXPECT_TRUE(fs::equivalent(Out("dst/a"), Out("dst/sub/hard")));
  EXPECT_EQ(fs::read_symlink(Out("dst/link")), "nowhere");
  EXPECT_TRUE(S_ISFIFO(ModeOf(Out("dst/fifo"))));
  EXPECT_EQ(SecondOf(Out("dst/sub")), SecondOf(tree + "/sub"));
}

TEST_F(TarTest, OnlyTheRootsLinkIsFollowed) {
  fs::create_directory(scratch_ / "real");
  fs::create_symlink("x", scratch_ / "real/inner");
  fs::create_directory_symlink("real", scratch_ / "link");
  ASSERT_EQ(Unpack(Pack(scratch_ / "link", "src", true)), absl::OkStatus());
  EXPECT_TRUE(S_ISDIR(ModeOf(Out("dst"))));
  EXPECT_TRUE(S_ISLNK(ModeOf(Out("dst/inner"))));
  ASSERT_EQ(Unpack(Pack(scratch_ / "link", "l"), {"l", "l"}), absl::OkStatus());
  EXPECT_EQ(fs::read_symlink(Out("l")), "real");
}

TEST_F(TarTest, SocketsAreLeftOutAndContentsNeedNoRoot) {
  fs::create_directory(scratch_ / "tree");
  ScopedFd listener(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address = {AF_UNIX, {}};
  (scratch_ / "tree/sock").copy(address.sun_path, sizeof(address.sun_path) - 1);
  ASSERT_EQ(bind(listener.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  WriteFile(scratch_ / "tree/f", "1");
  ASSERT_EQ(Unpack(Pack(scratch_ / "tree", ""), {"", ""}), absl::OkStatus());
  EXPECT_EQ(ContentOfFile(Out("f")), "1");
  EXPECT_THAT(left_out_, ElementsAre(HasSubstr("tree/sock is a socket")));
}

TEST_F(TarTest, PackingEndsWhenNothingMoreIsWanted) {
  WriteFile(scratch_ / "big", std::string(2 << 20, 'x'));
  int pieces = 0;
  EXPECT_EQ(PackTar(
                scratch_ / "big", "big", false,
                [&](absl::string_view) {
                  ++pieces;
                  return false;
                },
                &left_out_),
            absl::OkStatus());
  EXPECT_EQ(pieces, 1);
  EXPECT_THAT(std::string(PackTar("/nowhere", "x", false, nullptr, &left_out_).message()),
              HasSubstr("cannot look at /nowhere"));
}

}  // namespace
}  // namespace noded::cli
