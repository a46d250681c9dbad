// logs.
#include "absl/strings/str_cat.h"
#include "clients/cli/commands.h"
#include "clients/cli/exit_code.h"
#include "clients/cli/output.h"
#include "clients/cli/proto_time.h"

namespace noded::cli {
namespace {

using node::v1::LogEntry;
using node::v1::LogsResponse;

// How long a following client waits for a noded that is being restarted.
constexpr absl::Duration kPatience = absl::Seconds(30);

// Prints entries: the bytes of each stream to our stream of the same name, exactly as they were
// written.
class LogPrinter {
 public:
  LogPrinter(const LogsOptions& options, const Io& io) : options_(options), io_(io) {}

  // False when nobody reads our output any more.
  bool Print(const LogsResponse& response) {
    if (options_.global.output == OutputFormat::kJson) {
      if (response.entries().empty()) return true;
      cursor_ = response.entries().rbegin()->cursor();
      return io_.Out(ToJson(response, false));
    }
    for (const LogEntry& entry : response.entries()) {
      if (!Add(entry)) return false;
    }
    return Flush();
  }
  // Of the last entry; empty before there was one.
  const std::string& cursor() const { return cursor_; }

 private:
  bool Add(const LogEntry& entry) {
    bool to_stderr = entry.stream() == node::v1::LOG_STREAM_STDERR;
    // The order between the streams is kept, for both may be the same terminal.
    if (to_stderr != pending_is_stderr_ && !Flush()) return false;
    pending_is_stderr_ = to_stderr;
    if (entry.gap()) {
      if (!Flush()) return false;
      io_.Complain("logs: entries before this one were rotated away");
    }
    bool& in_line = to_stderr ? in_stderr_line_ : in_stdout_line_;
    if (options_.timestamps && !in_line)
      absl::StrAppend(&pending_, Rfc3339(FromProto(entry.time())), " ");
    pending_.append(entry.line());
    if (!entry.partial()) pending_ += '\n';
    in_line = entry.partial();
    cursor_ = entry.cursor();
    return true;
  }

  bool Flush() {
    bool good = pending_is_stderr_ ? io_.Err(pending_) : io_.Out(pending_);
    pending_.clear();
    return good;
  }

  const LogsOptions& options_;
  const Io& io_;
  std::string pending_;
  bool pending_is_stderr_ = false;
  bool in_stdout_line_ = false;  // the last entry of the stream was partial
  bool in_stderr_line_ = false;
  std::string cursor_;
};

}  // namespace

int Run(const LogsOptions& options, Client& client, const Io& io) {
  LogPrinter printer(options, io);
  node::v1::LogsRequest request = options.request;
  grpc::Status status;
  while (true) {
    grpc::ClientContext context;
    client.SetDeadline(context);
    auto reader = client.containers().Logs(&context, request);
    LogsResponse response;
    bool any = false;
    while (reader->Read(&response)) {
      any = true;
      if (!printer.Print(response)) {
        context.TryCancel();
        return kOutputClosed;
      }
    }
    status = reader->Finish();
    // noded is being restarted: the cursor tells where to go on, without loss or repetition.
    bool lost = status.error_code() == grpc::StatusCode::UNAVAILABLE;
    if (!lost || !any || !options.request.follow() || !client.Reconnect(kPatience)) break;
    request.clear_since();
    request.clear_tail();
    request.set_cursor(printer.cursor());
  }
  if (!status.ok())
    return Fail(client, io, absl::StrCat("logs ", options.request.container()), status, kFailure);
  if (options.show_cursor && !printer.cursor().empty())
    io.Err(absl::StrCat("cursor: ", printer.cursor(), "\n"));
  return kOk;
}

}  // namespace noded::cli
