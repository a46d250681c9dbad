#include "cgroup/device_program.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <string>

#include "node/base/status.h"

namespace noded::cgroup {
namespace {

constexpr int kAllAccess = BPF_DEVCG_ACC_MKNOD | BPF_DEVCG_ACC_READ | BPF_DEVCG_ACC_WRITE;

// Registers. R1 is the context at entry; a program that calls no helper may keep values in R2 to
// R5.
constexpr __u8 kAccess = BPF_REG_2;  // requested bits that no rule has decided yet
constexpr __u8 kType = BPF_REG_3;
constexpr __u8 kMajor = BPF_REG_4;
constexpr __u8 kMinor = BPF_REG_5;

bpf_insn Insn(int code, __u8 dst, __u8 src, int offset, __u32 immediate) {
  bpf_insn insn{};
  insn.code = static_cast<__u8>(code);
  insn.dst_reg = dst;
  insn.src_reg = src;
  insn.off = static_cast<__s16>(offset);
  insn.imm = static_cast<__s32>(immediate);
  return insn;
}

bpf_insn Load(__u8 dst, size_t offset) {
  return Insn(BPF_LDX | BPF_MEM | BPF_W, dst, BPF_REG_1, static_cast<int>(offset), 0);
}

bpf_insn Alu(int operation, __u8 dst, __u32 immediate) {
  return Insn(BPF_ALU | operation | BPF_K, dst, 0, 0, immediate);
}

// JMP32, because a 64-bit comparison would sign-extend a number of 2^31 or more.
bpf_insn Jump(int operation, __u8 dst, __u32 immediate, int offset) {
  return Insn(BPF_JMP32 | operation | BPF_K, dst, 0, offset, immediate);
}

void AppendReturn(std::vector<bpf_insn>& out, bool allowed) {
  out.push_back(Alu(BPF_MOV, BPF_REG_0, allowed ? 1 : 0));
  out.push_back(Insn(BPF_JMP | BPF_EXIT, 0, 0, 0, 0));
}

__u32 AccessMask(const DeviceRule& rule) {
  __u32 mask = 0;
  for (char letter : rule.access) {
    if (letter == 'm') mask |= BPF_DEVCG_ACC_MKNOD;
    if (letter == 'r') mask |= BPF_DEVCG_ACC_READ;
    if (letter == 'w') mask |= BPF_DEVCG_ACC_WRITE;
  }
  return mask;
}

// What is done with a request for a device that the rule names.
std::vector<bpf_insn> Verdict(const DeviceRule& rule) {
  std::vector<bpf_insn> body;
  __u32 mask = AccessMask(rule);
  if (mask == kAllAccess) {
    AppendReturn(body, rule.allow);
  } else if (rule.allow) {
    body.push_back(Alu(BPF_AND, kAccess, ~mask));
    body.push_back(Jump(BPF_JNE, kAccess, 0, 2));
    AppendReturn(body, true);
  } else {
    body.push_back(Jump(BPF_JSET, kAccess, mask, 1));
    body.push_back(Insn(BPF_JMP | BPF_JA, 0, 0, 2, 0));
    AppendReturn(body, false);
  }
  return body;
}

bool Unconditional(const DeviceRule& rule) {
  return rule.type == 'a' && !rule.major && !rule.minor && AccessMask(rule) == kAllAccess;
}

void AppendRule(std::vector<bpf_insn>& out, const DeviceRule& rule) {
  std::vector<bpf_insn> body = Verdict(rule);
  int conditions = (rule.type != 'a') + rule.major.has_value() + rule.minor.has_value();
  // Each mismatch jumps over the conditions that are left and the body.
  auto skip = [&] { return --conditions + static_cast<int>(body.size()); };
  if (rule.type != 'a') {
    out.push_back(
        Jump(BPF_JNE, kType, rule.type == 'b' ? BPF_DEVCG_DEV_BLOCK : BPF_DEVCG_DEV_CHAR, skip()));
  }
  if (rule.major) out.push_back(Jump(BPF_JNE, kMajor, *rule.major, skip()));
  if (rule.minor) out.push_back(Jump(BPF_JNE, kMinor, *rule.minor, skip()));
  out.insert(out.end(), body.begin(), body.end());
}

// By this name a program of ours is told from those of others after a restart.
constexpr char kProgramName[] = "noded_devices";

int Bpf(bpf_cmd command, bpf_attr& attributes) {
  return static_cast<int>(syscall(SYS_bpf, command, &attributes, sizeof(attributes)));
}

}  // namespace

std::vector<bpf_insn> DeviceProgram(const std::vector<DeviceRule>& rules) {
  // access_type holds the access in its upper and the type in its lower 16 bits.
  std::vector<bpf_insn> out = {
      Load(kAccess, offsetof(bpf_cgroup_dev_ctx, access_type)),
      Insn(BPF_ALU | BPF_MOV | BPF_X, kType, kAccess, 0, 0),
      Alu(BPF_AND, kType, 0xffff),
      Alu(BPF_RSH, kAccess, 16),
      Load(kMajor, offsetof(bpf_cgroup_dev_ctx, major)),
      Load(kMinor, offsetof(bpf_cgroup_dev_ctx, minor)),
  };
  // Backwards, because then the first match is the one that counts.
  for (auto rule = rules.rbegin(); rule != rules.rend(); ++rule) {
    AppendRule(out, *rule);
    // The verifier refuses a program with instructions that cannot be reached.
    if (Unconditional(*rule)) return out;
  }
  AppendReturn(out, false);
  return out;
}

absl::StatusOr<UniqueFd> LoadDeviceProgram(const std::vector<bpf_insn>& program) {
  static constexpr char kLicense[] = "Apache-2.0";
  // Cleared whole, padding too: the kernel answers E2BIG for bytes that it does not know and are
  // not 0.
  bpf_attr attributes;
  memset(&attributes, 0, sizeof(attributes));
  attributes.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
  attributes.expected_attach_type = BPF_CGROUP_DEVICE;
  attributes.insns = reinterpret_cast<__u64>(program.data());
  attributes.insn_cnt = static_cast<__u32>(program.size());
  attributes.license = reinterpret_cast<__u64>(kLicense);
  static_assert(sizeof(kProgramName) <= sizeof(attributes.prog_name));
  memcpy(attributes.prog_name, kProgramName, sizeof(kProgramName));
  // bpf(2) makes it close-on-exec.
  UniqueFd fd(Bpf(BPF_PROG_LOAD, attributes));
  if (!fd) return ErrnoStatus(errno, "load device program");
  return fd;
}

namespace {

std::string NameOf(int program) {
  bpf_prog_info info;
  memset(&info, 0, sizeof(info));
  bpf_attr attributes;
  memset(&attributes, 0, sizeof(attributes));
  attributes.info.bpf_fd = static_cast<__u32>(program);
  attributes.info.info_len = sizeof(info);
  attributes.info.info = reinterpret_cast<__u64>(&info);
  if (Bpf(BPF_OBJ_GET_INFO_BY_FD, attributes) != 0) return "";
  return {info.name, strnlen(info.name, sizeof(info.name))};
}

}  // namespace

absl::StatusOr<std::vector<UniqueFd>> OwnDevicePrograms(int group) {
  std::array<__u32, 64> ids{};  // BPF_CGROUP_MAX_PROGS
  bpf_attr attributes;
  memset(&attributes, 0, sizeof(attributes));
  attributes.query.target_fd = static_cast<__u32>(group);
  attributes.query.attach_type = BPF_CGROUP_DEVICE;
  attributes.query.prog_ids = reinterpret_cast<__u64>(ids.data());
  attributes.query.prog_cnt = ids.size();
  if (Bpf(BPF_PROG_QUERY, attributes) != 0) return ErrnoStatus(errno, "query device programs");
  std::vector<UniqueFd> own;
  for (size_t i = 0; i < std::min<size_t>(attributes.query.prog_cnt, ids.size()); ++i) {
    bpf_attr by_id;
    memset(&by_id, 0, sizeof(by_id));
    by_id.prog_id = ids[i];
    UniqueFd fd(Bpf(BPF_PROG_GET_FD_BY_ID, by_id));
    // ENOENT: detached meanwhile.
    if (!fd && errno != ENOENT) return ErrnoStatus(errno, "open device program");
    if (fd && NameOf(fd.get()) == kProgramName) own.push_back(std::move(fd));
  }
  return own;
}

absl::Status AttachDeviceProgram(int group, const std::vector<bpf_insn>& program) {
  ASSIGN_OR_RETURN(UniqueFd fd, LoadDeviceProgram(program));
  ASSIGN_OR_RETURN(std::vector<UniqueFd> own, OwnDevicePrograms(group));
  bpf_attr attributes;
  memset(&attributes, 0, sizeof(attributes));
  attributes.target_fd = static_cast<__u32>(group);
  attributes.attach_bpf_fd = static_cast<__u32>(fd.get());
  attributes.attach_type = BPF_CGROUP_DEVICE;
  // Otherwise a payload that manages groups of its own (systemd) could not attach programs below.
  attributes.attach_flags = BPF_F_ALLOW_MULTI;
  if (!own.empty()) {
    // In place, because all attached programs must agree: with the old one beside it, nothing new
    // would be allowed, and with none for a moment, everything.
    attributes.attach_flags |= BPF_F_REPLACE;
    attributes.replace_bpf_fd = static_cast<__u32>(own.front().get());
  }
  if (Bpf(BPF_PROG_ATTACH, attributes) != 0) return ErrnoStatus(errno, "attach device program");
  // More than one of ours is what a crash between two calls of an older version left.
  for (size_t i = 1; i < own.size(); ++i) {
    memset(&attributes, 0, sizeof(attributes));
    attributes.target_fd = static_cast<__u32>(group);
    attributes.attach_bpf_fd = static_cast<__u32>(own[i].get());
    attributes.attach_type = BPF_CGROUP_DEVICE;
    if (Bpf(BPF_PROG_DETACH, attributes) != 0) return ErrnoStatus(errno, "detach device program");
  }
  return absl::OkStatus();
}

}  // namespace noded::cgroup
