// The client against a registry that fails in all the ways that registries do.
#include <fcntl.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "node/base/status.h"
#include "rootfs/registry/registry_client.h"
#include "tests/integration/registry/servers.h"
#include "tests/unit/base/scratch.h"

namespace noded::registry {
namespace {

using nlohmann::json;

class FaultyRegistryTest : public ScratchTest {
 protected:
  FaultyRegistryTest() {
    options_.version = "test";
    options_.first_delay = absl::Milliseconds(1);
    options_.longest_delay = absl::Milliseconds(10);
    layer_ = AddBlob(dir_, bytes_);
    manifest_ = AddImage(dir_, "1", {layer_});
  }

  Caller Us() { return {.credentials = credentials_, .cancel = cancel_}; }
  static oci::Reference App(const Server& server) {
    return *oci::ParseReference(server.authority() + "/app:1", "docker.io");
  }
  absl::StatusOr<std::string> Fetch(RegistryClient& client, const oci::Reference& reference,
                                    int64_t offset = 0) {
    std::string bytes;
    RETURN_IF_ERROR(client.FetchBlob(reference, layer_, offset, Us(), [&](std::string_view more) {
      bytes.append(more);
      return absl::OkStatus();
    }));
    return bytes;
  }
  // Requests whose path holds `part`.
  static int Count(const json& log, const std::string& part) {
    int count = 0;
    for (const json& entry : log)
      count += absl::StrContains(entry["path"].get<std::string>(), part);
    return count;
  }

  ClientOptions options_;
  Credentials credentials_;
  Cancel cancel_;
  const std::string bytes_ = Noise(1'000'000);
  oci::Descriptor layer_, manifest_;
};

TEST_F(FaultyRegistryTest, ALinkThatIsCutEveryFewKilobytesCostsAtMostFivePercent) {
  FaultyRegistry server(dir_);
  server.SetFaults({{{"path", "/blobs/"}, {"fault", "cut"}, {"bytes", 6000}}});
  RegistryClient client(options_);
  const auto fetched = Fetch(client, App(server));
  ASSERT_TRUE(fetched.ok()) << fetched.status();
  EXPECT_EQ(*fetched, bytes_);
  EXPECT_LE(server.SentFor("/blobs/"), layer_.size * 1.05);
  EXPECT_GE(Count(server.Log(), "/blobs/"), layer_.size / 6000);
}

TEST_F(FaultyRegistryTest, WhatIsHereIsSkippedWhenARangeIsIgnored) {
  FaultyRegistry server(dir_);
  server.SetFaults({{{"path", "/blobs/"}, {"fault", "cut"}, {"bytes", 400'000}, {"times", 1}},
                    {{"path", "/blobs/"}, {"no_range", true}}});
  RegistryClient client(options_);
  const auto fetched = Fetch(client, App(server));
  ASSERT_TRUE(fetched.ok()) << fetched.status();
  EXPECT_EQ(*fetched, bytes_);
}

TEST_F(FaultyRegistryTest, ARangeThatIsIgnoredOnALinkThatIsCutEnds) {
  FaultyRegistry server(dir_);
  server.SetFaults({{{"path", "/blobs/"}, {"fault", "cut"}, {"bytes", 4000}, {"no_range", true}}});
  RegistryClient client(options_);
  EXPECT_EQ(Fetch(client, App(server)).status().code(), absl::StatusCode::kUnavailable);
  EXPECT_LE(Count(server.Log(), "/blobs/"), 1 + options_.attempts);
}

TEST_F(FaultyRegistryTest, OtherBytesThanWereAskedForAreDamage) {
  FaultyRegistry server(dir_);
  RegistryClient client(options_);
  oci::Reference exact = App(server);
  exact.digest = manifest_.digest;
  for (const char* fault : {"wrong_bytes", "wrong_digest"}) {
    server.SetFaults({{{"path", "/manifests/"}, {"fault", fault}}});
    for (const oci::Reference& reference : {App(server), exact}) {
      const auto status = client.Resolve(reference, Us()).status();
      EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << fault << ": " << status;
      EXPECT_EQ(ReasonOf(status), reason::kContentDamaged);
    }
  }
  for (const json& fault :
       {json{{"fault", "wrong_length"}, {"add", 7}}, json{{"fault", "short"}, {"less", 7}}}) {
    server.SetFaults({fault});
    const auto status = Fetch(client, App(server)).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << fault << ": " << status;
    EXPECT_TRUE(absl::StrContains(status.message(), layer_.digest.text())) << status;
    // Also where all that is missing is asked for.
    EXPECT_EQ(Fetch(client, App(server), 500'000).status().code(), absl::StatusCode::kDataLoss);
  }
}

TEST_F(FaultyRegistryTest, RetryAfterIsWaitedForOrTooMuch) {
  FaultyRegistry server(dir_);
  const auto busy = [](const char* seconds, int status) {
    return json{{"fault", "status"}, {"status", status}, {"headers", {{"Retry-After", seconds}}}};
  };
  json soon = busy("1", 429), later = busy("1", 503);
  soon["times"] = 1;
  later["times"] = 1;
  server.SetFaults({soon, later});
  RegistryClient client(options_);
  EXPECT_EQ(client.Resolve(App(server), Us()).status(), absl::OkStatus());
  EXPECT_EQ(Count(server.Log(), "/manifests/"), 3);

  server.SetFaults({busy("3600", 429)});
  const auto status = client.Resolve(App(server), Us()).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
  EXPECT_TRUE(absl::StrContains(status.message(), "3600")) << status;
  EXPECT_EQ(Count(server.Log(), "/manifests/"), 4);

  server.SetFaults({busy("0", 429)});
  EXPECT_EQ(Fetch(client, App(server)).status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(Count(server.Log(), "/blobs/"), options_.attempts);
}

TEST_F(FaultyRegistryTest, ATokenIsAskedForOnce) {
  FaultyRegistry server(dir_, {"--token-user", "ann:s3cret"});
  credentials_ = {.username = "ann", .password = "s3cret"};
  RegistryClient client(options_);
  ASSERT_EQ(client.Resolve(App(server), Us()).status(), absl::OkStatus());
  ASSERT_EQ(Fetch(client, App(server)).status(), absl::OkStatus());
  const json log = server.Log();
  EXPECT_EQ(Count(log, "/token"), 1);
  EXPECT_EQ(Count(log, "/v2/"), 3) << "one refusal, manifest, blob";
  for (const json& entry : log) {
    // The password goes to the token server, the token to the registry.
    const std::string sent = entry["headers"].value("authorization", "");
    const bool is_token_server = absl::StartsWith(entry["path"].get<std::string>(), "/token");
    EXPECT_EQ(absl::StartsWith(sent, "Basic "), is_token_server) << entry;
  }
}

TEST_F(FaultyRegistryTest, AnIdentityTokenIsPostedForATokenOfThePull) {
  FaultyRegistry server(dir_, {"--token-user", "ann:refresh/+=&token"});
  credentials_ = {.identity_token = "refresh/+=&token"};
  RegistryClient client(options_);
  EXPECT_EQ(client.Resolve(App(server), Us()).status(), absl::OkStatus());
  const json log = server.Log();
  EXPECT_EQ(Count(log, "/token"), 1);
  EXPECT_FALSE(absl::StrContains(log.dump(), "refresh")) << "in no address and no header: " << log;
}

// For the life of the object.
class Variable {
 public:
  Variable(const char* name, const std::string& value) : name_(name) {
    setenv(name, value.c_str(), 1);
  }
  ~Variable() { unsetenv(name_); }

 private:
  const char* name_;
};

TEST_F(FaultyRegistryTest, AProxyIsAskedForOthersAndNeverForLoopback) {
  FaultyRegistry server(dir_), proxy(dir_);
  const Variable http("http_proxy", "http://" + proxy.authority());
  const Variable https("https_proxy", "http://" + proxy.authority());
  options_.hosts = *HostsConfig::Parse({"registry.invalid http://registry.invalid"});
  RegistryClient client(options_);
  EXPECT_EQ(client.Resolve(App(server), Us()).status(), absl::OkStatus());
  EXPECT_EQ(proxy.Log().size(), 0u);
  const auto away = *oci::ParseReference("registry.invalid/app:1", "");
  EXPECT_EQ(client.Resolve(away, Us()).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(Count(proxy.Log(), "http://registry.invalid/v2/app/manifests/1"), 1);
}

TEST_F(FaultyRegistryTest, AnEndedTokenIsRenewed) {
  FaultyRegistry server(dir_, {"--token-user", "ann:s3cret"});
  credentials_ = {.username = "ann", .password = "s3cret"};
  RegistryClient client(options_);
  ASSERT_EQ(client.Resolve(App(server), Us()).status(), absl::OkStatus());
  const std::string realm = "Bearer realm=\"http://" + server.authority() + "/token\"";
  server.SetFaults({{{"path", "/blobs/"},
                     {"fault", "status"},
                     {"status", 401},
                     {"headers", {{"WWW-Authenticate", realm}}},
                     {"times", 1}}});
  EXPECT_EQ(*Fetch(client, App(server)), bytes_);
  EXPECT_EQ(Count(server.Log(), "/token"), 2);
}

TEST_F(FaultyRegistryTest, RefusalsWithoutEndEndAfterOneRenewal) {
  FaultyRegistry server(dir_, {"--token-user", "ann:s3cret"});
  credentials_ = {.username = "ann", .password = "s3cret"};
  const std::string realm = "Bearer realm=\"http://" + server.authority() + "/token\"";
  server.SetFaults({{{"path", "/v2/"},
                     {"fault", "status"},
                     {"status", 401},
                     {"headers", {{"WWW-Authenticate", realm}}}}});
  RegistryClient client(options_);
  const auto status = client.Resolve(App(server), Us()).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnauthenticated) << status;
  EXPECT_EQ(ReasonOf(status), reason::kRegistryDenied);
  EXPECT_EQ(Count(server.Log(), "/v2/"), 2);
  EXPECT_EQ(Count(server.Log(), "/token"), 1);

  server.SetFaults({{{"path", "/v2/"}, {"fault", "status"}, {"status", 403}}});
  EXPECT_EQ(client.Resolve(App(server), Us()).status().code(), absl::StatusCode::kPermissionDenied);
}

TEST_F(FaultyRegistryTest, NoSecretIsInAnError) {
  FaultyRegistry server(dir_, {"--token-user", "ann:s3cret"});
  credentials_ = {.username = "ann", .password = "guessed"};
  RegistryClient client(options_);
  server.SetFaults({{{"path", "/token"},
                     {"fault", "status"},
                     {"status", 401},
                     {"body", R"({"details": "ann:guessed is wrong\u001b[31m"})"}}});
  const auto status = client.Resolve(App(server), Us()).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnauthenticated) << status;
  EXPECT_TRUE(absl::StrContains(status.message(), "ann:[redacted] is wrong [31m")) << status;
  EXPECT_FALSE(absl::StrContains(status.message(), "guessed")) << status;
}

TEST_F(FaultyRegistryTest, TokenServersThatTalkNonsense) {
  FaultyRegistry server(dir_, {"--token-user", "ann:s3cret"});
  RegistryClient client(options_);
  for (const char* body : {"garbage", "[]", "{}", R"({"token": 1})", R"({"token": "a\r\nX: b"})"}) {
    server.SetFaults({{{"path", "/token"}, {"fault", "status"}, {"status", 200}, {"body", body}}});
    const auto status = client.Resolve(App(server), Us()).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kUnauthenticated) << body << ": " << status;
    EXPECT_TRUE(absl::StrContains(status.message(), "token server")) << status;
  }
  options_.stall_timeout = absl::Milliseconds(200);
  RegistryClient impatient(options_);
  server.SetFaults({{{"path", "/token"}, {"fault", "slow"}, {"seconds", 60}}});
  EXPECT_EQ(impatient.Resolve(App(server), Us()).status().code(), absl::StatusCode::kUnavailable);
}

TEST_F(FaultyRegistryTest, ARedirectToAnotherPortGetsNoCredentials) {
  FaultyRegistry server(dir_, {"--token-user", "ann:s3cret"}), store(dir_);
  credentials_ = {.username = "ann", .password = "s3cret"};
  options_.hosts = *HostsConfig::Parse({absl::StrCat(
      server.authority(), " http://", server.authority(), " \"header=X-Secret: letmein\"")});
  server.SetFaults({{{"path", "/blobs/"},
                     {"fault", "redirect"},
                     {"to", absl::StrCat("http://", store.authority())}}});
  RegistryClient client(options_);
  ASSERT_EQ(client.Resolve(App(server), Us()).status(), absl::OkStatus());
  const auto fetched = Fetch(client, App(server));
  ASSERT_TRUE(fetched.ok()) << fetched.status();
  EXPECT_EQ(*fetched, bytes_);
  const json at_store = store.Log(), at_server = server.Log();
  ASSERT_EQ(at_store.size(), 1u);
  EXPECT_FALSE(at_store[0]["headers"].contains("authorization")) << at_store;
  EXPECT_FALSE(at_store[0]["headers"].contains("x-secret")) << at_store;
  EXPECT_TRUE(at_server.back()["headers"].contains("authorization")) << at_server;
  EXPECT_TRUE(at_server.back()["headers"].contains("x-secret")) << at_server;
}

TEST_F(FaultyRegistryTest, RedirectsInACircleEnd) {
  FaultyRegistry server(dir_);
  server.SetFaults({{{"fault", "redirect"}, {"to", absl::StrCat("http://", server.authority())}}});
  RegistryClient client(options_);
  const auto status = client.Resolve(App(server), Us()).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
  EXPECT_EQ(server.Log().size(), 6u);
}

TEST_F(FaultyRegistryTest, AManifestOfAHundredMegabytesIsNotRead) {
  FaultyRegistry server(dir_);
  server.SetFaults({{{"path", "/manifests/"}, {"fault", "huge"}, {"bytes", 100 << 20}}});
  RegistryClient client(options_);
  const auto status = client.Resolve(App(server), Us()).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
  EXPECT_LT(server.SentFor("/manifests/"), 50 << 20) << "what was on its way when it was refused";
}

TEST_F(FaultyRegistryTest, AStalledConnectionIsGivenUpAndGoneOnWith) {
  FaultyRegistry server(dir_);
  options_.stall_timeout = absl::Milliseconds(300);
  server.SetFaults({{{"path", "/blobs/"},
                     {"fault", "stall"},
                     {"bytes", 300'000},
                     {"seconds", 60},
                     {"times", 1}}});
  RegistryClient client(options_);
  const auto fetched = Fetch(client, App(server));
  ASSERT_TRUE(fetched.ok()) << fetched.status();
  EXPECT_EQ(*fetched, bytes_);
}

TEST_F(FaultyRegistryTest, ACancelledTransferEnds) {
  FaultyRegistry server(dir_);
  server.SetFaults({{{"path", "/blobs/"}, {"fault", "stall"}, {"bytes", 100}, {"seconds", 60}}});
  RegistryClient client(options_);
  std::atomic<bool> begun = false;
  std::thread other([&] {
    while (!begun) std::this_thread::yield();
    cancel_.Set();
  });
  const absl::Status status = client.FetchBlob(App(server), layer_, 0, Us(), [&](std::string_view) {
    begun = true;
    return absl::OkStatus();
  });
  other.join();
  EXPECT_EQ(status.code(), absl::StatusCode::kCancelled) << status;
}

TEST_F(FaultyRegistryTest, TheSinksErrorIsTheCallsError) {
  FaultyRegistry server(dir_);
  RegistryClient client(options_);
  const absl::Status full = absl::ResourceExhaustedError("disk is full");
  int calls = 0;
  EXPECT_EQ(client.FetchBlob(App(server), layer_, 0, Us(),
                             [&](std::string_view) {
                               ++calls;
                               return full;
                             }),
            full);
  EXPECT_EQ(calls, 1);
}

TEST_F(FaultyRegistryTest, ConnectionsThatEndWithoutAnAnswerAreTriedAgain) {
  FaultyRegistry server(dir_);
  server.SetFaults({{{"fault", "close"}, {"times", 3}}});
  RegistryClient client(options_);
  EXPECT_EQ(client.Resolve(App(server), Us()).status(), absl::OkStatus());
  server.SetFaults({{{"fault", "close"}}});
  EXPECT_EQ(client.Resolve(App(server), Us()).status().code(), absl::StatusCode::kUnavailable);
}

TEST_F(FaultyRegistryTest, NobodyThereIsUnreachable) {
  int port;
  {
    FaultyRegistry server(dir_);
    port = server.port();
  }
  RegistryClient client(options_);
  const auto status =
      client.Resolve(*oci::ParseReference(absl::StrCat("127.0.0.1:", port, "/app:1"), ""), Us())
          .status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(ReasonOf(status), reason::kRegistryUnreachable);
  EXPECT_EQ(status.message(),
            absl::StrCat("manifest of 127.0.0.1:", port, "/app:1: registry 127.0.0.1:", port,
                         ": connection refused"));
}

TEST_F(FaultyRegistryTest, ABlobBegunAtAMirrorIsEndedAtTheNextHost) {
  FaultyRegistry mirror(dir_), next(dir_);
  mirror.SetFaults({{{"path", "/blobs/"}, {"fault", "cut"}, {"bytes", 500'000}, {"times", 1}},
                    {{"path", "/blobs/"}, {"fault", "status"}, {"status", 500}}});
  options_.hosts = *HostsConfig::Parse({"registry.invalid http://" + mirror.authority(),
                                        "registry.invalid http://" + next.authority() + " last"});
  credentials_ = {.username = "ann", .password = "s3cret"};
  RegistryClient client(options_);
  const auto fetched = Fetch(client, *oci::ParseReference("registry.invalid/app:1", ""));
  ASSERT_TRUE(fetched.ok()) << fetched.status();
  EXPECT_EQ(*fetched, bytes_);
  EXPECT_EQ(next.SentFor("/blobs/"), 500'000);
  EXPECT_TRUE(absl::StrContains(next.Log()[0]["path"].get<std::string>(), "ns=registry.invalid"));
  EXPECT_FALSE(absl::StrContains(next.Log().dump(), "authorization"));
}

TEST_F(FaultyRegistryTest, AnUploadThatFailsBeginsAgain) {
  FaultyRegistry server(dir_);
  server.SetFaults({{{"method", "PUT"}, {"fault", "close"}, {"times", 1}},
                    {{"method", "PUT"}, {"fault", "status"}, {"status", 503}, {"times", 1}}});
  const std::string bytes = Noise(2'000'000);
  Write("file", bytes);
  UniqueFd file(open(Path("file").c_str(), O_RDONLY | O_CLOEXEC));
  oci::Descriptor blob{.digest = oci::Sha256::Of(bytes), .size = 2'000'000};
  RegistryClient client(options_);
  int64_t sent = 0;
  const auto upload = [&] {
    return client.UploadBlob(App(server), blob, file.get(), Us(), [&](int64_t n) { sent = n; });
  };
  EXPECT_EQ(upload(), absl::OkStatus());
  EXPECT_EQ(sent, blob.size);
  EXPECT_EQ(Count(server.Log(), "/uploads/"), 6);
  EXPECT_TRUE(*client.HasBlob(App(server), blob.digest, Us()));

  blob.size += 5;  // the file is shorter than it should be
  EXPECT_EQ(upload().code(), absl::StatusCode::kDataLoss);
}

TEST_F(FaultyRegistryTest, ManyThreadsShareAClient) {
  FaultyRegistry server(dir_, {"--token-user", "ann:s3cret"});
  server.SetFaults({{{"path", "/blobs/"}, {"fault", "cut"}, {"bytes", 200'000}}});
  credentials_ = {.username = "ann", .password = "s3cret"};
  RegistryClient client(options_);
  std::atomic<int> whole = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i)
    threads.emplace_back([&] {
      const auto fetched = Fetch(client, App(server));
      whole += fetched.ok() && *fetched == bytes_;
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(whole, 8);
}

}  // namespace
}  // namespace noded::registry
