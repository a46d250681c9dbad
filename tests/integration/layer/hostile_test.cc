// Layers that mean harm, and layers that are none: nothing lands outside, nothing is run, and the
// reason is told with the entry's name.
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <iconv.h>
#include <poll.h>
#include <signal.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "node/base/status.h"
#include "node/base/unique_fd.h"
#include "rootfs/layer/confine.h"
#include "tests/integration/layer/tar_bytes.h"
#include "tests/integration/layer/tree.h"

namespace noded::layer {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr char kModules[] = "usr/lib/x86_64-linux-gnu/gconv";

std::string ReadWhole(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream content;
  content << file.rdbuf();
  return content.str();
}

void ExpectRefused(const absl::Status& status, const std::string& why) {
  EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
  EXPECT_EQ(ReasonOf(status), reason::kLayerRefused) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr(why));
}

absl::Status UnpackStatus(const std::string& bytes,
                          oci::Compression compression = oci::Compression::kNone) {
  TempTree tree;
  UnpackOptions options = InTree(tree);
  options.compression = compression;
  return UnpackBytes(options, bytes).status();
}

TEST(HostileLayerTest, NamesDoNotLeadOutside) {
  TempTree outer;
  std::filesystem::create_directory(outer.At("tree"));
  outer.Write("victim", "untouched");
  const UniqueFd inner(open(outer.At("tree").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  UnpackOptions options = InTree(outer);
  options.tree.directory = inner.get();
  const auto unpacked = UnpackBytes(
      options, TarBytes({{.name = "/absolute", .content = "1"},
                         {.name = "../victim", .content = "2"},
                         {.name = "a/../../../victim2", .content = "3"},
                         Symlink("up", ".."),
                         {.name = "up/victim3", .content = "4"},
                         Symlink("out", outer.path()),
                         {.name = "out/victim4", .content = "5"},
                         HardLink("hard", "../../../victim2"),
                         Symlink("victim5", "../victim"),
                         {.name = "victim5", .content = "6"},
                         Directory("../../dir"),
                         {.name = "proc-link", .type = '2', .target = "/proc/self/root"}}));
  ASSERT_TRUE(unpacked.ok()) << unpacked.status();
  EXPECT_EQ(ReadWhole(outer.At("victim")), "untouched");
  std::vector<std::string> beside;
  for (const auto& entry : std::filesystem::directory_iterator(outer.path())) {
    beside.push_back(entry.path().filename());
  }
  EXPECT_THAT(beside, ::testing::UnorderedElementsAre("tree", "victim"));
  EXPECT_EQ(outer.Content("tree/absolute"), "1");
  EXPECT_EQ(outer.Content("tree/victim"), "2") << "\"..\" ends at the root";
  EXPECT_EQ(outer.Content("tree/victim2"), "3");
  EXPECT_EQ(outer.Content("tree/victim3"), "4");
  EXPECT_EQ(outer.Content(absl::StrCat("tree", outer.path(), "/victim4")), "5");
  EXPECT_EQ(outer.Stat("tree/hard").st_ino, outer.Stat("tree/victim2").st_ino);
  EXPECT_EQ(outer.Content("tree/victim5"), "6");
}

TEST(HostileLayerTest, HardLinksToWhatIsNotInTheLayer) {
  ExpectRefused(UnpackStatus(TarBytes({HardLink("shadow", "/etc/shadow")})), "\"/etc/shadow\"");
  ExpectRefused(UnpackStatus(TarBytes({{.name = ".wh.x"}, HardLink("y", "x")})), "entry \"y\"");
  ExpectRefused(UnpackStatus(TarBytes({Directory("d"), HardLink("e", "d")})), "a directory");
}

#if defined(__x86_64__)
// The layer, whose module takes the place of libc's own conversion.
std::vector<TarFile> GconvLayer() {
  return {{.name = absl::StrCat(kModules, "/gconv-modules"),
           .content = "module UTF-8// ANSI_X3.4-1968// HOSTILE 1\n"
                      "module ANSI_X3.4-1968// UTF-8// HOSTILE 1\n"},
          {.name = absl::StrCat(kModules, "/HOSTILE.so"),
           .content = ReadWhole(HOSTILE_GCONV_PATH),
           .mode = 0755}};
}
const TarFile kForeignName{.name = "x", .pax = {{"path", "h\xc3\xb6me"}, {"linkpath", "\xc3\xa4"}}};

TEST(HostileLayerTest, TheModuleWouldRun) {
  TempTree tree;
  ASSERT_TRUE(UnpackBytes(InTree(tree), TarBytes(GconvLayer())).ok());
  // What libc does in a process that has changed its root and asks for a conversion: this test
  // proves that the next two could fail. By dlsym, because this program's own iconv is replaced.
  const pid_t pid = fork();
  if (pid == 0) {
    auto* open =
        reinterpret_cast<iconv_t (*)(const char*, const char*)>(dlsym(RTLD_DEFAULT, "iconv_open"));
    if (chroot(tree.path().c_str()) == 0 && chdir("/") == 0) open("ANSI_X3.4-1968", "UTF-8");
    _exit(0);
  }
  int status = 0;
  waitpid(pid, &status, 0);
  EXPECT_TRUE(tree.Has("ran-as-code"));
}

TEST(HostileLayerTest, NothingOfItIsLoaded) {
  TempTree tree;
  std::vector<TarFile> layer = GconvLayer();
  layer.push_back(kForeignName);
  const auto unpacked = UnpackBytes(InTree(tree), TarBytes(layer));
  ASSERT_TRUE(unpacked.ok()) << unpacked.status();
  EXPECT_TRUE(tree.Has("h\xc3\xb6me"));
  EXPECT_FALSE(tree.Has("ran-as-code"));
}

TEST(HostileLayerTest, NothingOfItIsEvenOpened) {
  TempTree tree;
  ASSERT_TRUE(UnpackBytes(InTree(tree), TarBytes(GconvLayer())).ok());
  const UniqueFd watch(inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  ASSERT_GE(inotify_add_watch(watch.get(), tree.At(kModules).c_str(), IN_OPEN | IN_ACCESS), 0);
  for (const char* name : {"/gconv-modules", "/HOSTILE.so"}) {
    const std::string path = tree.At(absl::StrCat(kModules, name));
    ASSERT_GE(inotify_add_watch(watch.get(), path.c_str(), IN_OPEN | IN_ACCESS), 0);
  }
  const auto unpacked = UnpackBytes(InTree(tree), TarBytes({kForeignName}));
  ASSERT_TRUE(unpacked.ok()) << unpacked.status();
  char events[4096];
  EXPECT_EQ(read(watch.get(), events, sizeof events), -1) << "something was opened";
  EXPECT_EQ(errno, EAGAIN);
  EXPECT_FALSE(tree.Has("ran-as-code"));
}
#endif

// In a process of its own: the sum of 1 << i of those calls that were not refused.
template <typename... Calls>
int AllowedAfterGivingUp(Calls... calls) {
  const pid_t pid = fork();
  if (pid == 0) {
    if (!GiveUpPrivileges().ok()) _exit(255);
    int allowed = 0, bit = 1;
    ((allowed |= calls() ? bit : 0, bit <<= 1), ...);
    _exit(allowed);
  }
  int status = 0;
  waitpid(pid, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(ConfinementTest, RefusesCodeProcessesSocketsAndMounts) {
  const size_t page = 4096;
  EXPECT_EQ(
      AllowedAfterGivingUp(
          [] { return execl("/bin/true", "true", nullptr) == 0; },
          [] {
            return mmap(nullptr, page, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) !=
                   MAP_FAILED;
          },
          [] {
            return mprotect(reinterpret_cast<void*>(
                                reinterpret_cast<uintptr_t>(&AllowedAfterGivingUp<>) & ~(page - 1)),
                            page, PROT_READ | PROT_EXEC) == 0;
          },
          [] { return socket(AF_UNIX, SOCK_STREAM, 0) >= 0; },
          [] { return mount("none", "/", nullptr, MS_REMOUNT, nullptr) == 0; },
          [] { return fork() >= 0; }, [] { return ptrace(PTRACE_TRACEME, 0, 0, 0) == 0; }),
      0);
}

TEST(ConfinementTest, StillMakesFiles) {
  TempTree tree;
  EXPECT_EQ(AllowedAfterGivingUp(
                [&] { return openat(tree.fd(), "f", O_CREAT | O_WRONLY | O_EXCL, 0600) >= 0; },
                [&] { return mknodat(tree.fd(), "n", S_IFCHR, 0) == 0; },
                [&] { return fchownat(tree.fd(), "f", 7, 7, 0) == 0; }),
            7);
}

std::vector<pid_t> Children() {
  std::vector<pid_t> children;
  std::istringstream pids(ReadWhole("/proc/self/task/" + std::to_string(getpid()) + "/children"));
  for (pid_t pid; pids >> pid;) children.push_back(pid);
  return children;
}

std::string Proc(pid_t pid, const char* name) { return absl::StrCat("/proc/", pid, "/", name); }

TEST(ConfinementTest, TheChildSeesTheTreeAlone) {
  TempTree tree;
  tree.Write("sign", "of the tree");
  const auto unpacking = Unpacking::Start(InTree(tree));
  ASSERT_TRUE(unpacking.ok()) << unpacking.status();
  ASSERT_EQ(Children().size(), 1u);
  const pid_t child = Children()[0];
  const std::string status_file = Proc(child, "status");
  // It waits for the stream when it has given up all.
  while (ReadWhole(status_file).find("Seccomp:\t2") == std::string::npos) usleep(1000);
  EXPECT_THAT(
      ReadWhole(status_file),
      AllOf(HasSubstr("NoNewPrivs:\t1"), HasSubstr("Name:\tnoded-layer"),
            HasSubstr("CapInh:\t0000000000000000"), HasSubstr("CapEff:\t000000008820001f")));
  EXPECT_EQ(ReadWhole(Proc(child, "root/sign")), "of the tree");
  const std::string mounts = ReadWhole(Proc(child, "mountinfo"));
  EXPECT_EQ(std::count(mounts.begin(), mounts.end(), '\n'), 1) << mounts;
  int descriptors = 0;
  for (const auto& fd : std::filesystem::directory_iterator(Proc(child, "fd"))) {
    std::error_code error;
    const std::string target = std::filesystem::read_symlink(fd.path(), error);
    const bool directory = std::filesystem::is_directory(fd.path(), error);
    EXPECT_TRUE(!directory || target == "/") << fd.path() << " -> " << target;
    ++descriptors;
  }
  EXPECT_LT(descriptors, 8);
  EXPECT_TRUE((*unpacking)->Write(TarBytes({})).ok());
  EXPECT_TRUE((*unpacking)->Finish().ok());
}

TEST(NoLayerTest, StreamsThatAreNoTar) {
  ExpectRefused(UnpackStatus(""), "no tar");
  ExpectRefused(UnpackStatus(std::string(5000, 'x')), "no tar");
  ExpectRefused(UnpackStatus("<html>404</html>", oci::Compression::kGzip), "gzip");
  ExpectRefused(UnpackStatus("<html>404</html>", oci::Compression::kZstd), "zstd");
  ExpectRefused(UnpackStatus("", oci::Compression::kGzip), "empty");
  ExpectRefused(UnpackStatus("", oci::Compression::kZstd), "cut short");
}

TEST(NoLayerTest, CutShort) {
  const std::string tar = TarBytes(
      {{.name = "first", .content = "1"}, {.name = "second", .content = std::string(9000, '2')}});
  ExpectRefused(UnpackStatus(tar.substr(0, 1024 + 512 + 4000)), "entry \"second\"");
  ExpectRefused(UnpackStatus(tar.substr(0, 1024 + 100)), "after entry \"first\"");
  const std::string gzip = Gzip(tar);
  ExpectRefused(UnpackStatus(gzip.substr(0, gzip.size() - 20), oci::Compression::kGzip),
                "cut short");
  ExpectRefused(UnpackStatus(gzip.substr(0, gzip.size() - 1), oci::Compression::kGzip),
                "cut short");
  const std::string zstd = Zstd(tar);
  ExpectRefused(UnpackStatus(zstd.substr(0, zstd.size() - 3), oci::Compression::kZstd),
                "cut short");
}

TEST(NoLayerTest, Damaged) {
  std::string tar = TarBytes({{.name = "first", .content = "1"}, {.name = "second"}});
  tar[1024 + 3] ^= 1;
  ExpectRefused(UnpackStatus(tar), "after entry \"first\"");
  std::string gzip = Gzip(TarBytes({{.name = "a", .content = std::string(1000, 'a')}}));
  gzip[gzip.size() - 6] ^= 1;
  ExpectRefused(UnpackStatus(gzip, oci::Compression::kGzip), "checksum");
}

TEST(NoLayerTest, FollowedByOtherBytes) {
  const std::string tar = TarBytes({{.name = "last"}});
  ExpectRefused(UnpackStatus(tar + "more"), "after entry \"last\"");
  ExpectRefused(UnpackStatus(tar + std::string(1 << 20, '\0') + "more"), "other bytes follow");
  ExpectRefused(UnpackStatus(Gzip(tar) + "more", oci::Compression::kGzip), "follow");
  ExpectRefused(UnpackStatus(Zstd(tar) + "more", oci::Compression::kZstd), "zstd");
  EXPECT_TRUE(UnpackStatus(tar + std::string(9216, '\0')).ok()) << "padding to a record of tapes";
}

TEST(NoLayerTest, EntriesThatCannotBe) {
  ExpectRefused(UnpackStatus(TarBytes(
                    {{.name = std::string(300, 'n'), .pax = {{"path", std::string(300, 'n')}}}})),
                "too long");
  ExpectRefused(UnpackStatus(TarBytes({{.name = "d/.wh."}})), "entry \"d/.wh.\"");
  ExpectRefused(UnpackStatus(TarBytes({{.name = ".wh..."}})), "whiteout");
  ExpectRefused(UnpackStatus(TarBytes({{.name = "f"}, {.name = "f/x"}})), "entry \"f/x\"");
  ExpectRefused(UnpackStatus(TarBytes({Symlink("a", "b"), Symlink("b", "a"), {.name = "a/x"}})),
                "links");
  ExpectRefused(UnpackStatus(TarBytes({{.name = "u", .pax = {{"uid", "4294967295"}}}})), "owner");
  std::string deep;
  for (int i = 0; i < 2000; ++i) deep += "d/";
  ExpectRefused(UnpackStatus(TarBytes({{.name = "x", .pax = {{"path", deep + "x"}}}})), "deep");
}

TEST(BombTest, MoreBytesOrEntriesThanConfigured) {
  TempTree tree;
  UnpackOptions options = InTree(tree);
  options.compression = oci::Compression::kGzip;
  options.limits.max_bytes = 1 << 20;
  options.limits.max_entries = 10;
  const std::string bomb =
      Gzip(TarBytes({{.name = "zeros", .content = std::string(64 << 20, '\0')}}));
  const absl::Status large = UnpackBytes(options, bomb).status();
  EXPECT_TRUE(absl::IsResourceExhausted(large)) << large;
  EXPECT_EQ(ReasonOf(large), reason::kLimitReached);
  EXPECT_THAT(std::string(large.message()), HasSubstr("1048576 bytes"));
  EXPECT_LT(tree.Stat("zeros").st_size, 2 << 20);
  std::vector<TarFile> many(8, {.name = "a/b/c"});
  const absl::Status numerous = UnpackBytes(options, Gzip(TarBytes(many))).status();
  EXPECT_TRUE(numerous.ok()) << numerous << ", with its two parents ten";
  many.resize(11, {.name = "one-more"});
  EXPECT_EQ(ReasonOf(UnpackBytes(options, Gzip(TarBytes(many))).status()), reason::kLimitReached);
}

TEST(BombTest, FullDisk) {
  const UniqueFd fs(fsopen("tmpfs", FSOPEN_CLOEXEC));
  ASSERT_EQ(fsconfig(fs.get(), FSCONFIG_SET_STRING, "size", "1m", 0), 0);
  ASSERT_EQ(fsconfig(fs.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0), 0);
  const UniqueFd mount(fsmount(fs.get(), FSMOUNT_CLOEXEC, 0));
  ASSERT_TRUE(mount);
  TempTree tree;
  UnpackOptions options = InTree(tree);
  options.tree.directory = mount.get();
  const absl::Status full =
      UnpackBytes(options, TarBytes({{.name = "big", .content = std::string(4 << 20, 'b')}}))
          .status();
  EXPECT_TRUE(absl::IsResourceExhausted(full)) << full;
  EXPECT_EQ(ReasonOf(full), reason::kNoSpace);
  EXPECT_THAT(std::string(full.message()), HasSubstr("entry \"big\""));
}

TEST(ChildEndTest, ItsReasonIsToldWhileTheStreamIsWritten) {
  TempTree tree;
  const auto unpacking = Unpacking::Start(InTree(tree));
  ASSERT_TRUE(unpacking.ok());
  const std::string garbage(1 << 20, 'x');
  absl::Status status;
  for (int i = 0; i < 100 && status.ok(); ++i) status = (*unpacking)->Write(garbage);
  ExpectRefused(status, "no tar");
  ExpectRefused((*unpacking)->Finish().status(), "no tar");
}

TEST(ChildEndTest, CancelledKilledAndAbandoned) {
  TempTree tree;
  {
    const auto cancelled = Unpacking::Start(InTree(tree));
    ASSERT_TRUE(cancelled.ok());
    (*cancelled)->Cancel();
    EXPECT_TRUE(absl::IsCancelled((*cancelled)->Finish().status()));
  }
  {
    const auto killed = Unpacking::Start(InTree(tree));
    ASSERT_TRUE(killed.ok());
    kill(Children().at(0), SIGKILL);
    const absl::Status status = (*killed)->Finish().status();
    EXPECT_TRUE(absl::IsInternal(status)) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr("signal 9"));
  }
  { ASSERT_TRUE(Unpacking::Start(InTree(tree)).ok()); }
  EXPECT_THAT(Children(), ::testing::IsEmpty()) << "neither running nor a zombie";
}

TEST(ChildEndTest, EndsWithTheOneThatWaitsForIt) {
  TempTree tree;
  int stream[2];
  ASSERT_EQ(pipe2(stream, O_CLOEXEC), 0);
  // A stream that does not end, and a process that starts the child and dies.
  const pid_t pid = fork();
  if (pid == 0) {
    UnpackOptions options = InTree(tree);
    options.stream = stream[0];
    const auto unpacking = Unpacking::Start(options);
    _exit(unpacking.ok() ? 0 : 1);
  }
  int status = 0;
  waitpid(pid, &status, 0);
  ASSERT_EQ(status, 0);
  close(stream[0]);
  // The child's is the last reading end, which it closes when it notices.
  pollfd gone{stream[1], POLLERR, 0};
  EXPECT_EQ(poll(&gone, 1, 60'000), 1);
  close(stream[1]);
}

TEST(ChildEndTest, ProgramThatIsNotThere) {
  TempTree tree;
  UnpackOptions options = InTree(tree);
  options.program = "/no/such/noded";
  EXPECT_THAT(std::string(Unpacking::Start(options).status().message()),
              HasSubstr("/no/such/noded"));
}

}  // namespace
}  // namespace noded::layer
