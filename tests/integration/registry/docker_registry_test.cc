// The client against Debian's docker-registry: as it comes, with basic authentication, and with
// TLS under an authority of its own.
#include <fcntl.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "node/base/file.h"
#include "node/base/status.h"
#include "rootfs/registry/registry_client.h"
#include "tests/integration/registry/servers.h"
#include "tests/unit/base/scratch.h"

namespace noded::registry {
namespace {

class DockerRegistryTest : public ScratchTest {
 protected:
  DockerRegistryTest() { options_.version = "test"; }

  static oci::Reference In(const Server& server, const std::string& name) {
    return *oci::ParseReference(server.authority() + "/" + name, "docker.io");
  }
  Caller Us() { return {.credentials = credentials_, .cancel = cancel_}; }

  UniqueFd FileOf(const std::string& bytes) {
    Write("upload", bytes);
    return UniqueFd(open(Path("upload").c_str(), O_RDONLY | O_CLOEXEC));
  }
  absl::Status Upload(RegistryClient& client, const oci::Reference& reference,
                      const std::string& bytes) {
    const oci::Descriptor descriptor = AddBlob(Path("layout"), bytes);
    return client.UploadBlob(reference, descriptor, FileOf(bytes).get(), Us(),
                             [&](int64_t sent) { sent_ = sent; });
  }
  absl::StatusOr<std::string> Fetch(RegistryClient& client, const oci::Reference& reference,
                                    const oci::Descriptor& descriptor, int64_t offset = 0) {
    std::string bytes;
    RETURN_IF_ERROR(
        client.FetchBlob(reference, descriptor, offset, Us(), [&](std::string_view more) {
          bytes.append(more);
          return absl::OkStatus();
        }));
    return bytes;
  }
  // Pushes an image of one layer, pulls it back, and mounts the layer into another repository.
  void RoundTrip(const Server& server);

  ClientOptions options_;
  Credentials credentials_;
  Cancel cancel_;
  int64_t sent_ = 0;
};

void DockerRegistryTest::RoundTrip(const Server& server) {
  RegistryClient client(options_);
  const std::string bytes = Noise(3'000'000);
  const oci::Descriptor layer = AddBlob(Path("layout"), bytes);
  const oci::Reference app = In(server, "team/app:1"), copy = In(server, "copy:1");

  auto has = client.HasBlob(app, layer.digest, Us());
  ASSERT_TRUE(has.ok()) << has.status();
  EXPECT_FALSE(*has);
  ASSERT_EQ(Upload(client, app, bytes), absl::OkStatus());
  EXPECT_EQ(sent_, layer.size);
  ASSERT_EQ(Upload(client, app, "{}"), absl::OkStatus());
  EXPECT_TRUE(*client.HasBlob(app, layer.digest, Us()));

  const oci::Descriptor manifest = AddImage(Path("layout"), "1", {layer});
  const std::string json = Read("layout/blobs/sha256/" + manifest.digest.hex());
  auto digest = client.PutManifest(app, manifest, json, Us());
  ASSERT_TRUE(digest.ok()) << digest.status();
  EXPECT_EQ(*digest, manifest.digest);

  auto by_tag = client.Resolve(app, Us());
  ASSERT_TRUE(by_tag.ok()) << by_tag.status();
  EXPECT_EQ(by_tag->bytes, json);
  EXPECT_EQ(by_tag->descriptor.digest, manifest.digest);
  EXPECT_EQ(by_tag->descriptor.media_type, oci::kOciManifest);
  oci::Reference exact = app;
  exact.digest = manifest.digest;
  EXPECT_EQ(client.Resolve(exact, Us())->bytes, json);
  EXPECT_EQ(*Fetch(client, app, layer), bytes);
  EXPECT_EQ(*Fetch(client, app, layer, 2'999'999), bytes.substr(2'999'999));

  auto mounted = client.MountBlob(copy, layer.digest, "team/app", Us());
  ASSERT_TRUE(mounted.ok()) << mounted.status();
  EXPECT_TRUE(*mounted);
  EXPECT_EQ(*Fetch(client, copy, layer), bytes);
  EXPECT_FALSE(*client.MountBlob(copy, oci::Sha256::Of("nothing"), "team/app", Us()));
}

TEST_F(DockerRegistryTest, PlainHttpOnLoopbackNeedsNoConfiguration) {
  DockerRegistry server(dir_);
  RoundTrip(server);
}

TEST_F(DockerRegistryTest, UnknownNamesAreNotFound) {
  DockerRegistry server(dir_);
  RegistryClient client(options_);
  const auto resolved = client.Resolve(In(server, "team/none:9"), Us());
  EXPECT_EQ(resolved.status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(ReasonOf(resolved.status()), reason::kImageNotFound);
  EXPECT_TRUE(absl::StrContains(resolved.status().message(), "team/none:9")) << resolved.status();
  EXPECT_TRUE(absl::StrContains(resolved.status().message(), "MANIFEST_UNKNOWN"))
      << resolved.status();
}

TEST_F(DockerRegistryTest, BasicAuthentication) {
  ASSERT_EQ(std::system(("htpasswd -Bbn ann s3cret >" + Path("users") + " 2>&1").c_str()), 0);
  DockerRegistry server(dir_, {.htpasswd = Path("users")});
  credentials_ = {.username = "ann", .password = "s3cret"};
  RoundTrip(server);

  credentials_ = {.username = "ann", .password = "guessed"};
  RegistryClient client(options_);
  const auto wrong = client.Resolve(In(server, "team/app:1"), Us());
  EXPECT_EQ(wrong.status().code(), absl::StatusCode::kUnauthenticated);
  EXPECT_EQ(ReasonOf(wrong.status()), reason::kRegistryDenied);
  EXPECT_FALSE(absl::StrContains(wrong.status().message(), "guessed")) << wrong.status();

  credentials_ = {};
  const auto nobody = client.Resolve(In(server, "team/app:1"), Us());
  EXPECT_EQ(nobody.status().code(), absl::StatusCode::kUnauthenticated) << nobody.status();

  // "ann:s3cret"
  Write("config.json", absl::StrCat(R"({"auths": {")", server.authority(),
                                    R"(": {"auth": "YW5uOnMzY3JldA=="}}})"));
  options_.credentials_file = Path("config.json");
  RegistryClient configured(options_);
  const auto found = configured.Resolve(In(server, "team/app:1"), Us());
  EXPECT_TRUE(found.ok()) << found.status();
}

TEST_F(DockerRegistryTest, TlsWithAnAuthorityOfItsOwn) {
  MakeCertificates(dir_);
  DockerRegistry server(dir_, {.certificate = Path("server.crt"), .key = Path("server.key")});
  {
    RegistryClient stranger(options_);
    const auto refused = stranger.Resolve(In(server, "team/app:1"), Us());
    EXPECT_EQ(refused.status().code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_TRUE(absl::StrContains(refused.status().message(), "certificate")) << refused.status();
  }
  options_.certificates_directory = Path("certs.d");
  Write("certs.d/" + server.authority() + "/ca.crt", Read("ca.crt"));
  RoundTrip(server);

  options_.certificates_directory = Path("none");
  options_.hosts = *HostsConfig::Parse(
      {absl::StrCat(server.authority(), " https://", server.authority(), " ca=", Path("ca.crt"))});
  RegistryClient by_rule(options_);
  EXPECT_TRUE(by_rule.Resolve(In(server, "team/app:1"), Us()).ok());
}

TEST_F(DockerRegistryTest, MirrorsAreAskedInOrderAndTheRegistryLast) {
  DockerRegistry mirror(dir_);
  RoundTrip(mirror);
  // registry.invalid has no address (RFC 6761), so all comes from the mirror or not at all.
  options_.hosts = *HostsConfig::Parse(
      {"registry.invalid http://127.0.0.1:1", "registry.invalid http://" + mirror.authority()});
  options_.attempts = 1;
  RegistryClient client(options_);
  const oci::Reference app = *oci::ParseReference("registry.invalid/team/app:1", "docker.io");
  const auto resolved = client.Resolve(app, Us());
  ASSERT_TRUE(resolved.ok()) << resolved.status();
  const auto missing =
      client.Resolve(*oci::ParseReference("registry.invalid/team/app:2", "docker.io"), Us());
  EXPECT_EQ(missing.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_TRUE(absl::StrContains(missing.status().message(), "127.0.0.1:1:")) << missing.status();
  EXPECT_TRUE(absl::StrContains(missing.status().message(), "404")) << missing.status();
}

}  // namespace
}  // namespace noded::registry
