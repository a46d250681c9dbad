// What an Update makes of a spec, and what it refuses.
#include <algorithm>
#include <string>
#include <vector>

#include "google/protobuf/text_format.h"
#include "gtest/gtest.h"
#include "node/base/status.h"
#include "node/launch/plan.h"
#include "tests/unit/launch/specs.h"

namespace noded::launch {
namespace {

using google::protobuf::TextFormat;
using node::v1::ContainerSpec;
using node::v1::Limits;
using node::v1::UpdateRequest;

ContainerSpec SpecWith(const std::string& limits) {
  ContainerSpec spec = MinimalSpec();
  EXPECT_TRUE(TextFormat::ParseFromString(limits, spec.mutable_limits())) << limits;
  return spec;
}

UpdateRequest Request(const std::string& text) {
  UpdateRequest request;
  EXPECT_TRUE(TextFormat::ParseFromString(text, &request)) << text;
  return request;
}

// The limits afterwards, as short text; what is wrong when it is refused.
std::string Updated(const std::string& limits, const std::string& request) {
  auto next = ApplyUpdate(SpecWith(limits), Request(request));
  if (!next.ok()) return std::string(next.status().message());
  return next->limits().ShortDebugString();
}

TEST(ApplyUpdate, MergesWhatIsGivenIntoWhatIsThere) {
  struct Case {
    const char *before, *request, *after;
  };
  for (const Case& c : {
           Case{"pids: 5", "limits { memory { max_bytes: 8388608 } }",
                "memory { max_bytes: 8388608 } pids: 5"},
           {"memory { max_bytes: 8388608 swap_bytes: 1 }", "limits { memory { swap_bytes: 0 } }",
            "memory { max_bytes: 8388608 swap_bytes: 0 }"},
           {"cpu { idle: true }", "limits { cpu { idle: false shares: 512 } }",
            "cpu { shares: 512 idle: false }"},
           {"cpu { shares: 512 quota_us: 5000 }",
            "clear: 'limits.cpu.shares' limits { cpu { idle: true } }",
            "cpu { quota_us: 5000 idle: true }"},
           {"cpu { shares: 512 } pids: 5", "clear: 'limits.cpu'", "pids: 5"},
           {"pids: 5", "clear: 'limits.pids' clear: 'limits.memory.max_bytes'", "memory { }"},
           {"cpu { shares: 512 } pids: 5 best_effort: true", "clear: 'limits' limits { pids: 6 }",
            "pids: 6 best_effort: true"},
           {"pids: 5 best_effort: true", "limits { pids: 6 }", "pids: 6 best_effort: true"},
           {"block_io { devices { device: '8:0' read_bytes_per_second: 1 } }",
            "limits { block_io { devices { device: '8:0' write_bytes_per_second: 2 } "
            "devices { device: '8:16' read_bytes_per_second: 3 } } }",
            "block_io { devices { device: \"8:0\" read_bytes_per_second: 1 write_bytes_per_second: "
            "2 } "
            "devices { device: \"8:16\" read_bytes_per_second: 3 } }"},
           {"block_io { weight: 7 devices { device: '8:0' read_bytes_per_second: 1 } }",
            "clear: 'limits.block_io.devices' limits { block_io { devices { device: '8:16' "
            "read_bytes_per_second: 3 } } }",
            "block_io { weight: 7 devices { device: \"8:16\" read_bytes_per_second: 3 } }"},
           {"hugetlb { page_size: '2MB' max_bytes: 9 }", "limits { hugetlb { page_size: '2MB' } }",
            "hugetlb { page_size: \"2MB\" }"},
           {"misc { resource: 'sev' max: 3 }", "limits { misc { resource: 'sev_es' max: 1 } }",
            "misc { resource: \"sev\" max: 3 } misc { resource: \"sev_es\" max: 1 }"},
           {"net_priorities { interface: 'a' priority: 3 }",
            "limits { net_priorities { interface: 'a' } }", "net_priorities { interface: \"a\" }"},
           {"rdma { device: 'm' hca_handles: 3 }", "limits { rdma { device: 'm' hca_objects: 0 } }",
            "rdma { device: \"m\" hca_handles: 3 hca_objects: 0 }"},
       }) {
    auto next = ApplyUpdate(SpecWith(c.before), Request(c.request));
    ASSERT_TRUE(next.ok()) << c.request << ": " << next.status();
    Limits expected;
    ASSERT_TRUE(TextFormat::ParseFromString(c.after, &expected));
    // Empty groups that clearing leaves are nothing.
    Limits got = next->limits();
    if (!expected.has_memory() && got.memory().ByteSizeLong() == 0) got.clear_memory();
    EXPECT_EQ(got.ShortDebugString(), expected.ShortDebugString()) << c.request;
  }
}

TEST(ApplyUpdate, LeavesTheRestOfTheSpec) {
  ContainerSpec spec = SpecWith("pids: 5");
  spec.set_name("web");
  spec.add_devices()->set_host_path("/dev/fuse");
  auto next = ApplyUpdate(spec, Request("limits { pids: 6 }"));
  ASSERT_TRUE(next.ok()) << next.status();
  spec.mutable_limits()->set_pids(6);
  EXPECT_EQ(next->DebugString(), spec.DebugString());
}

TEST(ApplyUpdate, ReplacesAllDevices) {
  ContainerSpec spec = SpecWith("");
  spec.add_devices()->set_host_path("/dev/fuse");
  spec.add_devices()->set_host_path("/dev/kvm");
  auto next = ApplyUpdate(spec, Request("devices { devices { host_path: '/dev/kvm' } }"));
  ASSERT_TRUE(next.ok()) << next.status();
  ASSERT_EQ(next->devices_size(), 1);
  EXPECT_EQ(next->devices(0).host_path(), "/dev/kvm");
  next = ApplyUpdate(spec, Request("devices { }"));
  ASSERT_TRUE(next.ok()) << next.status();
  EXPECT_EQ(next->devices_size(), 0);
}

TEST(ApplyUpdate, RefusesByTheFieldsOfTheRequest) {
  struct Case {
    const char *before, *request, *field, *text;
  };
  for (const Case& c : {
           Case{"", "", "limits", "nothing is to be changed"},
           {"", "limits { pids: 0 }", "limits.pids", "must be 1 to 4194304"},
           {"", "limits { memory { max_bytes: -1 } }", "limits.memory.max_bytes",
            "must be 6291456 or more"},
           {"", "limits { cpu { quota_us: 999 } }", "limits.cpu.quota_us", "must be 1000 to"},
           {"", "limits { cpu { period_us: 1000001 } }", "limits.cpu.period_us",
            "must be 1000 to 1000000"},
           // Together with what is there.
           {"memory { max_bytes: 8388608 }", "limits { memory { reservation_bytes: 8388609 } }",
            "limits.memory.reservation_bytes", "must be 0 to 8388608"},
           {"memory { max_bytes: 8388608 swap_bytes: 5 }", "clear: 'limits.memory.max_bytes'",
            "limits.memory.swap_bytes", "needs max_bytes"},
           {"cpu { quota_us: 5000 burst_us: 5000 }", "limits { cpu { quota_us: 4000 } }",
            "limits.cpu.burst_us", "must be 0 to 4000"},
           {"cpu { shares: 2 }", "limits { cpu { idle: true } }", "limits.cpu.idle",
            "excludes shares"},
           {"", "clear: 'pids'", "clear[0]", "is not the name of a limit"},
           {"", "clear: 'limits.pids.max'", "clear[0]", "is not the name of a limit"},
           {"", "clear: 'limits.hugetlb.page_size'", "clear[0]", "is not the name of a limit"},
           {"", "clear: 'limits.pids' clear: 'limits.'", "clear[1]", "is not the name of a limit"},
           {"", "limits { hugetlb { page_size: '2MB' } hugetlb { page_size: '2MB' max_bytes: 1 } }",
            "limits.hugetlb[1]", "is there already"},
           {"", "devices { devices { host_path: 'fuse' } }", "devices.devices[0].host_path",
            "must be an absolute path"},
           {"", "devices { devices { host_path: '/dev/fuse' permissions: 'x' } }",
            "devices.devices[0].permissions", "must be a subset of"},
       }) {
    auto next = ApplyUpdate(SpecWith(c.before), Request(c.request));
    ASSERT_TRUE(absl::IsInvalidArgument(next.status())) << c.request << ": " << next.status();
    const std::vector<FieldViolation> found = FieldViolationsOf(next.status());
    ASSERT_EQ(found.size(), 1u) << c.request << ": " << next.status();
    EXPECT_EQ(found[0].field, c.field) << c.request;
    EXPECT_NE(found[0].description.find(c.text), std::string::npos) << found[0].description;
  }
}

TEST(ApplyUpdate, NamesAllViolationsAtOnce) {
  std::string message = Updated("", "clear: 'x' limits { pids: 0 cpu { shares: 1 } }");
  for (const char* field : {"clear[0]", "limits.pids", "limits.cpu.shares"}) {
    EXPECT_NE(message.find(field), std::string::npos) << message;
  }
}

TEST(ApplyUpdate, BoundsWhatIsCleared) {
  UpdateRequest request;
  for (int i = 0; i < 65; ++i) request.add_clear("limits.pids");
  auto next = ApplyUpdate(SpecWith(""), request);
  ASSERT_EQ(FieldViolationsOf(next.status()).size(), 1u) << next.status();
  EXPECT_EQ(FieldViolationsOf(next.status())[0].field, "clear");
}

}  // namespace
}  // namespace noded::launch
