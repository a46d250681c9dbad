// libs: node_launch node_base
// Docker's seccomp JSON, as a client sends it. What compiles must be a program that the kernel
// could take: whole instructions, and no more than it allows.
#include <linux/filter.h>

#include <cstdint>
#include <cstdlib>
#include <string>

#include "node/launch/plan.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string json(reinterpret_cast<const char*>(data), size);
  absl::StatusOr<std::string> program = noded::launch::CompileSeccomp(json, 0xa80425fb, "profile");
  if (!program.ok()) return 0;
  bool whole = !program->empty() && program->size() % sizeof(sock_filter) == 0;
  if (!whole || program->size() / sizeof(sock_filter) > BPF_MAXINSNS) std::abort();
  return 0;
}
