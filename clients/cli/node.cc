// info and version.
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "clients/cli/commands.h"
#include "clients/cli/exit_code.h"
#include "clients/cli/output.h"

namespace noded::cli {
namespace {

using node::v1::GetInfoRequest;
using node::v1::GetInfoResponse;

std::string InfoText(const GetInfoResponse& info) {
  const node::v1::ContainerCounts& counts = info.containers();
  std::string text = absl::StrCat(
      "Containers: ", counts.total(), " (", counts.running(), " running, ", counts.paused(),
      " paused, ", counts.created(), " created, ", counts.exited(), " exited)\n",  //
      "Host name:  ", info.hostname(), "\n",                                       //
      "System:     ", info.operating_system(), ", ", info.architecture(), "\n",
      "Kernel:     ", info.kernel_version(), "\n",  //
      "Processors: ", info.cpus(), "\n",            //
      "Memory:     ", HumanSize(static_cast<uint64_t>(info.memory_bytes())), "\n",
      "Cgroups:    ", info.cgroup().mode(), " below ", info.cgroup().parent(), " (",
      absl::StrJoin(info.cgroup().controllers(), ", "), ")\n",     //
      "noded:      ", info.version(), ", pid ", info.pid(), "\n",  //
      "Root:       ", info.root_directory(), "\n",                 //
      "State:      ", info.state_directory(), "\n",                //
      "Revision:   ", info.revision(), "\n",                       //
      "Features:\n");
  for (const node::v1::Feature& feature : info.features()) {
    absl::StrAppend(&text, "  ", feature.name(),
                    feature.available() ? "" : absl::StrCat(": no, ", feature.reason()), "\n");
  }
  return text;
}

std::string ClientVersion(OutputFormat format) {
  if (format == OutputFormat::kJson) return R"({"version":")" NODECTL_VERSION R"("})";
  return "nodectl " NODECTL_VERSION "\n";
}

}  // namespace

int Run(const InfoOptions& options, Client& client, const Io& io) {
  GetInfoResponse response;
  grpc::Status status = client.Call(&NodeStub::GetInfo, GetInfoRequest(), &response);
  if (!status.ok()) return Fail(client, io, "info", status, kFailure);
  bool json = options.global.output == OutputFormat::kJson;
  return Print(io, json ? ToJson(response, true) : InfoText(response));
}

int Run(const VersionOptions& options, Client& client, const Io& io) {
  const OutputFormat format = options.global.output;
  const bool json = format == OutputFormat::kJson;
  if (options.client_only) {
    return Print(io, json ? absl::StrCat("{\"client\":", ClientVersion(format), "}\n")
                          : ClientVersion(format));
  }
  GetInfoResponse response;
  grpc::Status status = client.Call(&NodeStub::GetInfo, GetInfoRequest(), &response);
  if (!status.ok()) {
    if (!json) io.Out(ClientVersion(format));
    return Fail(client, io, "version", status, kFailure);
  }
  if (json) {
    return Print(io, absl::StrCat("{\"client\":", ClientVersion(format),
                                  ",\"server\":", ToJson(response, false), "}\n"));
  }
  return Print(
      io, absl::StrCat(ClientVersion(format), "noded ", response.version(), " (",
                       absl::StrJoin(response.api_versions(), ", "), ", kernel ",
                       response.kernel_version(), ", cgroup ", response.cgroup().mode(), ")\n"));
}

}  // namespace noded::cli
