// Rules of what a container is given: mounts, devices, limits, log, privileges.
#include <string>

#include "gtest/gtest.h"
#include "node/base/status.h"
#include "node/launch/plan.h"
#include "tests/unit/launch/rules.h"
#include "tests/unit/launch/specs.h"

namespace noded::launch {
namespace {

using node::v1::ContainerSpec;

node::v1::Mount* AddBind(ContainerSpec& spec, const std::string& target,
                         const std::string& source = "/srv") {
  node::v1::Mount* mount = spec.add_mounts();
  mount->set_target(target);
  mount->mutable_bind()->set_source(source);
  return mount;
}

node::v1::TmpfsMount* AddTmpfs(ContainerSpec& spec) {
  spec.add_mounts()->set_target("/t");
  return spec.mutable_mounts(0)->mutable_tmpfs();
}

const std::string kNul("/a\0b", 4);

TEST(Validate, Mounts) {
  const std::string m = "spec.mounts[0]";
  ExpectViolations({
      {[](auto& s) { s.add_mounts()->set_target("/a"); }, m,
       "bind, tmpfs, volume or image is required"},
      {[](auto& s) {
         node::v1::Mount* mount = s.add_mounts();
         mount->set_target("/a");
         mount->mutable_volume()->set_name("../x");
       },
       m + ".volume.name", "\"../x\" must be a letter or digit followed by"},
      {[](auto& s) {
         node::v1::Mount* mount = s.add_mounts();
         mount->set_target("/a");
         mount->mutable_image();
       },
       m + ".image.image", "is required"},
      {[](auto& s) { AddBind(s, ""); }, m + ".target", "is required"},
      {[](auto& s) { AddBind(s, "a"); }, m + ".target", "\"a\" must be an absolute path"},
      {[](auto& s) { AddBind(s, "/a/../../etc"); }, m + ".target", "must not contain \"..\""},
      {[](auto& s) { AddBind(s, kNul); }, m + ".target", "NUL"},
      {[](auto& s) { AddBind(s, "/./"); }, m + ".target", "must not be \"/\"; use spec.root"},
      {[](auto& s) { AddBind(s, "//proc/"); }, m + ".target", "must not be \"/proc\""},
      {[](auto& s) { AddBind(s, "/a", "b"); }, m + ".bind.source", "must be an absolute path"},
      {[](auto& s) { AddBind(s, "/a", "/b/.."); }, m + ".bind.source", "\"..\""},
      {[](auto& s) { AddBind(s, "/a")->mutable_bind()->set_recursive_read_only(true); },
       m + ".bind.recursive_read_only", "needs read_only"},
      {[](auto& s) {
         AddBind(s, "/a")->mutable_bind()->set_propagation(
             static_cast<node::v1::MountPropagation>(7));
       },
       m + ".bind.propagation", "unknown value 7"},
      {[](auto& s) {
         MakeUserPrivate(s);
         AddBind(s, "/a")->mutable_bind()->set_propagation(node::v1::MOUNT_PROPAGATION_SHARED);
       },
       m + ".bind.propagation", "cannot be combined with a private user namespace"},
      {[](auto& s) { AddTmpfs(s)->set_size_bytes(-1); }, m + ".tmpfs.size_bytes",
       "-1 must be 1 or more"},
      {[](auto& s) { AddTmpfs(s)->set_size_bytes(0); }, m + ".tmpfs.size_bytes",
       "0 must be 1 or more"},
      {[](auto& s) { AddTmpfs(s)->set_mode(010000); }, m + ".tmpfs.mode",
       "4096 must be 0 to 4095 (07777)"},
      {[](auto& s) {
         AddBind(s, "/a/b");
         AddBind(s, "/a//b/");
       },
       "spec.mounts[1].target", "\"/a/b\" is mounted twice"},
      {[](auto& s) {
         for (int i = 0; i < 4097; ++i) AddBind(s, "/" + std::to_string(i));
       },
       "spec.mounts", "at most 4096 entries, has 4097"},
  });
  ExpectValid({[](auto& s) { AddBind(s, "/proc/meminfo"); }, [](auto& s) { AddBind(s, "/dev"); },
               [](auto& s) { AddBind(s, "/procession"); },
               [](auto& s) { AddTmpfs(s)->set_mode(0); }});
}

TEST(Validate, Devices) {
  const std::string d = "spec.devices[0].";
  auto device = [](const std::string& host, const std::string& inside = "",
                   const std::string& access = "") {
    return [=](ContainerSpec& s) {
      node::v1::Device* one = s.add_devices();
      one->set_host_path(host);
      one->set_container_path(inside);
      one->set_permissions(access);
    };
  };
  ExpectViolations({
      {device(""), d + "host_path", "is required"},
      {device("dev/fuse"), d + "host_path", "must be an absolute path"},
      {device("/dev/fuse", "fuse"), d + "container_path", "must be an absolute path"},
      {device("/dev/fuse", "/"), d + "container_path", "must not be \"/\""},
      {device("/dev/fuse", "", "x"), d + "permissions", "\"x\" must be a subset of \"rwm\""},
      {device("/dev/fuse", "", "rr"), d + "permissions", "must be a subset"},
      {[device](auto& s) {
         device("/dev/a", "/dev/x")(s);
         device("/dev/x")(s);
       },
       "spec.devices[1].host_path", "\"/dev/x\" is there twice"},
  });
  ExpectValid({device("/dev/fuse"), device("/dev/fuse", "/dev/f", "wr")});
}

TEST(Validate, Limits) {
  const std::string m = "spec.limits.memory.", c = "spec.limits.cpu.";
  auto memory = [](auto set) {
    return [set](ContainerSpec& s) { set(*s.mutable_limits()->mutable_memory()); };
  };
  auto cpu = [](auto set) {
    return [set](ContainerSpec& s) { set(*s.mutable_limits()->mutable_cpu()); };
  };
  ExpectViolations({
      {memory([](auto& l) { l.set_max_bytes(-1); }), m + "max_bytes", "-1 must be 6291456 or more"},
      {memory([](auto& l) { l.set_max_bytes(6291455); }), m + "max_bytes",
       "6291455 must be 6291456 or more"},
      {memory([](auto& l) { l.set_max_bytes(0); }), m + "max_bytes", "0 must be 6291456 or more"},
      {memory([](auto& l) { l.set_swap_bytes(0); }), m + "swap_bytes", "needs max_bytes"},
      {memory([](auto& l) { l.set_max_bytes(1 << 30), l.set_swap_bytes(-1); }), m + "swap_bytes",
       "-1 must be 0 to"},
      {memory([](auto& l) { l.set_max_bytes(INT64_MAX), l.set_swap_bytes(1); }), m + "swap_bytes",
       "1 must be 0 to 0"},
      {memory([](auto& l) { l.set_max_bytes(1 << 30), l.set_reservation_bytes((1 << 30) + 1); }),
       m + "reservation_bytes", "1073741825 must be 0 to 1073741824"},
      {memory([](auto& l) { l.set_reservation_bytes(-1); }), m + "reservation_bytes",
       "-1 must be 0 or more"},
      {memory([](auto& l) { l.set_high_bytes(-1); }), m + "high_bytes",
       "-1 must be 6291456 or more"},
      {memory([](auto& l) { l.set_high_bytes(0); }), m + "high_bytes", "0 must be 6291456 or more"},
      {memory([](auto& l) { l.set_max_bytes(1 << 30), l.set_high_bytes((1 << 30) + 1); }),
       m + "high_bytes", "1073741825 must be 6291456 to 1073741824"},
      {cpu([](auto& l) { l.set_shares(1); }), c + "shares", "1 must be 2 to 262144"},
      {cpu([](auto& l) { l.set_shares(UINT64_MAX); }), c + "shares", "must be 2 to 262144"},
      {cpu([](auto& l) { l.set_quota_us(999); }), c + "quota_us", "999 must be 1000 to"},
      {cpu([](auto& l) { l.set_quota_us(-1); }), c + "quota_us", "-1 must be 1000 to"},
      {cpu([](auto& l) { l.set_period_us(1000001); }), c + "period_us",
       "1000001 must be 1000 to 1000000"},
      {cpu([](auto& l) { l.set_burst_us(1); }), c + "burst_us", "needs quota_us"},
      {cpu([](auto& l) { l.set_quota_us(5000), l.set_burst_us(5001); }), c + "burst_us",
       "5001 must be 0 to 5000"},
      {cpu([](auto& l) { l.set_idle(true), l.set_shares(2); }), c + "idle", "excludes shares"},
      {[](auto& s) { s.mutable_limits()->set_pids(0); }, "spec.limits.pids",
       "0 must be 1 to 4194304"},
      {[](auto& s) { s.mutable_limits()->set_pids(-5); }, "spec.limits.pids",
       "-5 must be 1 to 4194304"},
  });
  for (const char* list :
       {"", ",", "0-", "-1", "2-1", "0,,1", "a", "0 1", "0-1-2", "65536", "0\n"}) {
    ExpectViolations(
        {{cpu([list](auto& l) { l.set_cpuset_cpus(list); }), c + "cpuset_cpus", "must be a list"},
         {cpu([list](auto& l) { l.set_cpuset_mems(list); }), c + "cpuset_mems", "must be a list"}});
  }
  ExpectValid(
      {memory([](auto& l) {
         l.set_max_bytes(6291456), l.set_swap_bytes(0), l.set_reservation_bytes(0);
       }),
       memory([](auto& l) { l.set_oom_group(false); }),
       cpu([](auto& l) { l.set_cpuset_cpus("0-2,5"), l.set_cpuset_mems("0"); }),
       cpu([](auto& l) { l.set_shares(2), l.set_quota_us(1000), l.set_period_us(1000000); }),
       [](auto& s) { s.mutable_limits()->mutable_block_io(); },
       [](auto& s) { s.mutable_limits()->set_pids(1); }});
}

TEST(Validate, BlockIoAndLists) {
  const std::string b = "spec.limits.block_io.";
  auto block = [](auto set) {
    return [set](ContainerSpec& s) { set(*s.mutable_limits()->mutable_block_io()); };
  };
  auto disk = [](const char* name, auto set) {
    return [name, set](ContainerSpec& s) {
      auto* one = s.mutable_limits()->mutable_block_io()->add_devices();
      one->set_device(name);
      set(*one);
    };
  };
  auto limits = [](auto set) { return [set](ContainerSpec& s) { set(*s.mutable_limits()); }; };
  auto one_rate = [](auto& l) { l.set_read_bytes_per_second(1); };
  ExpectViolations({
      {block([](auto& l) { l.set_weight(0); }), b + "weight", "0 must be 1 to 10000"},
      {block([](auto& l) { l.set_weight(10001); }), b + "weight", "10001 must be 1 to 10000"},
      {disk("vda", one_rate), b + "devices[0].device", "must be a path like"},
      {disk("8:", one_rate), b + "devices[0].device", "must be a path like"},
      {disk("/dev/../x", one_rate), b + "devices[0].device", ".."},
      {disk("8:0", [](auto&) {}), b + "devices[0]", "must set at least one rate"},
      {disk("8:0", [](auto& l) { l.set_write_operations_per_second(0); }),
       b + "devices[0].write_operations_per_second", "0 must be 1 to"},
      {disk("8:0", [](auto& l) { l.set_write_bytes_per_second(UINT64_MAX); }),
       b + "devices[0].write_bytes_per_second", "must be 1 to"},
      {disk("8:0", [](auto& l) { l.set_read_operations_per_second(uint64_t{1} << 32); }),
       b + "devices[0].read_operations_per_second", "4294967296 must be 1 to 4294967295"},
      {limits([](auto& l) { l.add_hugetlb(); }), "spec.limits.hugetlb[0].page_size",
       "must be 1 to 64"},
      {limits([](auto& l) { l.add_hugetlb()->set_page_size("2MB\n"); }),
       "spec.limits.hugetlb[0].page_size", "must be 1 to 64"},
      {limits([](auto& l) {
         l.add_hugetlb()->set_page_size("2MB"), l.add_hugetlb()->set_page_size("2MB");
       }),
       "spec.limits.hugetlb[1].page_size", "is there already"},
      {limits([](auto& l) { l.add_rdma()->set_device("a b"); }), "spec.limits.rdma[0].device",
       "must be 1 to 64"},
      {limits([](auto& l) { l.add_misc(); }), "spec.limits.misc[0].resource", "must be 1 to 64"},
      {limits([](auto& l) { l.add_net_priorities(); }), "spec.limits.net_priorities[0].interface",
       "must be 1 to 64"},
  });
  ExpectValid({disk("/dev/vda", one_rate), disk("8:16", one_rate),
               limits([](auto& l) { l.set_best_effort(true), l.set_net_class_id(1); }),
               limits([](auto& l) { l.add_hugetlb()->set_page_size("1GB"); })});
}

TEST(Validate, StopAndLog) {
  ExpectViolations({
      {[](auto& s) { s.set_stop_signal("NOPE"); }, "spec.stop_signal", "unknown signal \"NOPE\""},
      {[](auto& s) { s.set_stop_signal("0"); }, "spec.stop_signal", "must be 1 to 64"},
      {[](auto& s) { s.mutable_stop_grace()->set_seconds(-1); }, "spec.stop_grace",
       "must be 0 s to"},
      {[](auto& s) { s.mutable_stop_grace()->set_nanos(-1); }, "spec.stop_grace", "must be 0 s to"},
      {[](auto& s) { s.mutable_stop_grace()->set_nanos(1000000000); }, "spec.stop_grace",
       "must be 0 s to"},
      {[](auto& s) { s.mutable_stop_grace()->set_seconds(INT64_MAX); }, "spec.stop_grace",
       "must be 0 s to"},
      {[](auto& s) { s.mutable_log()->set_max_file_bytes(4095); }, "spec.log.max_file_bytes",
       "4095 must be 4096 or more"},
      {[](auto& s) { s.mutable_log()->set_max_files(0); }, "spec.log.max_files",
       "0 must be 1 to 1000"},
      {[](auto& s) { s.mutable_log()->set_max_files(1001); }, "spec.log.max_files",
       "1001 must be 1 to 1000"},
      {[](auto& s) { s.mutable_log()->set_full_policy(static_cast<node::v1::LogFullPolicy>(3)); },
       "spec.log.full_policy", "unknown value 3"},
      {[](auto& s) { s.set_cgroup_parent("pods"); }, "spec.cgroup_parent",
       "must be an absolute path"},
      {[](auto& s) { s.set_cgroup_parent("/pods/../system.slice"); }, "spec.cgroup_parent",
       "must not contain \"..\""},
  });
  ExpectValid(
      {[](auto& s) { s.set_stop_signal("SIGRTMIN+3"); }, [](auto& s) { s.mutable_stop_grace(); }});
}

TEST(Validate, ExtraHosts) {
  auto line = [](const std::string& text) {
    return [text](ContainerSpec& s) { s.add_extra_hosts(text); };
  };
  const std::string f = "spec.extra_hosts[0]",
                    rule = "must be an IP address and one or more host names";
  ExpectViolations({
      {line(""), f, rule},
      {line("10.0.0.5"), f, rule},
      {line("db 10.0.0.5"), f, rule},
      {line("10.0.0.256 db"), f, rule},
      {line("10.0.0.5 db\n1.2.3.4 evil"), f, rule},
      {line("10.0.0.5 db # x"), f, rule},
      {line(std::string("10.0.0.5 d\0b", 12)), f, "NUL"},
  });
  ExpectValid({line("10.0.0.5 db"), line("fe80::1\tdb db.example.org"), line("::1 a")});
}

TEST(Validate, Security) {
  const std::string x = "spec.security.";
  auto security = [](auto set) { return [set](ContainerSpec& s) { set(*s.mutable_security()); }; };
  ExpectViolations({
      {security([](auto& v) { v.add_add_capabilities("NET_ADMINS"); }), x + "add_capabilities[0]",
       "unknown capability \"NET_ADMINS\""},
      {security([](auto& v) { v.add_drop_capabilities(""); }), x + "drop_capabilities[0]",
       "unknown capability"},
      {security([](auto& v) { v.set_oom_score_adj(-1001); }), x + "oom_score_adj",
       "-1001 must be -1000 to 1000"},
      {security([](auto& v) { v.set_oom_score_adj(1001); }), x + "oom_score_adj",
       "1001 must be -1000 to 1000"},
      {security([](auto& v) { v.add_masked_paths("etc"); }), x + "masked_paths[0]",
       "must be an absolute path"},
      {security([](auto& v) { v.add_masked_paths("/"); }), x + "masked_paths[0]",
       "must not be \"/\""},
      {security([](auto& v) { v.add_read_only_paths("/a/.."); }), x + "read_only_paths[0]",
       "\"..\""},
      {security([](auto& v) { v.set_seccomp_profile("{"); }), x + "seccomp_profile",
       "not JSON: mistake at byte 2"},
      {security([](auto& v) { v.set_seccomp_profile(R"({"defaultAction": "X"})"); }),
       x + "seccomp_profile", "defaultAction: unknown action \"X\""},
  });
  ExpectValid({security(
      [](auto& v) { v.add_add_capabilities("all"), v.add_drop_capabilities("CAP_KILL"); })});
}

}  // namespace
}  // namespace noded::launch
