// A seccomp profile for this machine, as BPF. libseccomp does the compiling: the order of
// comparisons, 64-bit arguments in halves, and the other system call numbers of 32-bit programs are
// its knowledge.
#include "node/launch/seccomp.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/utsname.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <memory>

#include "absl/strings/str_cat.h"
#include "node/base/file.h"
#include "node/base/status.h"
#include "node/launch/capabilities.h"
#include "node/launch/plan.h"
#include "node/launch/quote.h"
#include "node/launch/seccomp_cache.h"
#include "node/launch/seccomp_profile.h"

namespace noded::launch {
namespace {

constexpr size_t kMaxInstructions = BPF_MAXINSNS;  // 4096, the kernel's bound

struct ReleaseFilter {
  void operator()(void* filter) const { seccomp_release(filter); }
};
using Filter = std::unique_ptr<void, ReleaseFilter>;

// The machine's architecture as Docker's profiles write it in "arches".
constexpr const char* kNativeArch =
#if defined(__x86_64__)
    "amd64";
#elif defined(__aarch64__)
    "arm64";
#elif defined(__riscv)
    "riscv64";
#elif defined(__powerpc64__)
    "ppc64le";
#elif defined(__s390x__)
    "s390x";
#else
#error "no name for this architecture in seccomp profiles"
#endif

std::pair<int, int> KernelVersion() {
  utsname name = {};
  int major = 0, minor = 0;
  uname(&name);
  std::sscanf(name.release, "%d.%d", &major, &minor);
  return {major, minor};
}

bool Holds(uint64_t capabilities, const std::string& name) {
  std::optional<int> number = CapabilityNumber(name);
  return number && (capabilities >> *number & 1) != 0;
}

bool NamesNative(const std::vector<std::string>& arches) {
  return std::find(arches.begin(), arches.end(), kNativeArch) != arches.end();
}

// Excluded by any one match; included by all.
bool Applies(const SeccompRule& rule, uint64_t capabilities, std::pair<int, int> kernel) {
  auto holds = [capabilities](const std::string& name) { return Holds(capabilities, name); };
  const SeccompCondition& excludes = rule.excludes;
  if (NamesNative(excludes.arches)) return false;
  if (std::any_of(excludes.capabilities.begin(), excludes.capabilities.end(), holds)) return false;
  if (excludes.min_kernel && kernel >= *excludes.min_kernel) return false;
  const SeccompCondition& includes = rule.includes;
  if (!includes.arches.empty() && !NamesNative(includes.arches)) return false;
  if (!std::all_of(includes.capabilities.begin(), includes.capabilities.end(), holds)) return false;
  return !includes.min_kernel || kernel >= *includes.min_kernel;
}

std::vector<uint32_t> Architectures(const SeccompProfile& profile) {
  for (const SeccompProfile::ArchMap& map : profile.arch_map) {
    if (map.architecture == seccomp_arch_native()) return map.sub_architectures;
  }
  return profile.architectures;
}

absl::Status AddArchitectures(const SeccompProfile& profile, void* filter,
                              const std::string& field) {
  for (uint32_t architecture : Architectures(profile)) {
    int result = seccomp_arch_add(filter, architecture);
    // The native one is there from the start.
    if (result == 0 || result == -EEXIST) continue;
    return InvalidField(field,
                        absl::StrCat("architectures: cannot be combined with this machine's (",
                                     ErrnoText(-result), ")"));
  }
  return absl::OkStatus();
}

bool RepeatsArgument(const std::vector<SeccompArgument>& arguments) {
  std::array<int, 6> uses = {};
  for (const SeccompArgument& one : arguments) {
    if (++uses[one.index] > 1) return true;
  }
  return false;
}

int AddRule(void* filter, uint32_t action, int call, const std::vector<scmp_arg_cmp>& comparisons) {
  return seccomp_rule_add_array(filter, action, call, comparisons.size(), comparisons.data());
}

// Adds to `added` the number of rules.
int AddRules(void* filter, const SeccompRule& rule, int call, size_t* added) {
  std::vector<scmp_arg_cmp> comparisons;
  for (const SeccompArgument& one : rule.arguments) {
    comparisons.push_back({one.index, static_cast<scmp_compare>(one.op), one.value, one.value_two});
  }
  *added += 1;
  if (!RepeatsArgument(rule.arguments)) return AddRule(filter, rule.action, call, comparisons);
  // libseccomp takes one comparison of an argument a rule. As Docker's runtime does: each
  // comparison is a rule of its own, so that one which holds is enough.
  for (const scmp_arg_cmp& one : comparisons) {
    if (int result = AddRule(filter, rule.action, call, {one}); result != 0) return result;
  }
  return 0;
}

// Returns how many rules were added.
absl::StatusOr<size_t> AddAllRules(const SeccompProfile& profile, uint64_t capabilities,
                                   void* filter, const std::string& field) {
  const std::pair<int, int> kernel = KernelVersion();
  size_t added = 0;
  for (size_t i = 0; i < profile.rules.size(); ++i) {
    const SeccompRule& rule = profile.rules[i];
    if (!Applies(rule, capabilities, kernel)) continue;
    // What happens anyway; libseccomp refuses it as a rule.
    if (rule.action == profile.default_action) continue;
    for (const std::string& name : rule.names) {
      int call = seccomp_syscall_resolve_name(name.c_str());
      // Profiles name calls of newer kernels and other machines; what is not known is not there.
      if (call == __NR_SCMP_ERROR) continue;
      if (int result = AddRules(filter, rule, call, &added); result != 0) {
        return InvalidField(field, absl::StrCat("syscalls[", i, "]: rule for ", Quote(name), ": ",
                                                ErrnoText(-result)));
      }
    }
  }
  return added;
}

// The highest system call number of this machine that libseccomp has a name for.
uint32_t HighestKnownCall() {
  static const uint32_t highest = [] {
    int call = 1023;
    for (; call > 0; --call) {
      std::unique_ptr<char, decltype(&std::free)> name(
          seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, call), &std::free);
      if (name != nullptr) break;
    }
    return static_cast<uint32_t>(call);
  }();
  return highest;
}

// A profile cannot name a system call that libseccomp does not know, so what denies by EPERM would
// deny it so for ever, and libc, which falls back to older calls on ENOSYS only, fails (fchmodat2
// in tar, clone3 before it). So those calls get ENOSYS, as on a kernel without them. Of x32, whose
// numbers have bit 30, nothing is known: left alone.
std::string RefuseUnknownCalls() {
  constexpr uint32_t kX32Bit = 0x40000000;
  const sock_filter program[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, arch)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, seccomp_arch_native(), 0, 4),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, kX32Bit, 2, 0),
      BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, HighestKnownCall(), 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
  };
  return std::string(reinterpret_cast<const char*>(program), sizeof(program));
}

bool DeniesByErrno(const SeccompProfile& profile) {
  return (profile.default_action & SECCOMP_RET_ACTION_FULL) == SECCOMP_RET_ERRNO;
}

absl::StatusOr<std::string> Export(void* filter) {
  UniqueFd file(memfd_create("seccomp", MFD_CLOEXEC));
  if (!file.valid()) return ErrnoStatus(errno, "create memory file for seccomp filter");
  // This version of libseccomp writes to descriptors only.
  if (int result = seccomp_export_bpf(filter, file.get()); result != 0) {
    return ErrnoStatus(-result, "compile seccomp filter");
  }
  return ReadHeld(file.get());
}

absl::StatusOr<SeccompFilter> CompileAnew(const std::string& json, uint64_t capabilities,
                                          const std::string& field) {
  ASSIGN_OR_RETURN(SeccompProfile profile, ParseSeccompProfile(json, field));
  Filter filter(seccomp_init(profile.default_action));
  if (filter == nullptr) return InvalidField(field, "defaultAction: this machine does not know it");
  RETURN_IF_ERROR(AddArchitectures(profile, filter.get(), field));
  ASSIGN_OR_RETURN(size_t rules, AddAllRules(profile, capabilities, filter.get(), field));
  // A search tree over the numbers instead of a list: a system call passes some ten comparisons
  // instead of hundreds. Only where it pays, because libseccomp up to 2.5.4 misbehaves with a tree
  // of no rules.
  constexpr size_t kRulesThatPay = 32;
  if (rules > kRulesThatPay) seccomp_attr_set(filter.get(), SCMP_FLTATR_CTL_OPTIMIZE, 2);
  ASSIGN_OR_RETURN(std::string program, Export(filter.get()));
  if (DeniesByErrno(profile)) program.insert(0, RefuseUnknownCalls());
  if (size_t count = program.size() / sizeof(sock_filter); count > kMaxInstructions) {
    return InvalidField(field, absl::StrCat("compiles to ", count,
                                            " instructions; the kernel takes ", kMaxInstructions));
  }
  return SeccompFilter{.program = std::move(program), .flags = profile.flags};
}

}  // namespace

absl::StatusOr<SeccompFilter> CompileSeccompFilter(const std::string& json, uint64_t capabilities,
                                                   const std::string& field) {
  static SeccompCache& cache = *new SeccompCache;  // as long as the process
  if (std::optional<SeccompFilter> known = cache.Find(json, capabilities)) return *known;
  ASSIGN_OR_RETURN(SeccompFilter filter, CompileAnew(json, capabilities, field));
  cache.Keep(json, capabilities, filter);
  return filter;
}

absl::StatusOr<std::string> CompileSeccomp(const std::string& json, uint64_t capabilities,
                                           const std::string& field) {
  ASSIGN_OR_RETURN(SeccompFilter filter, CompileSeccompFilter(json, capabilities, field));
  return std::move(filter.program);
}

}  // namespace noded::launch
