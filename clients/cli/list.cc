// ps, inspect and top.
#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "clients/cli/commands.h"
#include "clients/cli/exit_code.h"
#include "clients/cli/output.h"
#include "clients/cli/proto_time.h"

namespace noded::cli {
namespace {

using node::v1::Container;
using node::v1::ListRequest;
using node::v1::ListResponse;

constexpr int kPageSize = 1000;
constexpr size_t kCommandWidth = 24;

// All pages as one. The revision is the first page's, from which a watch misses nothing.
grpc::Status ListAll(Client& client, ListRequest request, ListResponse* all) {
  request.set_page_size(kPageSize);
  do {
    ListResponse page;
    grpc::Status status = client.Call(&ContainerStub::List, request, &page);
    if (!status.ok()) return status;
    if (request.page_token().empty()) all->set_revision(page.revision());
    for (Container& container : *page.mutable_containers()) all->add_containers()->Swap(&container);
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty());
  return grpc::Status::OK;
}

std::string ListTable(const ListOptions& options, const ListResponse& response, absl::Time now) {
  Table table({"CONTAINER ID", "NAME", "COMMAND", "CREATED", "STATUS"});
  for (const Container& container : response.containers()) {
    std::string command = absl::StrJoin(container.spec().process().argv(), " ");
    table.Row({options.full ? container.id() : ShortId(container.id()), container.name(),
               options.full ? command : Cut(command, kCommandWidth),
               absl::StrCat(HumanDuration(now - FromProto(container.create_time())), " ago"),
               StatusText(container, now)});
  }
  return table.Text();
}

std::string Ids(const ListOptions& options, const ListResponse& response) {
  std::string text;
  for (const Container& container : response.containers()) {
    absl::StrAppend(&text, options.full ? container.id() : ShortId(container.id()), "\n");
  }
  return text;
}

// "1:02:03", "0:07".
std::string ProcessorTime(absl::Duration time) {
  int64_t seconds = absl::ToInt64Seconds(time);
  if (seconds < 3600) return absl::StrFormat("%d:%02d", seconds / 60, seconds % 60);
  return absl::StrFormat("%d:%02d:%02d", seconds / 3600, seconds / 60 % 60, seconds % 60);
}

}  // namespace

int Run(const ListOptions& options, Client& client, const Io& io) {
  ListRequest request;
  *request.mutable_filter() = options.filter;
  if (!options.all && options.filter.states().empty()) {
    request.mutable_filter()->add_states(node::v1::CONTAINER_STATE_STARTING);
    request.mutable_filter()->add_states(node::v1::CONTAINER_STATE_RUNNING);
    request.mutable_filter()->add_states(node::v1::CONTAINER_STATE_PAUSED);
  }
  ListResponse response;
  grpc::Status status = ListAll(client, request, &response);
  if (!status.ok()) return Fail(client, io, "ps", status, kFailure);
  std::stable_sort(response.mutable_containers()->begin(), response.mutable_containers()->end(),
                   [](const Container& a, const Container& b) {
                     return FromProto(a.create_time()) > FromProto(b.create_time());
                   });
  if (options.quiet) return Print(io, Ids(options, response));
  if (options.global.output == OutputFormat::kJson) return Print(io, ToJson(response, true));
  return Print(io, ListTable(options, response, io.now()));
}

int Run(const InspectOptions& options, Client& client, const Io& io) {
  int exit_code = kOk;
  std::vector<std::string> found;
  for (const std::string& container : options.containers) {
    node::v1::GetRequest request;
    request.set_container(container);
    node::v1::GetResponse response;
    grpc::Status status = client.Call(&ContainerStub::Get, request, &response);
    if (!status.ok()) {
      exit_code = Fail(client, io, absl::StrCat("inspect ", container), status, kFailure);
      continue;
    }
    found.push_back(ToJson(response.container(), true));
    found.back().pop_back();  // its newline
  }
  if (!io.Out(absl::StrCat("[", absl::StrJoin(found, ",\n"), "]\n"))) return kOutputClosed;
  return exit_code;
}

int Run(const TopOptions& options, Client& client, const Io& io) {
  node::v1::TopRequest request;
  request.set_container(options.container);
  node::v1::TopResponse response;
  grpc::Status status = client.Call(&ContainerStub::Top, request, &response);
  if (!status.ok())
    return Fail(client, io, absl::StrCat("top ", options.container), status, kFailure);
  if (options.global.output == OutputFormat::kJson) return Print(io, ToJson(response, true));
  Table table(
      {"PID", "PID INSIDE", "PARENT", "UID", "STATE", "TIME", "MEMORY", "STARTED", "COMMAND"});
  for (const node::v1::ProcessInfo& process : response.processes()) {
    table.Row({absl::StrCat(process.pid()), absl::StrCat(process.container_pid()),
               absl::StrCat(process.parent_pid()), absl::StrCat(process.uid()), process.state(),
               ProcessorTime(FromProto(process.cpu_time())),
               HumanSize(static_cast<uint64_t>(process.rss_bytes())),
               absl::StrCat(HumanDuration(io.now() - FromProto(process.start_time())), " ago"),
               process.command()});
  }
  return Print(io, table.Text());
}

}  // namespace noded::cli
