// config.json: what is found in it, and how it is written.
#include "clients/cli/registry_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "clients/cli/exit_code.h"
#include "tests/unit/cli/fake_node.h"

namespace noded::cli {
namespace {

using testing::HasSubstr;

// "bWU6c2VjcmV0" is base64 of "me:secret".
constexpr char kConfig[] = R"({
  "credsStore": "keep",
  "auths": {
    "https://index.docker.io/v1/": {"auth": "bWU6c2VjcmV0"},
    "registry.lab:5000": {"auth": "eW91OmE6Yg=="},
    "token.lab": {"auth": "bWU6", "identitytoken": "long"},
    "empty.lab": {},
    "broken.lab": {"auth": "!!"}
  }
})";

std::string Found(absl::string_view config, absl::string_view registry) {
  auto found = FindCredentials(config, registry);
  if (!found.ok()) return "error: " + std::string(found.status().message());
  return found->has_value() ? (*found)->ShortDebugString() : "none";
}

TEST(RegistryHostTest, IsTheHostOfWhateverNamesIt) {
  EXPECT_EQ(RegistryHost("registry.lab:5000"), "registry.lab:5000");
  EXPECT_EQ(RegistryHost("https://registry.lab:5000/v2/"), "registry.lab:5000");
  EXPECT_EQ(RegistryHost("https://index.docker.io/v1/"), "docker.io");
  EXPECT_EQ(RegistryHost("[::1]:5000"), "[::1]:5000");
  EXPECT_EQ(RegistryHost("a b"), "");
}

TEST(RegistryHostTest, OfAShortReferenceIsNotKnown) {
  EXPECT_EQ(RegistryOfReference("busybox"), "");
  EXPECT_EQ(RegistryOfReference("busybox:1.36"), "");
  EXPECT_EQ(RegistryOfReference("team/app:1"), "");
  EXPECT_EQ(RegistryOfReference("localhost/app"), "localhost");
  EXPECT_EQ(RegistryOfReference("host:5000/app@sha256:0"), "host:5000");
  EXPECT_EQ(RegistryOfReference("docker.io/library/busybox"), "docker.io");
}

TEST(FindCredentialsTest, FindsWhatDockerWrites) {
  EXPECT_EQ(Found(kConfig, "docker.io"), R"(username: "me" password: "secret")");
  EXPECT_EQ(Found(kConfig, "registry.lab:5000"), R"(username: "you" password: "a:b")");
  EXPECT_EQ(Found(kConfig, "token.lab"), R"(identity_token: "long")");
  EXPECT_EQ(Found(kConfig, "registry.lab"), "none") << "another port is another registry";
  EXPECT_EQ(Found(kConfig, "empty.lab"), "none");
  EXPECT_EQ(Found("", "x"), "none");
  EXPECT_EQ(Found("{}", "x"), "none");
}

TEST(FindCredentialsTest, SaysWhatItCannotRead) {
  EXPECT_THAT(Found(kConfig, "broken.lab"), HasSubstr("\"auth\" of broken.lab"));
  EXPECT_THAT(Found("{", "x"), HasSubstr("no JSON object"));
  EXPECT_THAT(Found("[]", "x"), HasSubstr("no JSON object"));
  EXPECT_THAT(Found(R"({"auths": []})", "x"), HasSubstr("\"auths\" is no JSON object"));
  EXPECT_THAT(Found(R"({"auths": {"x": {"auth": "YWI="}}})", "x"), HasSubstr("user:password"));
  EXPECT_EQ(Found(R"({"auths": {"x": 5}})", "x"), "none");
}

TEST(AddCredentialsTest, KeepsWhatElseIsThere) {
  auto added = AddCredentials(kConfig, "registry.lab:5000", "me", "pä:ss");
  ASSERT_TRUE(added.ok());
  EXPECT_THAT(*added, HasSubstr(R"("credsStore": "keep")"));
  EXPECT_EQ(Found(*added, "registry.lab:5000"), R"(username: "me" password: "p\303\244:ss")");
  EXPECT_EQ(Found(*added, "docker.io"), R"(username: "me" password: "secret")");
  auto docker = AddCredentials("", "docker.io", "me", "secret");
  EXPECT_EQ(*docker, R"({
  "auths": {
    "https://index.docker.io/v1/": {
      "auth": "bWU6c2VjcmV0"
    }
  }
}
)");
}

TEST(DropCredentialsTest, TakesEveryNameOfTheRegistry) {
  auto without = DropCredentials(kConfig, "docker.io");
  ASSERT_TRUE(without.ok() && without->has_value());
  EXPECT_EQ(Found(**without, "docker.io"), "none");
  EXPECT_NE(Found(**without, "registry.lab:5000"), "none");
  EXPECT_FALSE(DropCredentials(kConfig, "other.lab")->has_value());
}

TEST(LoadCredentialsTest, DockersFileIsReadWhileOursIsNotThere) {
  ScratchDirectory scratch;
  RegistryFiles files = {scratch / "own.json", scratch / "docker.json"};
  EXPECT_FALSE(LoadCredentials(files, "docker.io/app")->has_value());
  WriteFile(files.docker, kConfig);
  EXPECT_EQ((*LoadCredentials(files, "docker.io/app"))->username(), "me");
  EXPECT_FALSE(LoadCredentials(files, "app")->has_value()) << "its registry is not known here";
  WriteFile(files.own, "{}");
  EXPECT_FALSE(LoadCredentials(files, "docker.io/app")->has_value());
  WriteFile(files.own, "{");
  EXPECT_THAT(std::string(LoadCredentials(files, "docker.io/app").status().message()),
              HasSubstr("own.json: no JSON object"));
}

TEST(WriteRegistryConfigTest, IsForItsOwnerAloneAndThroughLinks) {
  ScratchDirectory scratch;
  const std::string path = scratch / "a/b/config.json";
  ASSERT_TRUE(WriteRegistryConfig(path, "{}\n").ok());
  struct stat status = {};
  stat(path.c_str(), &status);
  EXPECT_EQ(status.st_mode & 07777, 0600u);
  stat((scratch / "a").c_str(), &status);
  EXPECT_EQ(status.st_mode & 07777, 0700u);
  ASSERT_EQ(symlink(path.c_str(), (scratch / "link").c_str()), 0);
  ASSERT_TRUE(WriteRegistryConfig(scratch / "link", "{1}\n").ok());
  EXPECT_EQ(ContentOfFile(path), "{1}\n");
  EXPECT_TRUE(std::filesystem::is_symlink(scratch / "link"));
  int files = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(scratch / "a/b")) {
    ++files;
  }
  EXPECT_EQ(files, 1) << "nothing unfinished stays";
}

class LoginTest : public testing::Test {
 protected:
  LoginTest() { node_.Set("NODECTL_CONFIG", config_); }
  ScratchDirectory scratch_;
  const std::string config_ = scratch_ / "config.json";
  FakeNode node_;
};

TEST_F(LoginTest, KeepsAndForgets) {
  Outcome outcome = node_.Run({"login", "-u", "me", "--password-stdin", "host:5000"}, "secret\n");
  EXPECT_EQ(outcome.exit_code, kOk) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("Credentials for host:5000 are kept in " + config_));
  EXPECT_EQ(Found(ContentOfFile(config_), "host:5000"), R"(username: "me" password: "secret")");
  EXPECT_EQ(node_.Run({"login", "-u", "you", "-p", "p"}).exit_code, kOk);
  EXPECT_EQ(Found(ContentOfFile(config_), "docker.io"), R"(username: "you" password: "p")");
  EXPECT_THAT(node_.Run({"logout", "host:5000"}).out, HasSubstr("Removed"));
  EXPECT_EQ(Found(ContentOfFile(config_), "host:5000"), "none");
  EXPECT_THAT(node_.Run({"logout", "host:5000"}).out, HasSubstr("There were no credentials"));
}

TEST_F(LoginTest, SaysWhatIsMissing) {
  Outcome outcome = node_.Run({"login", "host:5000"});
  EXPECT_THAT(outcome.err, HasSubstr("give -u NAME and --password-stdin"));
  EXPECT_EQ(outcome.exit_code, kFailure);
  EXPECT_THAT(node_.Run({"login", "-u", "me", "--password-stdin", "x"}, "\n").err,
              HasSubstr("a user name and a password are needed"));
  EXPECT_THAT(node_.Run({"login", "-u", "a:b", "-p", "x", "x"}).err, HasSubstr("with a colon"));
  WriteFile(config_, "nonsense");
  outcome = node_.Run({"login", "-u", "me", "-p", "x", "x"});
  EXPECT_THAT(outcome.err, HasSubstr("config.json: no JSON object"));
  EXPECT_EQ(ContentOfFile(config_), "nonsense");
}

}  // namespace
}  // namespace noded::cli
