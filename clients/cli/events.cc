// events.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "clients/cli/commands.h"
#include "clients/cli/error_text.h"
#include "clients/cli/exit_code.h"
#include "clients/cli/names.h"
#include "clients/cli/output.h"
#include "clients/cli/proto_time.h"

namespace noded::cli {
namespace {

using node::v1::ContainerEvent;
using node::v1::WatchResponse;

// How long a watch waits for a noded that is being restarted.
constexpr absl::Duration kPatience = absl::Seconds(30);

// `snapshot`: show how containers were when the watch began.
bool IsWanted(const EventsOptions& options, const ContainerEvent& event, bool snapshot) {
  if (event.type() == node::v1::CONTAINER_EVENT_TYPE_SNAPSHOT) return snapshot;
  return options.types.empty() ||
         std::find(options.types.begin(), options.types.end(), event.type()) != options.types.end();
}

// " kills=2 pid=4711 process=java memory=512MiB": what is known.
std::string OomText(const node::v1::Container& container) {
  std::string text = absl::StrCat(" kills=", container.oom_kills());
  if (!container.has_last_oom_kill()) return text;
  const node::v1::OomKill& last = container.last_oom_kill();
  absl::StrAppend(&text, " pid=", last.pid(), " process=", Printable(last.process()));
  if (last.has_memory_bytes()) absl::StrAppend(&text, " memory=", HumanSize(last.memory_bytes()));
  return text;
}

// "2024-05-01T10:00:00.000000000Z exited 0123456789ab web revision=12 exit=0".
std::string EventLine(const ContainerEvent& event) {
  const node::v1::Container& container = event.container();
  std::string line = absl::StrCat(Rfc3339(FromProto(event.time())), " ", NameOf(event.type()), " ",
                                  ShortId(container.id()), " ", Printable(container.name()),
                                  " revision=", event.revision());
  if (event.type() == node::v1::CONTAINER_EVENT_TYPE_SNAPSHOT) {
    absl::StrAppend(&line, " state=", NameOf(container.state()));
  }
  if (event.type() == node::v1::CONTAINER_EVENT_TYPE_STARTED)
    absl::StrAppend(&line, " pid=", container.pid());
  if (event.type() == node::v1::CONTAINER_EVENT_TYPE_OOM_KILLED) line += OomText(container);
  if (event.type() == node::v1::CONTAINER_EVENT_TYPE_EXITED) {
    absl::StrAppend(&line, " exit=", ExitText(container.exit_status()),
                    container.oom_killed() ? " oom" : "");
    if (!container.error().empty())
      absl::StrAppend(&line, " error=\"", Printable(container.error()), "\"");
  }
  return line + "\n";
}

// The wanted events of one message as text; empty when there is none.
std::string Render(const EventsOptions& options, const WatchResponse& response, bool snapshot) {
  const bool json = options.global.output == OutputFormat::kJson;
  std::string text;
  for (const ContainerEvent& event : response.events()) {
    if (IsWanted(options, event, snapshot)) text += json ? ToJson(event, false) : EventLine(event);
  }
  return text;
}

}  // namespace

int Run(const EventsOptions& options, Client& client, const Io& io) {
  node::v1::WatchRequest request = options.request;
  bool snapshot = options.snapshot;
  bool resumed = false;
  while (true) {
    grpc::ClientContext context;
    client.SetDeadline(context);
    auto reader = client.containers().Watch(&context, request);
    WatchResponse response;
    bool any = false;
    while (reader->Read(&response)) {
      any = true;
      if (response.revision() > 0) request.set_from_revision(response.revision() + 1);
      std::string text = Render(options, response, snapshot);
      if (!text.empty() && !io.Out(text)) {
        context.TryCancel();
        return kOutputClosed;
      }
    }
    grpc::Status status = reader->Finish();
    if (resumed && ReasonOf(status) == "REVISION_COMPACTED") {
      // What changed meanwhile is no longer known. How everything is now makes up for it.
      io.Complain("events: some changes were missed; this is how the containers are now:");
      request.set_from_revision(0);
      snapshot = true;
      resumed = false;
      continue;
    }
    // noded is being restarted: the revision tells where to go on, without loss or repetition.
    bool lost = status.error_code() == grpc::StatusCode::UNAVAILABLE;
    resumed = lost && any && client.Reconnect(kPatience);
    if (!resumed) return status.ok() ? kOk : Fail(client, io, "events", status, kFailure);
  }
}

}  // namespace noded::cli
