// Command lines of images, files and volumes to what they ask for, without a server.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_split.h"
#include "clients/cli/arguments.h"
#include "clients/cli/exit_code.h"
#include "tests/unit/cli/fake_node.h"

namespace noded::cli {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Host TestHost() { return FakeHost({{"HOME", "/root"}}); }

// Words are split at blanks; "~" within a word is a blank.
std::vector<std::string> Words(const std::string& line) {
  std::vector<std::string> words = absl::StrSplit(line, ' ', absl::SkipEmpty());
  for (std::string& word : words) std::replace(word.begin(), word.end(), '~', ' ');
  return words;
}

template <typename Options>
Options Parse(const std::string& line, const Host& host = TestHost()) {
  auto parsed = ParseArguments(Words(line), host);
  if (auto* error = std::get_if<UsageError>(&parsed)) {
    ADD_FAILURE() << line << ": " << error->message;
    return {};
  }
  auto* options = std::get_if<Options>(&std::get<Command>(parsed));
  if (options == nullptr) ADD_FAILURE() << line << " is another command";
  return options == nullptr ? Options() : *options;
}

std::string Misuse(const std::string& line) {
  auto parsed = ParseArguments(Words(line), TestHost());
  auto* error = std::get_if<UsageError>(&parsed);
  return error == nullptr ? "" : error->message;
}

std::string SpecOf(const std::string& line) {
  return Parse<RunOptions>(line).request.spec().ShortDebugString();
}

TEST(RunImageTest, TheFirstWordIsTheImage) {
  EXPECT_EQ(SpecOf("run busybox"), R"(root { image: "busybox" } process { })");
  EXPECT_EQ(SpecOf("create --read-only host:5000/app:1 sh -c x"),
            R"(root { image: "host:5000/app:1" read_only: true } )"
            R"(process { argv: "sh" argv: "-c" argv: "x" })");
  EXPECT_EQ(SpecOf("run --entrypoint /bin/sh busybox -x"),
            R"(root { image: "busybox" } process { argv: "-x" entrypoint: "/bin/sh" })");
  EXPECT_EQ(SpecOf("run --entrypoint= busybox ls"),
            R"(root { image: "busybox" } process { argv: "ls" no_entrypoint: true })");
  EXPECT_EQ(SpecOf("run --storage-opt size=1g busybox"),
            R"(root { image: "busybox" writable_limit_bytes: 1073741824 } process { })");
}

TEST(RunImageTest, PullingIsSaidByFlags) {
  EXPECT_EQ(Parse<RunOptions>("run busybox").pull, PullPolicy::kMissing);
  EXPECT_EQ(Parse<RunOptions>("run --pull always busybox").pull, PullPolicy::kAlways);
  EXPECT_EQ(Parse<RunOptions>("create --pull=never busybox").pull, PullPolicy::kNever);
  EXPECT_EQ(Parse<RunOptions>("run --platform linux/arm64 busybox").platform, "linux/arm64");
}

TEST(RegistryFilesTest, AreWhereTheEnvironmentSays) {
  auto files = [](std::map<std::string, std::string> environment) {
    RegistryFiles result = Parse<PullOptions>("pull x", FakeHost(environment)).registry_files;
    return result.own + " " + result.docker;
  };
  EXPECT_EQ(files({{"HOME", "/h"}}), "/h/.config/nodectl/config.json /h/.docker/config.json");
  EXPECT_EQ(files({{"HOME", "/h"}, {"XDG_CONFIG_HOME", "/x"}, {"DOCKER_CONFIG", "/d"}}),
            "/x/nodectl/config.json /d/config.json");
  EXPECT_EQ(files({{"HOME", "/h"}, {"NODECTL_CONFIG", "/c.json"}}), "/c.json ");
  EXPECT_EQ(files({}), " ");
}

TEST(TransferArgumentsTest, Read) {
  PullOptions pull = Parse<PullOptions>("pull -q --platform linux/arm64 busybox");
  EXPECT_TRUE(pull.quiet);
  EXPECT_EQ(pull.request.ShortDebugString(), R"(image: "busybox" platform: "linux/arm64")");
  EXPECT_EQ(Parse<PushOptions>("push host:5000/app").request.image(), "host:5000/app");
  LoginOptions login = Parse<LoginOptions>("login -u me --password-stdin https://host:5000/v2/");
  EXPECT_EQ(login.registry, "host:5000");
  EXPECT_EQ(login.username, "me");
  EXPECT_TRUE(login.password_stdin);
  EXPECT_EQ(Parse<LoginOptions>("login -u me -p secret").registry, "docker.io");
  EXPECT_EQ(Parse<LogoutOptions>("logout index.docker.io").registry, "docker.io");
  EXPECT_THAT(Misuse("pull"), HasSubstr("exactly one image"));
  EXPECT_THAT(Misuse("push a b"), HasSubstr("exactly one image"));
  EXPECT_THAT(Misuse("login -u a -p b --password-stdin x"), HasSubstr("exclude each other"));
  EXPECT_THAT(Misuse("login --password-stdin x"), HasSubstr("needs --username"));
  EXPECT_THAT(Misuse("login a!b"), HasSubstr("is no registry"));
}

TEST(ImageArgumentsTest, List) {
  ImageListOptions options = Parse<ImageListOptions>(
      "images -a --digests --no-trunc --filter label=a=b --filter label=c --filter dangling=true");
  EXPECT_EQ(options.request.labels().at("a"), "b");
  EXPECT_EQ(options.request.labels().at("c"), "");
  EXPECT_TRUE(options.digests && options.full && options.dangling.value_or(false));
  EXPECT_EQ(Parse<ImageListOptions>("image ls -q busybox*").request.reference(), "busybox*");
  EXPECT_EQ(Parse<ImageListOptions>("image ls -f reference=b:1").request.reference(), "b:1");
  EXPECT_THAT(Misuse("images --filter since=x"), HasSubstr("none of reference, label, dangling"));
  EXPECT_THAT(Misuse("images --filter dangling=perhaps"), HasSubstr("true or false"));
  EXPECT_THAT(Misuse("images --filter label"), HasSubstr("NAME=VALUE"));
}

TEST(ImageArgumentsTest, TheOthersAndTheirSecondNames) {
  EXPECT_THAT(Parse<ImageInspectOptions>("image inspect a b").images, ElementsAre("a", "b"));
  EXPECT_EQ(Parse<ImageHistoryOptions>("history --no-trunc a").image, "a");
  for (const char* line : {"tag a b:1", "image tag a b:1"}) {
    EXPECT_EQ(Parse<ImageTagOptions>(line).request.ShortDebugString(),
              R"(image: "a" reference: "b:1")");
  }
  for (const char* line : {"rmi -f a b", "image rm a b -f"}) {
    EXPECT_THAT(Parse<ImageRemoveOptions>(line).images, ElementsAre("a", "b"));
    EXPECT_TRUE(Parse<ImageRemoveOptions>(line).force);
  }
  ImagePruneOptions prune =
      Parse<ImagePruneOptions>("image prune -a -f --filter label=x=y --dry-run");
  EXPECT_TRUE(prune.force);
  EXPECT_EQ(prune.request.ShortDebugString(),
            R"(all: true labels { key: "x" value: "y" } dry_run: true)");
  EXPECT_EQ(Parse<ImageVerifyOptions>("image verify --repair a").request.ShortDebugString(),
            R"(image: "a" repair: true)");
  EXPECT_EQ(Parse<ImageLoadOptions>("load -i f.tar").file, "f.tar");
  ImageSaveOptions save = Parse<ImageSaveOptions>("save -o f.tar a b");
  EXPECT_EQ(save.file, "f.tar");
  EXPECT_EQ(save.request.ShortDebugString(), R"(images: "a" images: "b")");
  EXPECT_THAT(Misuse("image tag a"), HasSubstr("an image and its new name"));
  EXPECT_THAT(Misuse("image rm"), HasSubstr("at least one image"));
  EXPECT_THAT(Misuse("image history a b"), HasSubstr("exactly one image"));
  EXPECT_THAT(Misuse("image prune --filter until=1h"), HasSubstr("label=KEY"));
}

TEST(ImageArgumentsTest, ImportAndCommit) {
  ImageImportOptions import = Parse<ImageImportOptions>(
      "import -c CMD~[\"sh\"] --change USER~1 -m text --platform linux/arm64 - mine:1");
  EXPECT_EQ(import.file, "");
  EXPECT_EQ(import.start.ShortDebugString(),
            R"(reference: "mine:1" changes: "CMD [\"sh\"]" changes: "USER 1" message: "text" )"
            R"(platform: "linux/arm64")");
  EXPECT_EQ(Parse<ImageImportOptions>("image import root.tar").file, "root.tar");
  EXPECT_EQ(Parse<CommitOptions>("commit -a me -m why -c ENV~A=b --no-pause web web:1")
                .request.ShortDebugString(),
            R"(container: "web" reference: "web:1" changes: "ENV A=b" message: "why" )"
            R"(author: "me" no_pause: true)");
  EXPECT_THAT(Misuse("import"), HasSubstr("a tar is needed"));
  EXPECT_THAT(Misuse("commit"), HasSubstr("a container is needed"));
}

TEST(FileArgumentsTest, CopyDiffExport) {
  CopyOptions out = Parse<CopyOptions>("cp -L web:etc/passwd .");
  EXPECT_EQ(out.container, "web");
  EXPECT_EQ(out.container_path, "/etc/passwd");
  EXPECT_EQ(out.local_path, ".");
  EXPECT_TRUE(!out.to_container && out.follow_link && !out.archive);
  CopyOptions in = Parse<CopyOptions>("cp -a ./a:b web:/x/");
  EXPECT_EQ(in.local_path, "./a:b");
  EXPECT_EQ(in.container_path, "/x/");
  EXPECT_TRUE(in.to_container && in.archive);
  EXPECT_EQ(Parse<CopyOptions>("cp - web:/x").local_path, "-");
  EXPECT_THAT(Misuse("cp a b"), HasSubstr("CONTAINER:PATH"));
  EXPECT_THAT(Misuse("cp a:b c:d"), HasSubstr("CONTAINER:PATH"));
  EXPECT_THAT(Misuse("cp a:b"), HasSubstr("a source and a destination"));
  EXPECT_EQ(Parse<DiffOptions>("diff web").container, "web");
  EXPECT_EQ(Parse<ExportOptions>("export -o f web").file, "f");
}

TEST(VolumeArgumentsTest, Read) {
  EXPECT_EQ(Parse<VolumeCreateOptions>("volume create -l a=b data").request.ShortDebugString(),
            R"(name: "data" labels { key: "a" value: "b" })");
  EXPECT_EQ(Parse<VolumeListOptions>("volume ls -f name=d -f label=a -f dangling=true")
                .request.ShortDebugString(),
            R"(name_prefix: "d" labels { key: "a" value: "" } unused: true)");
  EXPECT_TRUE(Parse<VolumeListOptions>("volume ls -q").quiet);
  EXPECT_THAT(Parse<VolumeInspectOptions>("volume inspect a b").volumes, ElementsAre("a", "b"));
  EXPECT_TRUE(Parse<VolumeRemoveOptions>("volume rm a -f").force);
  VolumePruneOptions prune = Parse<VolumePruneOptions>("volume prune -af --filter label=a=b");
  EXPECT_TRUE(prune.force && prune.request.all());
  EXPECT_THAT(Misuse("volume ls --filter driver=x"), HasSubstr("none of name=PREFIX"));
  EXPECT_THAT(Misuse("volume rm"), HasSubstr("at least one volume"));
  EXPECT_THAT(Misuse("volume create -l =x a"), HasSubstr("NAME=VALUE"));
}

}  // namespace
}  // namespace noded::cli
