// Profiles are compiled and then run: a small interpreter of classic BPF says what the kernel would
// do with a system call.
#include "node/launch/seccomp.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/syscall.h>

#include <cstring>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "node/base/status.h"
#include "node/launch/plan.h"
#include "node/launch/seccomp_cache.h"

namespace noded::launch {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

#if defined(__x86_64__)
constexpr uint32_t kNative = AUDIT_ARCH_X86_64;
constexpr char kNativeName[] = "amd64";
#elif defined(__aarch64__)
constexpr uint32_t kNative = AUDIT_ARCH_AARCH64;
constexpr char kNativeName[] = "arm64";
#endif
constexpr uint32_t kAllow = SECCOMP_RET_ALLOW;

constexpr uint32_t Errno(int error) { return SECCOMP_RET_ERRNO | error; }

seccomp_data Call(int number, std::vector<uint64_t> arguments = {}, uint32_t arch = kNative) {
  seccomp_data data = {};
  data.nr = number;
  data.arch = arch;
  for (size_t i = 0; i < arguments.size(); ++i) data.args[i] = arguments[i];
  return data;
}

uint32_t Alu(uint16_t code, uint32_t a, uint32_t operand) {
  switch (BPF_OP(code)) {
    case BPF_AND:
      return a & operand;
    case BPF_OR:
      return a | operand;
    default:
      ADD_FAILURE() << "arithmetic " << code;
      return 0;
  }
}

bool Holds(uint16_t code, uint32_t a, uint32_t operand) {
  switch (BPF_OP(code)) {
    case BPF_JEQ:
      return a == operand;
    case BPF_JGT:
      return a > operand;
    case BPF_JGE:
      return a >= operand;
    case BPF_JSET:
      return (a & operand) != 0;
    default:
      ADD_FAILURE() << "jump " << code;
      return false;
  }
}

// What the filter answers. Jumps lead forward only, as the kernel demands, so it ends.
uint32_t Verdict(const std::string& program, const seccomp_data& data) {
  std::vector<sock_filter> code(program.size() / sizeof(sock_filter));
  std::memcpy(code.data(), program.data(), program.size());
  uint32_t a = 0;
  for (size_t pc = 0; pc < code.size(); ++pc) {
    const sock_filter& one = code[pc];
    switch (BPF_CLASS(one.code)) {
      case BPF_LD:
        if (one.k + 4 > sizeof(data)) return ADD_FAILURE() << "load at " << one.k, 0;
        std::memcpy(&a, reinterpret_cast<const char*>(&data) + one.k, 4);
        break;
      case BPF_ALU:
        a = Alu(one.code, a, one.k);
        break;
      case BPF_JMP:
        pc += BPF_OP(one.code) == BPF_JA ? one.k : Holds(one.code, a, one.k) ? one.jt : one.jf;
        break;
      case BPF_RET:
        return one.k;
      default:
        return ADD_FAILURE() << "instruction " << one.code, 0;
    }
  }
  return ADD_FAILURE() << "ran off the end", 0;
}

std::string Compile(const std::string& json, uint64_t capabilities = 0) {
  absl::StatusOr<std::string> program = CompileSeccomp(json, capabilities, "profile");
  EXPECT_TRUE(program.ok()) << program.status();
  return program.ok() ? *std::move(program) : "";
}

std::string Message(const std::string& json) {
  absl::Status status = CompileSeccomp(json, 0, "profile").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << json;
  std::vector<FieldViolation> violations = FieldViolationsOf(status);
  if (violations.size() != 1) return ADD_FAILURE() << "violations: " << violations.size(), "";
  EXPECT_EQ(violations[0].field, "profile");
  return violations[0].description;
}

TEST(Seccomp, AllowList) {
  std::string program = Compile(R"({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [
      {"names": ["read", "write"], "action": "SCMP_ACT_ALLOW"},
      {"name": "getpid", "action": "SCMP_ACT_ALLOW"}]})");
  EXPECT_EQ(Verdict(program, Call(SYS_read)), kAllow);
  EXPECT_EQ(Verdict(program, Call(SYS_write)), kAllow);
  EXPECT_EQ(Verdict(program, Call(SYS_getpid)), kAllow);
  EXPECT_EQ(Verdict(program, Call(SYS_close)), Errno(EPERM));
  EXPECT_EQ(Verdict(program, Call(SYS_mount)), Errno(EPERM));
}

TEST(Seccomp, DenyListWithActions) {
  std::string program = Compile(R"({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
      {"names": ["mount"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38},
      {"names": ["reboot"], "action": "SCMP_ACT_KILL_PROCESS"},
      {"names": ["swapon"], "action": "SCMP_ACT_KILL"},
      {"names": ["acct"], "action": "SCMP_ACT_TRAP"},
      {"names": ["ptrace"], "action": "SCMP_ACT_TRACE", "errnoRet": 7},
      {"names": ["bpf"], "action": "SCMP_ACT_LOG"}]})");
  EXPECT_EQ(Verdict(program, Call(SYS_read)), kAllow);
  EXPECT_EQ(Verdict(program, Call(SYS_mount)), Errno(ENOSYS));
  EXPECT_EQ(Verdict(program, Call(SYS_reboot)), SECCOMP_RET_KILL_PROCESS);
  EXPECT_EQ(Verdict(program, Call(SYS_swapon)), SECCOMP_RET_KILL_THREAD);
  EXPECT_EQ(Verdict(program, Call(SYS_acct)), SECCOMP_RET_TRAP);
  EXPECT_EQ(Verdict(program, Call(SYS_ptrace)), SECCOMP_RET_TRACE | 7);
  EXPECT_EQ(Verdict(program, Call(SYS_bpf)), SECCOMP_RET_LOG);
  EXPECT_EQ(Verdict(program, Call(999)), kAllow)
      << "what allows by default says nothing of new calls";
}

TEST(Seccomp, ArgumentsOfAllSixtyFourBits) {
  struct {
    const char* op;
    uint64_t value, value_two, given;
    bool matches;
  } cases[] = {
      {"SCMP_CMP_EQ", 0x1'0000'0002, 0, 0x1'0000'0002, true},
      {"SCMP_CMP_EQ", 0x1'0000'0002, 0, 0x2, false},
      {"SCMP_CMP_NE", 5, 0, 5, false},
      {"SCMP_CMP_NE", 5, 0, 0x1'0000'0005, true},
      {"SCMP_CMP_LT", 12, 0, 11, true},
      {"SCMP_CMP_LT", 12, 0, 12, false},
      {"SCMP_CMP_LE", 12, 0, 12, true},
      {"SCMP_CMP_LE", 12, 0, 0x1'0000'0000, false},
      {"SCMP_CMP_GT", 12, 0, 13, true},
      {"SCMP_CMP_GT", 12, 0, 12, false},
      {"SCMP_CMP_GE", 12, 0, 12, true},
      {"SCMP_CMP_GE", UINT64_MAX, 0, UINT64_MAX, true},
      {"SCMP_CMP_GE", UINT64_MAX, 0, UINT64_MAX - 1, false},
      {"SCMP_CMP_MASKED_EQ", 0x7E020000, 0, 0x11, true},
      {"SCMP_CMP_MASKED_EQ", 0x7E020000, 0, 0x10000000, false},
      {"SCMP_CMP_MASKED_EQ", 0xF0, 0x30, 0x3F, true},
  };
  for (const auto& one : cases) {
    std::string program = Compile(
        R"({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{"names": ["clone"], "action": "SCMP_ACT_ALLOW",
            "args": [{"index": 2, "op": ")" +
        std::string(one.op) + R"(", "value": )" + std::to_string(one.value) + R"(, "valueTwo": )" +
        std::to_string(one.value_two) + "}]}]}");
    EXPECT_EQ(Verdict(program, Call(SYS_clone, {9, 9, one.given})) == kAllow, one.matches)
        << one.op << " " << one.value << " " << one.value_two << " given " << one.given;
  }
}

TEST(Seccomp, SeveralArgumentsMustAllHoldButOneArgumentAnyOf) {
  std::string both = Compile(R"({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [
      {"names": ["socket"], "action": "SCMP_ACT_ALLOW", "args": [
        {"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}, {"index": 1, "value": 2, "op": "SCMP_CMP_EQ"}]}]})");
  EXPECT_EQ(Verdict(both, Call(SYS_socket, {1, 2})), kAllow);
  EXPECT_EQ(Verdict(both, Call(SYS_socket, {1, 3})), Errno(EPERM));
  std::string any = Compile(R"({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [
      {"names": ["socket"], "action": "SCMP_ACT_ALLOW", "args": [
        {"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}, {"index": 0, "value": 2, "op": "SCMP_CMP_EQ"}]}]})");
  EXPECT_EQ(Verdict(any, Call(SYS_socket, {1})), kAllow);
  EXPECT_EQ(Verdict(any, Call(SYS_socket, {2})), kAllow);
  EXPECT_EQ(Verdict(any, Call(SYS_socket, {3})), Errno(EPERM));
}

TEST(Seccomp, IncludesAndExcludes) {
  auto allows_mount = [](const std::string& condition, uint64_t capabilities) {
    std::string program =
        Compile(R"({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{"names": ["mount"],
                    "action": "SCMP_ACT_ALLOW", )" +
                    condition + "}]}",
                capabilities);
    return Verdict(program, Call(SYS_mount)) == kAllow;
  };
  const uint64_t admin = uint64_t{1} << CAP_SYS_ADMIN, boot = uint64_t{1} << CAP_SYS_BOOT;
  const std::string caps = R"({"caps": ["CAP_SYS_ADMIN", "CAP_SYS_BOOT"]})";
  EXPECT_FALSE(allows_mount(R"("includes": )" + caps, 0));
  EXPECT_FALSE(allows_mount(R"("includes": )" + caps, admin)) << "all of them";
  EXPECT_TRUE(allows_mount(R"("includes": )" + caps, admin | boot));
  EXPECT_TRUE(allows_mount(R"("excludes": )" + caps, 0));
  EXPECT_FALSE(allows_mount(R"("excludes": )" + caps, boot)) << "any of them";

  const std::string native = std::string(R"({"arches": ["s390x", ")") + kNativeName + "\"]}";
  EXPECT_TRUE(allows_mount(R"("includes": )" + native, 0));
  EXPECT_FALSE(allows_mount(R"("includes": {"arches": ["s390x"]})", 0));
  EXPECT_FALSE(allows_mount(R"("excludes": )" + native, 0));

  EXPECT_TRUE(allows_mount(R"("includes": {"minKernel": "4.8"})", 0));
  EXPECT_FALSE(allows_mount(R"("includes": {"minKernel": "255.0"})", 0));
  EXPECT_FALSE(allows_mount(R"("excludes": {"minKernel": "4.8"})", 0));
  EXPECT_TRUE(allows_mount(R"("includes": null, "excludes": {}, "comment": "x")", 0));
}

TEST(Seccomp, UnknownCallsOfTheProfileAreSkipped) {
  std::string program = Compile(R"({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [
      {"names": ["read", "no_such_call", "riscv_hwprobe"], "action": "SCMP_ACT_ALLOW"}]})");
  EXPECT_EQ(Verdict(program, Call(SYS_read)), kAllow);
}

TEST(Seccomp, CallsThatNoProfileCanNameAreAbsentAndNotForbidden) {
  std::string program = Compile(R"({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [
      {"names": ["read"], "action": "SCMP_ACT_ALLOW"}]})");
  EXPECT_EQ(Verdict(program, Call(900)), Errno(ENOSYS));
  EXPECT_EQ(Verdict(program, Call(SYS_close_range)), Errno(EPERM)) << "known, and not allowed";
  EXPECT_EQ(Verdict(program, Call(-1)), Errno(EPERM)) << "a tracer's skipped call";
  std::string deadly = Compile(R"({"defaultAction": "SCMP_ACT_KILL_PROCESS", "syscalls": [
      {"names": ["read"], "action": "SCMP_ACT_ALLOW"}]})");
  EXPECT_EQ(Verdict(deadly, Call(900)), SECCOMP_RET_KILL_PROCESS);
}

#if defined(__x86_64__)
TEST(Seccomp, Architectures) {
  const std::string rules = R"("syscalls": [{"names": ["getpid"], "action": "SCMP_ACT_ALLOW"}]})";
  constexpr int kGetpidOfX86 = 20;
  std::string mapped = Compile(R"({"defaultAction": "SCMP_ACT_ERRNO", "archMap": [
      {"architecture": "SCMP_ARCH_AARCH64", "subArchitectures": ["SCMP_ARCH_ARM"]},
      {"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86", "SCMP_ARCH_X32"]},
      {"architecture": "SCMP_ARCH_LOONGARCH64", "subArchitectures": null}], )" +
                               rules);
  std::string listed = Compile(R"({"defaultAction": "SCMP_ACT_ERRNO",
      "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_LOONGARCH64"], )" +
                               rules);
  for (const std::string& program : {mapped, listed}) {
    EXPECT_EQ(Verdict(program, Call(SYS_getpid)), kAllow);
    EXPECT_EQ(Verdict(program, Call(kGetpidOfX86, {}, AUDIT_ARCH_I386)), kAllow);
    EXPECT_EQ(Verdict(program, Call(SYS_getpid, {}, AUDIT_ARCH_I386)), Errno(EPERM));
    EXPECT_EQ(Verdict(program, Call(SYS_getpid, {}, AUDIT_ARCH_AARCH64)), SECCOMP_RET_KILL_THREAD);
  }
  std::string native = Compile(R"({"defaultAction": "SCMP_ACT_ERRNO", )" + rules);
  EXPECT_EQ(Verdict(native, Call(kGetpidOfX86, {}, AUDIT_ARCH_I386)), SECCOMP_RET_KILL_THREAD)
      << "32-bit calls must not slip past a filter that does not look at them";
}
#endif

// In the manner of Docker's default: a long list, and conditions on clone.
TEST(Seccomp, ALongListMeansTheSameAsAShortOne) {
  std::string names;
  const std::pair<const char*, int> allowed[] = {
#define CALL(name) {#name, SYS_##name}
      CALL(read),        CALL(write),     CALL(close),      CALL(fstat),   CALL(lseek),
      CALL(mmap),        CALL(mprotect),  CALL(munmap),     CALL(brk),     CALL(rt_sigaction),
      CALL(ioctl),       CALL(pread64),   CALL(pwrite64),   CALL(readv),   CALL(writev),
      CALL(sched_yield), CALL(mremap),    CALL(msync),      CALL(madvise), CALL(dup),
      CALL(nanosleep),   CALL(getpid),    CALL(socketpair), CALL(connect), CALL(accept),
      CALL(sendto),      CALL(recvfrom),  CALL(bind),       CALL(listen),  CALL(execve),
      CALL(exit),        CALL(wait4),     CALL(kill),       CALL(uname),   CALL(fcntl),
      CALL(openat),      CALL(getrandom), CALL(statx),      CALL(rseq),    CALL(futex)};
#undef CALL
  for (const auto& [name, number] : allowed)
    names += std::string(names.empty() ? "" : ",") + '"' + name + '"';
  const std::string profile =
      R"({"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 1, "syscalls": [
      {"names": [)" +
      names + R"(], "action": "SCMP_ACT_ALLOW"},
      {"names": ["clone"], "action": "SCMP_ACT_ALLOW", "excludes": {"caps": ["CAP_SYS_ADMIN"]},
       "args": [{"index": 0, "value": 2114060288, "op": "SCMP_CMP_MASKED_EQ"}]},
      {"names": ["clone", "unshare"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_SYS_ADMIN"]}},
      {"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38}]})";
  std::string program = Compile(profile);
  for (const auto& [name, number] : allowed)
    EXPECT_EQ(Verdict(program, Call(number)), kAllow) << name;
  EXPECT_EQ(Verdict(program, Call(SYS_mount)), Errno(EPERM));
  EXPECT_EQ(Verdict(program, Call(SYS_clone, {0x11})), kAllow);
  EXPECT_EQ(Verdict(program, Call(SYS_clone, {0x10000000})), Errno(EPERM)) << "CLONE_NEWUSER";
  EXPECT_EQ(Verdict(program, Call(SYS_clone3)), Errno(ENOSYS));
  EXPECT_EQ(Verdict(program, Call(SYS_unshare)), Errno(EPERM));
  std::string admin = Compile(profile, uint64_t{1} << CAP_SYS_ADMIN);
  EXPECT_EQ(Verdict(admin, Call(SYS_unshare)), kAllow);
  EXPECT_EQ(Verdict(admin, Call(SYS_clone, {0x10000000})), kAllow);
}

TEST(Seccomp, RulesThatSayWhatHappensAnyway) {
  std::string program = Compile(R"({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
      {"names": ["read"], "action": "SCMP_ACT_ALLOW"}]})");
  EXPECT_EQ(Verdict(program, Call(SYS_read)), kAllow);
  EXPECT_EQ(Verdict(Compile(R"({"defaultAction": "SCMP_ACT_ALLOW"})"), Call(SYS_read)), kAllow);
}

TEST(Seccomp, Flags) {
  auto flags = [](const std::string& list) {
    return CompileSeccompFilter(R"({"defaultAction": "SCMP_ACT_ALLOW", "flags": )" + list + "}", 0,
                                "f")
        ->flags;
  };
  EXPECT_EQ(flags("[]"), 0u);
  EXPECT_EQ(flags(R"(["SECCOMP_FILTER_FLAG_TSYNC"])"), 0u);
  EXPECT_EQ(flags(R"(["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW"])"), 6u);
}

TEST(SeccompCache, TellsProfilesAndCapabilitiesApartAndForgetsTheOldest) {
  SeccompCache cache;
  EXPECT_EQ(cache.Find("a", 1), std::nullopt);
  cache.Keep("a", 1, {.program = "a1"});
  cache.Keep("a", 2, {.program = "a2", .flags = 2});
  EXPECT_EQ(cache.Find("a", 1)->program, "a1");
  EXPECT_EQ(cache.Find("a", 2)->program, "a2");
  EXPECT_EQ(cache.Find("a", 2)->flags, 2u);
  EXPECT_EQ(cache.Find("b", 1), std::nullopt);

  for (size_t i = 2; i < SeccompCache::kEntries; ++i) cache.Keep(std::to_string(i), 0, {});
  ASSERT_NE(cache.Find("a", 1), std::nullopt) << "full; now used last";
  cache.Keep("b", 1, {});
  EXPECT_EQ(cache.Find("a", 2), std::nullopt) << "the oldest made room";
  EXPECT_NE(cache.Find("a", 1), std::nullopt);

  const std::string large(SeccompCache::kMaxProfileBytes + 1, ' ');
  cache.Keep(large, 0, {});
  EXPECT_EQ(cache.Find(large, 0), std::nullopt);
}

TEST(Seccomp, MistakesAreNamedWithTheirPlace) {
  const std::string head = R"({"defaultAction": "SCMP_ACT_ALLOW", )";
  const std::string rule = head + R"("syscalls": [{"names": ["read"], "action": "SCMP_ACT_LOG"}, )";
  const std::pair<std::string, std::string> cases[] = {
      {"", "not JSON: mistake at byte 1"},
      {R"({"defaultAction": })", "not JSON: mistake at byte 19"},
      {R"({"defaultAction": 1e999})", "a number is out of range"},
      {"[]", "must be a JSON object"},
      {"{}", "defaultAction: is required"},
      {R"({"defaultAction": 7})", "defaultAction: must be a string"},
      {R"({"defaultAction": "SCMP_ACT_MAYBE"})",
       "defaultAction: unknown action \"SCMP_ACT_MAYBE\""},
      {R"({"defaultAction": "SCMP_ACT_NOTIFY"})",
       "defaultAction: SCMP_ACT_NOTIFY is not supported yet"},
      {R"({"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 4096})",
       "defaultErrnoRet: must be a whole number of 0 to 4095"},
      {R"({"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": -1})", "defaultErrnoRet: must be"},
      {head + R"("syscalls": {}})", "syscalls: must be a list of objects"},
      {head + R"("syscalls": [1]})", "syscalls[0]: must be an object"},
      {rule + R"({"names": ["x"]}]})", "syscalls[1].action: is required"},
      {rule + R"({"names": ["x"], "action": "ALLOW"}]})",
       "syscalls[1].action: unknown action \"ALLOW\""},
      {rule + R"({"name": "x", "names": ["y"], "action": "SCMP_ACT_LOG"}]})",
       "syscalls[1]: must not have both name and names"},
      {rule + R"({"names": [1], "action": "SCMP_ACT_LOG"}]})",
       "syscalls[1].names: must be a list of strings"},
      {rule + R"({"names": ["x"], "action": "SCMP_ACT_LOG", "args": [{"op": "=="}]}]})",
       "syscalls[1].args[0].op: unknown operator \"==\""},
      {rule +
           R"({"names": ["x"], "action": "SCMP_ACT_LOG", "args": [{"index": 6, "op": "SCMP_CMP_EQ"}]}]})",
       "syscalls[1].args[0].index: must be a whole number of 0 to 5"},
      {rule +
           R"({"names": ["x"], "action": "SCMP_ACT_LOG", "args": [{"value": 1.5, "op": "SCMP_CMP_EQ"}]}]})",
       "syscalls[1].args[0].value: must be a whole number"},
      {rule + R"({"names": ["x"], "action": "SCMP_ACT_LOG", "includes": {"minKernel": "4"}}]})",
       "syscalls[1].includes.minKernel: \"4\" must be a version like \"4.8\""},
      {rule + R"({"names": ["x"], "action": "SCMP_ACT_LOG", "excludes": {"caps": "ALL"}}]})",
       "syscalls[1].excludes.caps: must be a list of strings"},
      {head + R"("flags": ["X"]})", "flags: unknown flag \"X\""},
      {head + R"("listenerPath": "/run/x"})", "listenerPath: not supported yet"},
      {head +
           R"("archMap": [{"architecture": "SCMP_ARCH_X86_64"}], "architectures": ["SCMP_ARCH_X86"]})",
       "architectures: must not be given beside archMap"},
      {std::string((1 << 20) + 1, ' '), "must be at most 1048576 bytes, is 1048577"}};
  for (const auto& [json, message] : cases) {
    EXPECT_THAT(Message(json), StartsWith(message)) << json.substr(0, 200);
  }
}

}  // namespace
}  // namespace noded::launch
