#include "cgroup/device_program.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <map>

#include "tests/unit/cgroup/device_verdict.h"

namespace noded::cgroup {
namespace {

// As much of the BPF machine as these programs may use; anything else is a failure of the test.
class Machine {
 public:
  explicit Machine(const std::vector<bpf_insn>& program) : program_(program) {}

  int Run(const bpf_cgroup_dev_ctx& context) {
    registers_.clear();
    for (size_t at = 0; at < program_.size();) {
      const bpf_insn& insn = program_[at++];
      uint32_t& dst = registers_[insn.dst_reg];
      auto immediate = static_cast<uint32_t>(insn.imm);
      switch (insn.code) {
        case BPF_LDX | BPF_MEM | BPF_W:
          EXPECT_EQ(insn.src_reg, BPF_REG_1);
          memcpy(&dst, reinterpret_cast<const char*>(&context) + insn.off, sizeof(dst));
          break;
        case BPF_ALU | BPF_MOV | BPF_X:
          dst = registers_[insn.src_reg];
          break;
        case BPF_ALU | BPF_MOV | BPF_K:
          dst = immediate;
          break;
        case BPF_ALU | BPF_AND | BPF_K:
          dst &= immediate;
          break;
        case BPF_ALU | BPF_RSH | BPF_K:
          dst >>= immediate;
          break;
        case BPF_JMP32 | BPF_JNE | BPF_K:
          if (dst != immediate) at += static_cast<size_t>(insn.off);
          break;
        case BPF_JMP32 | BPF_JSET | BPF_K:
          if (dst & immediate) at += static_cast<size_t>(insn.off);
          break;
        case BPF_JMP | BPF_JA:
          at += static_cast<size_t>(insn.off);
          break;
        case BPF_JMP | BPF_EXIT:
          return static_cast<int>(registers_[BPF_REG_0]);
        default:
          ADD_FAILURE() << "instruction " << at - 1 << " has the code " << int{insn.code};
          return -1;
      }
    }
    ADD_FAILURE() << "ran off the end";
    return -1;
  }

 private:
  const std::vector<bpf_insn>& program_;
  std::map<int, uint32_t> registers_;
};

bpf_cgroup_dev_ctx Context(const DeviceRequest& request) {
  uint32_t access = 0;
  for (char letter : request.access) {
    access |= letter == 'r'   ? BPF_DEVCG_ACC_READ
              : letter == 'w' ? BPF_DEVCG_ACC_WRITE
                              : BPF_DEVCG_ACC_MKNOD;
  }
  uint32_t type = request.type == 'b' ? BPF_DEVCG_DEV_BLOCK : BPF_DEVCG_DEV_CHAR;
  return {.access_type = access << 16 | type, .major = request.major, .minor = request.minor};
}

void ExpectSameVerdicts(const std::vector<DeviceRule>& rules) {
  std::vector<bpf_insn> program = DeviceProgram(rules);
  Machine machine(program);
  for (const DeviceRequest& request : AllRequests()) {
    ASSERT_EQ(machine.Run(Context(request)), Allowed(rules, request) ? 1 : 0)
        << request.type << " " << request.major << ":" << request.minor << " " << request.access
        << " under\n"
        << Draw(rules);
  }
}

TEST(DeviceProgram, WithoutRulesDeniesEverything) { ExpectSameVerdicts({}); }

TEST(DeviceProgram, UsualContainer) {
  ExpectSameVerdicts({{.allow = false},
                      {.allow = true, .type = 'c', .access = "m"},
                      {.allow = true, .type = 'b', .access = "m"},
                      {.allow = true, .type = 'c', .major = 1, .minor = 3},
                      {.allow = true, .type = 'c', .major = 2}});
}

TEST(DeviceProgram, ReadByOneRuleAndWriteByAnotherIsBoth) {
  ExpectSameVerdicts({{.allow = true, .type = 'c', .access = "r"},
                      {.allow = true, .type = 'c', .major = 1, .access = "w"}});
}

TEST(DeviceProgram, LastMatchWins) {
  ExpectSameVerdicts({{.allow = true},
                      {.allow = false, .type = 'c', .major = 1, .access = "w"},
                      {.allow = true, .type = 'c', .major = 1, .minor = 3}});
  ExpectSameVerdicts({{.allow = true, .type = 'c', .major = 1, .minor = 3}, {.allow = false}});
}

TEST(DeviceProgram, AnyRules) {
  std::mt19937 random(20240229);
  for (int i = 0; i < 3000; ++i) ASSERT_NO_FATAL_FAILURE(ExpectSameVerdicts(RandomRules(random)));
}

TEST(DeviceProgram, NoInstructionIsOutOfReach) {
  // The verifier of the kernel refuses such a program.
  std::vector<DeviceRule> rules = {{.allow = true, .type = 'c', .major = 1}, {.allow = false}};
  EXPECT_EQ(DeviceProgram(rules).size(), DeviceProgram({{.allow = false}}).size());
}

TEST(DeviceProgram, KernelAcceptsAnyRules) {
  if (!LoadDeviceProgram(DeviceProgram({})).ok()) GTEST_SKIP() << "may not load BPF programs here";
  std::mt19937 random(1);
  for (int i = 0; i < 300; ++i) {
    std::vector<DeviceRule> rules = RandomRules(random);
    auto loaded = LoadDeviceProgram(DeviceProgram(rules));
    ASSERT_TRUE(loaded.ok()) << loaded.status() << "\n" << Draw(rules);
  }
}

}  // namespace
}  // namespace noded::cgroup
