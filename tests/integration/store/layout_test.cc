// Other tools read the store in place, and a full disk.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/store/sample.h"

namespace noded::store {
namespace {

using ::testing::IsEmpty;

// Standard output and error together.
struct Ran {
  int status;
  std::string output;
};
Ran Shell(const std::string& command) {
  FILE* pipe = popen((command + " 2>&1").c_str(), "re");
  Ran ran{-1, ""};
  if (pipe == nullptr) return ran;
  char buffer[4096];
  size_t got;
  while ((got = fread(buffer, 1, sizeof(buffer), pipe)) > 0) ran.output.append(buffer, got);
  ran.status = pclose(pipe);
  return ran;
}

TEST(LayoutTest, SkopeoReadsItInPlace) {
  if (Shell("skopeo --version").status != 0) GTEST_SKIP() << "needs skopeo";
  TemporaryDirectory directory;
  auto store = *Store::Open(directory.path() + "/images", [](const std::string&) {});
  const Sample one = MakeSample({"base", "one"}), two = MakeSample({"base", "two"});
  ASSERT_TRUE(Pull(*store, one, "docker.io/library/one:1").ok());
  ASSERT_TRUE(Pull(*store, two, "localhost:5000/team/two:v2").ok());
  for (const auto& [reference, sample] : {std::pair("docker.io/library/one:1", &one),
                                          std::pair("localhost:5000/team/two:v2", &two)}) {
    const std::string source = "oci:" + directory.path() + "/images:" + reference;
    const Ran inspected = Shell("skopeo inspect --raw " + source);
    EXPECT_EQ(inspected.output, sample->bytes.at(sample->manifest.digest));
    const std::string copy = directory.path() + "/" + sample->manifest.digest.hex();
    const Ran copied = Shell("skopeo --insecure-policy copy " + source + " dir:" + copy);
    EXPECT_EQ(copied.status, 0) << copied.output;
    for (const oci::Descriptor& layer : sample->layers) {
      EXPECT_EQ(*ReadFileAt(AT_FDCWD, copy + "/" + layer.digest.hex()),
                sample->bytes.at(layer.digest));
    }
  }
  EXPECT_NE(Shell("skopeo inspect --raw oci:" + directory.path() + "/images:nothing").status, 0);
}

// A small file system, gone with the object.
class SmallDisk {
 public:
  explicit SmallDisk(const std::string& path) : path_(path) {
    mounted_ = mount("tmpfs", path_.c_str(), "tmpfs", 0, "size=256k") == 0;
  }
  ~SmallDisk() {
    if (mounted_) umount2(path_.c_str(), MNT_DETACH);
  }
  bool mounted() const { return mounted_; }
  void Grow() { mount("tmpfs", path_.c_str(), "tmpfs", MS_REMOUNT, "size=4m"); }

 private:
  const std::string path_;
  bool mounted_;
};

TEST(DiskTest, FullDiskIsToldAndLeavesTheStoreAsItWas) {
  TemporaryDirectory directory;
  SmallDisk disk(directory.path());
  if (!disk.mounted()) GTEST_SKIP() << "needs to mount a tmpfs";
  auto store = *Store::Open(directory.path() + "/images", [](const std::string&) {});
  const std::string bytes(1 << 20, 'x');
  const oci::Descriptor layer = DescriptorOf(bytes, oci::kOciLayer);
  int64_t here = 0;
  {
    Ingest ingest = *store->contents().Begin(layer);
    const absl::Status written = ingest.Write(bytes);
    EXPECT_EQ(written.code(), absl::StatusCode::kResourceExhausted);
    EXPECT_EQ(ReasonOf(written), reason::kNoSpace);
    here = ingest.offset();
    EXPECT_GT(here, 0);
  }
  const absl::Status put = store->contents().Put(bytes, layer);
  EXPECT_EQ(ReasonOf(put), reason::kNoSpace) << put;
  const absl::Status set = store->table().Set(MakeSample({"a"}).EntryAs("a"));
  EXPECT_EQ(ReasonOf(set), reason::kNoSpace) << set;
  EXPECT_THAT(store->table().List(), IsEmpty());
  const absl::StatusOr<LayerDraft> draft = store->layers().Begin(layer.digest);
  if (draft.ok()) {
    EXPECT_EQ(ReasonOf(ReplaceFileAt(draft->directory(), "f", bytes)), reason::kNoSpace);
  }
  disk.Grow();
  Ingest ingest = *store->contents().Begin(layer);
  EXPECT_EQ(ingest.offset(), here) << "what had room is not fetched again";
  ASSERT_TRUE(ingest.Write(std::string_view(bytes).substr(static_cast<size_t>(here))).ok());
  EXPECT_TRUE(ingest.Commit().ok());
  EXPECT_THAT(*ListDirAt(AT_FDCWD, directory.path() + "/images/ingest"), IsEmpty());
}

}  // namespace
}  // namespace noded::store
