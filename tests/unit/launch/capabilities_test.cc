#include "node/launch/capabilities.h"

#include <linux/capability.h>

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "node/base/status.h"
#include "tests/unit/launch/specs.h"

namespace noded::launch {
namespace {

using testing::HasSubstr;

constexpr uint64_t kAll = (uint64_t{1} << 41) - 1;
// Docker's: CapEff of a container there.
constexpr uint64_t kDocker = 0xa80425fb;

constexpr uint64_t Bit(int capability) { return uint64_t{1} << capability; }

struct Given {
  std::vector<std::string> add = {};
  std::vector<std::string> drop = {};
  bool privileged = false;
  uint64_t own = ~uint64_t{0};
  bool private_user = false;
};

absl::StatusOr<uint64_t> Granted(const Given& given) {
  node::v1::ContainerSpec spec = MinimalSpec();
  if (given.private_user) MakeUserPrivate(spec);
  for (const std::string& name : given.add) spec.mutable_security()->add_add_capabilities(name);
  for (const std::string& name : given.drop) spec.mutable_security()->add_drop_capabilities(name);
  spec.mutable_security()->set_privileged(given.privileged);
  EXPECT_TRUE(ValidateSpec(spec).ok()) << ValidateSpec(spec);
  HostFacts host = PlainInputs().host;
  host.own_capabilities = given.own;
  return GrantedCapabilities(spec, host);
}

TEST(Capabilities, Names) {
  EXPECT_EQ(CapabilityNumber("CHOWN"), CAP_CHOWN);
  EXPECT_EQ(CapabilityNumber("CAP_NET_ADMIN"), CAP_NET_ADMIN);
  EXPECT_EQ(CapabilityNumber("cap_sys_admin"), CAP_SYS_ADMIN);
  EXPECT_EQ(CapabilityNumber("SETFCAP"), CAP_SETFCAP);
  EXPECT_EQ(CapabilityNumber("CHECKPOINT_RESTORE"), CAP_CHECKPOINT_RESTORE);
  EXPECT_EQ(CapabilityNumber("ALL"), std::nullopt);
  EXPECT_EQ(CapabilityNumber("CAP_"), std::nullopt);
  EXPECT_EQ(CapabilityNumber(""), std::nullopt);
}

TEST(Capabilities, WhatAContainerGets) {
  EXPECT_EQ(*Granted({}), kDocker);
  EXPECT_EQ(*Granted({.add = {"NET_ADMIN"}}), kDocker | Bit(CAP_NET_ADMIN));
  EXPECT_EQ(*Granted({.drop = {"CAP_KILL", "net_raw"}}),
            kDocker & ~Bit(CAP_KILL) & ~Bit(CAP_NET_RAW));
  EXPECT_EQ(*Granted({.drop = {"ALL"}}), 0u);
  EXPECT_EQ(*Granted({.add = {"CHOWN"}, .drop = {"ALL"}}), Bit(CAP_CHOWN));
  EXPECT_EQ(*Granted({.add = {"ALL"}}), kAll);
  EXPECT_EQ(*Granted({.add = {"all"}, .drop = {"SYS_ADMIN"}}), kAll & ~Bit(CAP_SYS_ADMIN));
  EXPECT_EQ(*Granted({.add = {"KILL"}, .drop = {"KILL"}}), kDocker) << "named in both: added";
  EXPECT_EQ(*Granted({.privileged = true}), kAll);
  EXPECT_EQ(*Granted({.drop = {"SYS_BOOT"}, .privileged = true}), kAll & ~Bit(CAP_SYS_BOOT));
}

TEST(Capabilities, NoMoreThanTheDaemonHas) {
  const uint64_t own = kAll & ~Bit(CAP_SYS_RESOURCE) & ~Bit(CAP_MKNOD);
  EXPECT_EQ(*Granted({.own = own}), kDocker & own);
  EXPECT_EQ(*Granted({.add = {"ALL"}, .own = own}), own);
  EXPECT_EQ(*Granted({.privileged = true, .own = own}), own);

  absl::Status status = Granted({.add = {"CHOWN", "SYS_RESOURCE"}, .own = own}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(
      std::string(status.message()),
      HasSubstr("spec.security.add_capabilities[1]: the daemon does not have \"SYS_RESOURCE\""));
  EXPECT_EQ(ReasonOf(status), reason::kNotSupported);
}

TEST(Capabilities, InAUserNamespaceOfItsOwnAllCanBeGranted) {
  EXPECT_EQ(*Granted({.add = {"SYS_RESOURCE"}, .own = kDocker, .private_user = true}),
            kDocker | Bit(CAP_SYS_RESOURCE));
}

TEST(Capabilities, NoneThatTheKernelDoesNotKnow) {
  node::v1::ContainerSpec spec = MinimalSpec();
  spec.mutable_security()->add_add_capabilities("CHECKPOINT_RESTORE");
  HostFacts host = PlainInputs().host;
  host.last_capability = 39;
  EXPECT_EQ(GrantedCapabilities(spec, host).status().code(), absl::StatusCode::kFailedPrecondition);
}

}  // namespace
}  // namespace noded::launch
