// The commands of the group `volume`.
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "clients/cli/commands.h"
#include "clients/cli/exit_code.h"
#include "clients/cli/output.h"
#include "clients/cli/prompt.h"
#include "clients/cli/proto_time.h"

namespace noded::cli {
namespace {

using node::v1::ListVolumesRequest;
using node::v1::ListVolumesResponse;
using node::v1::Volume;

constexpr int kPageSize = 1000;
constexpr char kPruneWarning[] =
    "WARNING! This will remove all volumes without a name of their own that no container has.";
constexpr char kPruneAllWarning[] = "WARNING! This will remove all volumes that no container has.";

grpc::Status ListAll(Client& client, ListVolumesRequest request, ListVolumesResponse* all) {
  request.set_page_size(kPageSize);
  do {
    ListVolumesResponse page;
    grpc::Status status = client.Call(&VolumeStub::ListVolumes, request, &page);
    if (!status.ok()) return status;
    for (Volume& volume : *page.mutable_volumes()) all->add_volumes()->Swap(&volume);
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty());
  return grpc::Status::OK;
}

std::string VolumeTable(const ListVolumesResponse& response, absl::Time now) {
  Table table({"VOLUME NAME", "CREATED", "USED BY"});
  for (const Volume& volume : response.volumes()) {
    std::vector<std::string> users;
    for (const std::string& id : volume.container_ids()) users.push_back(ShortId(id));
    table.Row({volume.name(),
               absl::StrCat(HumanDuration(now - FromProto(volume.create_time())), " ago"),
               users.empty() ? "--" : absl::StrJoin(users, ",")});
  }
  return table.Text();
}

}  // namespace

int Run(const VolumeCreateOptions& options, Client& client, const Io& io) {
  node::v1::CreateVolumeResponse response;
  grpc::Status status = client.Call(&VolumeStub::CreateVolume, options.request, &response);
  if (!status.ok()) {
    return Fail(client, io, absl::StrCat("volume create ", options.request.name()), status,
                kFailure);
  }
  if (options.global.output == OutputFormat::kJson) return Print(io, ToJson(response, true));
  return Print(io, absl::StrCat(response.volume().name(), "\n"));
}

int Run(const VolumeListOptions& options, Client& client, const Io& io) {
  ListVolumesResponse response;
  grpc::Status status = ListAll(client, options.request, &response);
  if (!status.ok()) return Fail(client, io, "volume ls", status, kFailure);
  if (options.quiet) {
    std::string names;
    for (const Volume& volume : response.volumes()) absl::StrAppend(&names, volume.name(), "\n");
    return Print(io, names);
  }
  if (options.global.output == OutputFormat::kJson) return Print(io, ToJson(response, true));
  return Print(io, VolumeTable(response, io.now()));
}

int Run(const VolumeInspectOptions& options, Client& client, const Io& io) {
  int exit_code = kOk;
  std::vector<std::string> found;
  for (const std::string& name : options.volumes) {
    node::v1::GetVolumeRequest request;
    request.set_name(name);
    node::v1::GetVolumeResponse response;
    grpc::Status status = client.Call(&VolumeStub::GetVolume, request, &response);
    if (!status.ok()) {
      exit_code = Fail(client, io, absl::StrCat("volume inspect ", name), status, kFailure);
      continue;
    }
    found.push_back(ToJson(response.volume(), true));
    found.back().pop_back();  // its newline
  }
  if (!io.Out(absl::StrCat("[", absl::StrJoin(found, ",\n"), "]\n"))) return kOutputClosed;
  return exit_code;
}

int Run(const VolumeRemoveOptions& options, Client& client, const Io& io) {
  int exit_code = kOk;
  for (const std::string& name : options.volumes) {
    node::v1::RemoveVolumeRequest request;
    request.set_name(name);
    node::v1::RemoveVolumeResponse response;
    grpc::Status status = client.Call(&VolumeStub::RemoveVolume, request, &response);
    // With -f the wish is that it is not there.
    if (options.force && status.error_code() == grpc::StatusCode::NOT_FOUND) continue;
    if (!status.ok()) {
      exit_code = Fail(client, io, absl::StrCat("volume rm ", name), status, kFailure);
    } else if (!io.Out(options.global.output == OutputFormat::kJson ? ToJson(response, false)
                                                                    : absl::StrCat(name, "\n"))) {
      return kOutputClosed;
    }
  }
  return exit_code;
}

int Run(const VolumePruneOptions& options, Client& client, const Io& io) {
  if (!options.force && !Confirm(io, options.request.all() ? kPruneAllWarning : kPruneWarning)) {
    io.Complain("volume prune: nothing was removed; -f does not ask");
    return kFailure;
  }
  node::v1::PruneVolumesResponse response;
  grpc::Status status = client.Call(&VolumeStub::PruneVolumes, options.request, &response);
  if (!status.ok()) return Fail(client, io, "volume prune", status, kFailure);
  if (options.global.output == OutputFormat::kJson) return Print(io, ToJson(response, true));
  std::string text;
  for (const std::string& name : response.removed())
    absl::StrAppend(&text, "Deleted: ", name, "\n");
  return Print(io,
               absl::StrCat(text, "Total reclaimed space: ",
                            DecimalSize(static_cast<uint64_t>(response.reclaimed_bytes())), "\n"));
}

}  // namespace noded::cli
