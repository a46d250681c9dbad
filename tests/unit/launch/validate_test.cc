// Rules of what a container is: name, root, process, user, namespaces.
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "node/base/status.h"
#include "node/launch/plan.h"
#include "tests/unit/launch/rules.h"
#include "tests/unit/launch/specs.h"

namespace noded::launch {
namespace {

using node::v1::ContainerSpec;
using testing::IsEmpty;
using testing::SizeIs;

constexpr node::v1::NamespaceMode kHost = node::v1::NAMESPACE_MODE_HOST;
constexpr node::v1::NamespaceMode kContainer = node::v1::NAMESPACE_MODE_CONTAINER;

node::v1::IdMap* AddUidMap(ContainerSpec& spec, uint32_t inside, uint32_t outside, uint32_t size) {
  node::v1::IdMap* map = spec.mutable_namespaces()->add_uid_maps();
  map->set_container_id(inside);
  map->set_host_id(outside);
  map->set_size(size);
  return map;
}

const std::string kNul("/a\0b", 4);

TEST(Validate, TheLeastSpec) {
  ExpectValid({[](auto& s) {}});
}

TEST(Validate, AllViolationsAreNamedAtOnceInTheOrderOfTheFields) {
  ContainerSpec spec;
  spec.set_name("a/b");
  spec.mutable_limits()->set_pids(0);
  std::vector<FieldViolation> violations = FieldViolationsOf(ValidateSpec(spec));
  ASSERT_THAT(violations, SizeIs(4));
  EXPECT_EQ(violations[0].field, "spec.name");
  EXPECT_EQ(violations[1].field, "spec.root");
  EXPECT_EQ(violations[2].field, "spec.process.argv");
  EXPECT_EQ(violations[3].field, "spec.limits.pids");
}

TEST(Validate, ALongListOfViolationsIsCut) {
  ContainerSpec spec = MinimalSpec();
  for (int i = 0; i < 1000; ++i) spec.mutable_process()->add_env(std::string(1000, 'x'));
  absl::Status status = ValidateSpec(spec);
  EXPECT_THAT(FieldViolationsOf(status), SizeIs(32));
  EXPECT_LT(status.message().size(), 8192u) << "an answer is bounded whatever the request was";
}

TEST(Validate, Identity) {
  const std::string name_rule = "must be a letter or digit followed by";
  ExpectViolations({
      {[](auto& s) { s.set_name("a/b"); }, "spec.name", name_rule},
      {[](auto& s) { s.set_name(".hidden"); }, "spec.name", name_rule},
      {[](auto& s) { s.set_name("a b"); }, "spec.name", "\"a b\""},
      {[](auto& s) { s.set_name("ü"); }, "spec.name", name_rule},
      {[](auto& s) { s.set_name(kNul); }, "spec.name", "\\000"},
      {[](auto& s) { s.set_name(std::string(129, 'a')); }, "spec.name", "at most 128 bytes"},
      {[](auto& s) { (*s.mutable_labels())[""] = "x"; }, "spec.labels", "key must not be empty"},
      {[](auto& s) { (*s.mutable_labels())["k"] = std::string(4097, 'v'); }, "spec.labels[\"k\"]",
       "value must be at most 4096 bytes, is 4097"},
      {[](auto& s) { (*s.mutable_labels())[std::string(4097, 'k')] = ""; },
       "spec.labels[\"" + std::string(80, 'k') + "…\"]", "key must be at most 4096 bytes"},
      {[](auto& s) {
         for (int i = 0; i < 257; ++i) (*s.mutable_labels())[std::to_string(i)] = "";
       },
       "spec.labels", "at most 256 entries, has 257"},
      {[](auto& s) { (*s.mutable_annotations())["k"] = std::string(256 << 10, 'v'); },
       "spec.annotations", "at most 262144 bytes together, are 262145"},
  });
  ExpectValid({
      [](auto& s) { s.set_name("web-1_a.B"); },
      [](auto& s) { s.set_name(std::string(128, 'a')); },
      [](auto& s) { s.set_name("0"); },
      [](auto& s) { (*s.mutable_labels())["app"] = std::string(4096, 'v'); },
  });
}

TEST(Validate, Root) {
  ExpectViolations({
      {[](auto& s) { s.clear_root(); }, "spec.root", "image or host_directory is required"},
      {[](auto& s) { s.mutable_root()->set_image(""); }, "spec.root.image", "is required"},
      {[](auto& s) { s.mutable_root()->set_writable_limit_bytes(0); },
       "spec.root.writable_limit_bytes", "0 must be 1048576 or more"},
      {[](auto& s) {
         s.mutable_root()->set_writable_limit_bytes(1 << 30);
         s.mutable_root()->set_read_only(true);
       },
       "spec.root.writable_limit_bytes", "a read-only root has no writable layer"},
      {[](auto& s) { s.mutable_root()->set_host_directory(""); }, "spec.root.host_directory",
       "is required"},
      {[](auto& s) { s.mutable_root()->set_host_directory("srv"); }, "spec.root.host_directory",
       "\"srv\" must be an absolute path"},
      {[](auto& s) { s.mutable_root()->set_host_directory("/srv/../etc"); },
       "spec.root.host_directory", "must not contain \"..\""},
      {[](auto& s) { s.mutable_root()->set_host_directory(kNul); }, "spec.root.host_directory",
       "must not contain a NUL byte"},
      {[](auto& s) { s.mutable_root()->set_host_directory("/" + std::string(256, 'a')); },
       "spec.root.host_directory", "each part of the path must be at most 255 bytes"},
      {[](auto& s) {
         std::string path;
         for (int i = 0; i < 1025; ++i) path += "/abc";
         s.mutable_root()->set_host_directory(path);
       },
       "spec.root.host_directory", "must be at most 4095 bytes, is 4100"},
  });
  ExpectValid({
      [](auto& s) { s.mutable_root()->set_host_directory("/srv/..data/a..b"); },
      [](auto& s) {
        s.mutable_root()->set_image("busybox");
        s.clear_process();  // the image may have a command
      },
  });
}

TEST(Validate, Process) {
  const std::string p = "spec.process.";
  ExpectViolations({
      {[](auto& s) { s.clear_process(); }, p + "argv", "is required"},
      {[](auto& s) { s.mutable_process()->clear_argv(); }, p + "argv", "is required"},
      {[](auto& s) { s.mutable_process()->set_argv(0, ""); }, p + "argv",
       "the command must not be empty"},
      {[](auto& s) { s.mutable_process()->add_entrypoint(""); }, p + "entrypoint[0]",
       "the command must not be empty"},
      {[](auto& s) {
         s.mutable_process()->add_entrypoint("sh");
         s.mutable_process()->set_no_entrypoint(true);
       },
       p + "no_entrypoint", "must not be set with entrypoint"},
      {[](auto& s) { s.mutable_process()->add_argv(kNul); }, p + "argv[1]", "NUL"},
      {[](auto& s) { s.mutable_process()->add_argv(std::string(131072, 'a')); }, p + "argv[1]",
       "must be at most 131071 bytes, is 131072"},
      {[](auto& s) {
         for (int i = 0; i < 49; ++i) s.mutable_process()->add_argv(std::string(131071, 'a'));
       },
       p + "argv", "must with env be at most 6291456 bytes"},
      {[](auto& s) { s.mutable_process()->add_env("NAME"); }, p + "env[0]",
       "must have the form NAME=value"},
      {[](auto& s) { s.mutable_process()->add_env("=value"); }, p + "env[0]",
       "must have the form NAME=value"},
      {[](auto& s) { s.mutable_process()->add_env(std::string("A=\0", 3)); }, p + "env[0]", "NUL"},
      {[](auto& s) { s.mutable_process()->set_working_directory("app"); }, p + "working_directory",
       "must be an absolute path"},
      {[](auto& s) { s.mutable_process()->set_working_directory("/a/.."); },
       p + "working_directory", "\"..\""},
      {[](auto& s) { s.mutable_process()->mutable_terminal_size()->set_height(1); },
       p + "terminal_size.width", "0 must be 1 to 65535"},
      {[](auto& s) {
         s.mutable_process()->mutable_terminal_size()->set_width(80);
         s.mutable_process()->mutable_terminal_size()->set_height(65536);
       },
       p + "terminal_size.height", "65536 must be 1 to 65535"},
      {[](auto& s) { s.mutable_process()->set_stdin_once(true); }, p + "stdin_once", "needs stdin"},
  });
}

TEST(Validate, User) {
  const std::string u = "spec.process.user.";
  auto name = [](const std::string& text) {
    return [text](ContainerSpec& s) { s.mutable_process()->mutable_user()->set_name(text); };
  };
  ExpectViolations({
      {name(":group"), u + "name", "must be a name or a number"},
      {name("user:"), u + "name", "must be a name or a number"},
      {name("a:b:c"), u + "name", "must be a name or a number"},
      {name("a\nroot"), u + "name", "must be a name or a number"},
      {name(std::string("a\0", 2)), u + "name", "NUL"},
      {name("4294967295"), u + "name", "must be 0 to 4294967294"},
      {name("0:99999999999"), u + "name", "must be 0 to 4294967294"},
      {[](auto& s) {
         s.mutable_process()->mutable_user()->set_name("www");
         s.mutable_process()->mutable_user()->set_uid(1);
       },
       u + "uid", "must be absent when name is given"},
      {[](auto& s) {
         s.mutable_process()->mutable_user()->set_name("www");
         s.mutable_process()->mutable_user()->set_gid(0);
       },
       u + "gid", "must be absent when name is given"},
      {[](auto& s) { s.mutable_process()->mutable_user()->set_uid(UINT32_MAX); }, u + "uid",
       "must be 0 to 4294967294"},
      {[](auto& s) { s.mutable_process()->mutable_user()->set_gid(UINT32_MAX); }, u + "gid",
       "must be 0 to 4294967294"},
      {[](auto& s) { s.mutable_process()->mutable_user()->add_additional_groups(""); },
       u + "additional_groups[0]", "must be a name or a number"},
      {[](auto& s) { s.mutable_process()->mutable_user()->add_additional_groups("a:b"); },
       u + "additional_groups[0]", "must be a name or a number"},
  });
  ExpectValid({name("user"), name("user:group"), name("0"), name("1000:1000"),
               name("4294967294:video"),
               [](auto& s) { s.mutable_process()->mutable_user()->set_uid(UINT32_MAX - 1); }});
}

TEST(Validate, Rlimits) {
  auto limit = [](const std::string& name, uint64_t soft, uint64_t hard) {
    return [=](ContainerSpec& s) {
      node::v1::Rlimit* one = s.mutable_process()->add_rlimits();
      one->set_name(name);
      one->set_soft(soft);
      one->set_hard(hard);
    };
  };
  ExpectViolations({
      {limit("files", 1, 1), "spec.process.rlimits[0].name",
       "\"files\" must be one of as, core, cpu,"},
      {limit("NOFILE", 1, 1), "spec.process.rlimits[0].name", "must be one of"},
      {limit("nofile", 2, 1), "spec.process.rlimits[0].soft", "2 must be at most hard, 1"},
      {[limit](auto& s) {
         limit("nofile", 1, 1)(s);
         limit("nofile", 2, 2)(s);
       },
       "spec.process.rlimits[1].name", "\"nofile\" is there twice"},
  });
  for (const char* name :
       {"as", "core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice", "nofile",
        "nproc", "rss", "rtprio", "rttime", "sigpending", "stack"}) {
    ExpectValid({limit(name, 0, UINT64_MAX)});
  }
}

TEST(Validate, Hostname) {
  ExpectViolations({
      {[](auto& s) { s.set_hostname(std::string(65, 'a')); }, "spec.hostname", "at most 64 bytes"},
      {[](auto& s) { s.set_hostname("a b"); }, "spec.hostname",
       "must be a letter or digit followed by"},
      {[](auto& s) { s.set_hostname("-a"); }, "spec.hostname",
       "must be a letter or digit followed by"},
      {[](auto& s) {
         s.set_hostname("a");
         s.mutable_namespaces()->mutable_uts()->set_mode(kHost);
       },
       "spec.hostname", "must be empty unless spec.namespaces.uts is private"},
  });
  ExpectValid({[](auto& s) { s.set_hostname("web-1.example.org"); }});
}

TEST(Validate, Namespaces) {
  const std::string n = "spec.namespaces.";
  ExpectViolations({
      {[](auto& s) {
         s.mutable_namespaces()->mutable_pid()->set_mode(static_cast<node::v1::NamespaceMode>(9));
       },
       n + "pid.mode", "unknown value 9"},
      {[](auto& s) { s.mutable_namespaces()->mutable_network()->set_mode(kContainer); },
       n + "network.container", "is required with NAMESPACE_MODE_CONTAINER"},
      {[](auto& s) { s.mutable_namespaces()->mutable_ipc()->set_container("x"); },
       n + "ipc.container", "must be empty unless"},
      {[](auto& s) {
         s.mutable_namespaces()->mutable_cgroup()->set_mode(kContainer);
         s.mutable_namespaces()->mutable_cgroup()->set_container("x");
       },
       n + "cgroup.mode", "another container's cannot be taken"},
      {[](auto& s) {
         s.mutable_namespaces()->mutable_user()->set_mode(kContainer);
         s.mutable_namespaces()->mutable_user()->set_container("x");
       },
       n + "user.mode", "another container's cannot be taken"},
      {[](auto& s) { AddUidMap(s, 0, 1, 1); }, n + "uid_maps",
       "must be empty unless the user namespace is private"},
      {[](auto& s) { s.mutable_namespaces()->add_gid_maps()->set_size(1); }, n + "gid_maps",
       "must be empty unless the user namespace is private"},
      {[](auto& s) {
         MakeUserPrivate(s);
         s.mutable_namespaces()->mutable_pid()->set_mode(kContainer);
         s.mutable_namespaces()->mutable_pid()->set_container("x");
       },
       n + "pid.mode", "cannot be combined with a private user namespace"},
  });
  for (auto member : {&node::v1::Namespaces::mutable_pid, &node::v1::Namespaces::mutable_network,
                      &node::v1::Namespaces::mutable_ipc, &node::v1::Namespaces::mutable_uts}) {
    ExpectValid({[member](auto& s) { (s.mutable_namespaces()->*member)()->set_mode(kHost); },
                 [member](auto& s) {
                   (s.mutable_namespaces()->*member)()->set_mode(kContainer);
                   (s.mutable_namespaces()->*member)()->set_container("pause");
                 }});
  }
}

TEST(Validate, IdMaps) {
  const std::string m = "spec.namespaces.uid_maps";
  ExpectViolations({
      {[](auto& s) {
         MakeUserPrivate(s);
         s.mutable_namespaces()->clear_uid_maps();
       },
       m, "is required when the user namespace is private"},
      {[](auto& s) {
         MakeUserPrivate(s);
         s.mutable_namespaces()->mutable_uid_maps(0)->set_container_id(1);
       },
       m, "container id 0 must be mapped"},
      {[](auto& s) {
         MakeUserPrivate(s);
         AddUidMap(s, 70000, 300000, 0);
       },
       m + "[1].size", "0 must be 1 or more"},
      {[](auto& s) {
         MakeUserPrivate(s);
         AddUidMap(s, 65535, 300000, 1);
       },
       m + "[1].container_id", "overlaps spec.namespaces.uid_maps[0]"},
      {[](auto& s) {
         MakeUserPrivate(s);
         AddUidMap(s, 65536, 99999, 2);
       },
       m + "[1].host_id", "overlaps spec.namespaces.uid_maps[0]"},
      {[](auto& s) {
         MakeUserPrivate(s);
         AddUidMap(s, 65536, UINT32_MAX, 1);
       },
       m + "[1].size", "the range must end at 4294967294 or below"},
      {[](auto& s) {
         MakeUserPrivate(s);
         for (uint32_t i = 0; i < 340; ++i) AddUidMap(s, 100000 + i, 200000 + i, 1);
       },
       m, "at most 340 entries, has 341"},
  });
  ExpectValid({[](auto& s) { MakeUserPrivate(s); },
               [](auto& s) {
                 MakeUserPrivate(s);
                 AddUidMap(s, 65536, 165536, UINT32_MAX - 165536);
               }});
}

TEST(Validate, Sysctls) {
  auto sysctl = [](const std::string& name, const std::string& value = "1") {
    return [=](ContainerSpec& s) { (*s.mutable_sysctls())[name] = value; };
  };
  auto in_host = [sysctl](auto member, const std::string& name) {
    return [=](ContainerSpec& s) {
      (s.mutable_namespaces()->*member)()->set_mode(kHost);
      sysctl(name)(s);
    };
  };
  using node::v1::Namespaces;
  ExpectViolations({
      {sysctl("kernel.hostname"), "spec.sysctls[\"kernel.hostname\"]", "use spec.hostname"},
      {sysctl("vm.swappiness"), "spec.sysctls[\"vm.swappiness\"]",
       "must belong to a namespace of the container"},
      {sysctl("kernel.shmx"), "spec.sysctls[\"kernel.shmx\"]",
       "must belong to a namespace of the container"},
      {sysctl("kernel.core_pattern"), "spec.sysctls[\"kernel.core_pattern\"]",
       "must belong to a namespace"},
      {sysctl("netfoo"), "spec.sysctls[\"netfoo\"]", "must belong to a namespace"},
      {sysctl("net"), "spec.sysctls[\"net\"]", "must belong to a namespace"},
      {sysctl("net..x"), "spec.sysctls[\"net..x\"]", "must be a name like"},
      {sysctl("net.//.//.kernel.core_pattern"), "spec.sysctls[\"net.//.//.kernel.core_pattern\"]",
       "must be a name like"},
      {sysctl("net.ipv4./"), "spec.sysctls[\"net.ipv4./\"]", "must be a name like"},
      {sysctl("net.a b"), "spec.sysctls[\"net.a b\"]", "must be a name like"},
      {sysctl(""), "spec.sysctls[\"\"]", "must be a name like"},
      {sysctl("net.core.somaxconn", ""), "spec.sysctls[\"net.core.somaxconn\"]",
       "value must not be empty"},
      {sysctl("net.core.somaxconn", std::string(4096, '1')), "spec.sysctls[\"net.core.somaxconn\"]",
       "must be at most 4095 bytes"},
      {in_host(&Namespaces::mutable_network, "net.core.somaxconn"),
       "spec.sysctls[\"net.core.somaxconn\"]", "must not be set in the host's network namespace"},
      {in_host(&Namespaces::mutable_ipc, "kernel.sem"), "spec.sysctls[\"kernel.sem\"]",
       "must not be set in the host's ipc namespace"},
      {in_host(&Namespaces::mutable_ipc, "fs.mqueue.msg_max"),
       "spec.sysctls[\"fs.mqueue.msg_max\"]", "must not be set in the host's ipc namespace"},
      {in_host(&Namespaces::mutable_uts, "kernel.domainname"),
       "spec.sysctls[\"kernel.domainname\"]", "must not be set in the host's uts namespace"},
  });
  ExpectValid({sysctl("net.ipv4.ip_forward"), sysctl("net.ipv4.conf.eth0/1.rp_filter"),
               sysctl("kernel.shmmax"), sysctl("kernel.msgmnb"), sysctl("fs.mqueue.queues_max"),
               sysctl("kernel.domainname", "example.org"), [sysctl](auto& s) {
                 s.mutable_namespaces()->mutable_network()->set_mode(kContainer);
                 s.mutable_namespaces()->mutable_network()->set_container("pause");
                 sysctl("net.core.somaxconn")(s);
               }});
}

TEST(ValidateProcess, NamesFieldsFromItsOwnPrefix) {
  node::v1::Process process;
  process.add_env("X");
  std::vector<FieldViolation> violations =
      FieldViolationsOf(ValidateProcess(process, "start.process"));
  ASSERT_THAT(violations, SizeIs(2));
  EXPECT_EQ(violations[0].field, "start.process.argv");
  EXPECT_EQ(violations[1].field, "start.process.env[0]");
  process.clear_env();
  process.add_argv("ls");
  EXPECT_THAT(FieldViolationsOf(ValidateProcess(process, "start.process")), IsEmpty());
}

}  // namespace
}  // namespace noded::launch
