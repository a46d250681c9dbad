// libs: node_launch node_base noded_proto
// A spec as bytes from the wire, or as text when it does not parse so. What is found valid must
// compile, but for what the daemon itself lacks.
#include <google/protobuf/io/tokenizer.h>
#include <google/protobuf/stubs/logging.h>
#include <google/protobuf/text_format.h>
#include <sched.h>

#include <cstdint>
#include <cstdlib>
#include <string>

#include "node/launch/plan.h"

namespace {

class Silent : public google::protobuf::io::ErrorCollector {
  void AddError(int, google::protobuf::io::ColumnNumber, const std::string&) override {}
};

bool Parse(const std::string& bytes, node::v1::ContainerSpec* spec) {
  if (spec->ParseFromString(bytes)) return true;
  Silent silent;
  google::protobuf::TextFormat::Parser parser;
  parser.RecordErrorsTo(&silent);
  return parser.ParseFromString(bytes, spec);
}

noded::launch::Inputs InputsOf(const node::v1::ContainerSpec& spec) {
  noded::launch::Inputs inputs;
  inputs.id = std::string(64, 'a');
  inputs.lower = {"/lower"};
  if (!spec.root().read_only()) inputs.upper = inputs.work = "/layer";
  inputs.hosts_file = "/hosts";
  inputs.host.cgroup_mounts = {{"cgroup", "/sys/fs/cgroup/cpu,cpuacct", "cpu,cpuacct"}};
  inputs.host.own_capabilities = 0xa80425fb;
  const node::v1::Namespaces& namespaces = spec.namespaces();
  const std::pair<const node::v1::Namespace&, uint64_t> joinable[] = {
      {namespaces.pid(), CLONE_NEWPID},
      {namespaces.network(), CLONE_NEWNET},
      {namespaces.ipc(), CLONE_NEWIPC},
      {namespaces.uts(), CLONE_NEWUTS}};
  for (const auto& [one, type] : joinable) {
    if (one.mode() == node::v1::NAMESPACE_MODE_CONTAINER) inputs.join.push_back({type, 0, ""});
  }
  return inputs;
}

void RequireCompiled(const absl::Status& status) {
  // FAILED_PRECONDITION: a capability that the daemon lacks. INVALID_ARGUMENT: a seccomp profile
  // that is well-formed and still does not compile.
  if (!status.ok() && !absl::IsFailedPrecondition(status) && !absl::IsInvalidArgument(status)) {
    std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  // Strings that are not UTF-8 are told of on stderr, each time.
  google::protobuf::SetLogHandler(nullptr);
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  node::v1::ContainerSpec spec;
  if (!Parse(std::string(reinterpret_cast<const char*>(data), size), &spec)) return 0;
  if (!noded::launch::ValidateSpec(spec).ok()) return 0;
  noded::launch::Inputs inputs = InputsOf(spec);
  RequireCompiled(noded::launch::CompileLaunchPlan(spec, inputs).status());
  RequireCompiled(
      noded::launch::CompileExecPlan(spec, spec.process(), "e", false, inputs.host).status());
  noded::launch::CompileLimits(spec, inputs.devices);
  return 0;
}
