// stop, kill, wait, pause, unpause, update and rm: one call a container, several at once.
#include <atomic>
#include <functional>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "clients/cli/commands.h"
#include "clients/cli/exit_code.h"
#include "clients/cli/output.h"
#include "clients/cli/proto_time.h"

namespace noded::cli {
namespace {

struct Result {
  grpc::Status status;
  std::string text;  // for standard output
  absl::Notification done;
};

using Work = std::function<void(const std::string& container, Result& result)>;

// Stopping ten containers should not take ten grace periods; a hundred should not take a hundred
// threads.
constexpr size_t kMostThreads = 16;

// Does the work for each and prints the results in the order of the arguments. One failure does not
// keep the others from being tried.
int ForEach(absl::string_view verb, const std::vector<std::string>& containers,
            const Client& client, const Io& io, const Work& work) {
  std::vector<Result> results(containers.size());
  std::atomic<size_t> next = 0;
  auto work_off = [&] {
    for (size_t i = next++; i < containers.size(); i = next++) {
      work(containers[i], results[i]);
      results[i].done.Notify();
    }
  };
  std::vector<std::thread> threads;
  for (size_t i = 1; i < std::min(containers.size(), kMostThreads); ++i)
    threads.emplace_back(work_off);
  if (threads.empty())
    work_off();
  else
    threads.emplace_back(work_off);
  int exit_code = kOk;
  for (size_t i = 0; i < containers.size(); ++i) {
    results[i].done.WaitForNotification();
    if (!results[i].status.ok()) {
      exit_code =
          Fail(client, io, absl::StrCat(verb, " ", containers[i]), results[i].status, kFailure);
    } else if (!io.Out(results[i].text)) {
      exit_code = kOutputClosed;
    }
  }
  for (std::thread& thread : threads) thread.join();
  return exit_code;
}

// What is printed for a container that it worked for: its name as given, or the answer.
std::string Told(const GlobalOptions& global, const std::string& container,
                 const google::protobuf::Message& response) {
  return global.output == OutputFormat::kJson ? ToJson(response, false)
                                              : absl::StrCat(container, "\n");
}

}  // namespace

int Run(const StopOptions& options, Client& client, const Io& io) {
  client.containers();  // connect before there are threads
  return ForEach("stop", options.containers, client, io,
                 [&](const std::string& container, Result& result) {
                   node::v1::StopRequest request;
                   request.set_container(container);
                   if (options.grace) *request.mutable_grace() = ToProto(*options.grace);
                   node::v1::StopResponse response;
                   result.status = client.Call(&ContainerStub::Stop, request, &response);
                   result.text = Told(options.global, container, response);
                 });
}

int Run(const KillOptions& options, Client& client, const Io& io) {
  client.containers();
  return ForEach("kill", options.containers, client, io,
                 [&](const std::string& container, Result& result) {
                   node::v1::KillRequest request;
                   request.set_container(container);
                   request.set_signal(options.signal);
                   node::v1::KillResponse response;
                   result.status = client.Call(&ContainerStub::Kill, request, &response);
                   result.text = Told(options.global, container, response);
                 });
}

int Run(const WaitOptions& options, Client& client, const Io& io) {
  client.containers();
  return ForEach("wait", options.containers, client, io,
                 [&](const std::string& container, Result& result) {
                   node::v1::WaitRequest request;
                   request.set_container(container);
                   node::v1::WaitResponse response;
                   result.status = client.Call(&ContainerStub::Wait, request, &response);
                   result.text = Told(options.global, ExitText(response.status()), response);
                 });
}

int Run(const PauseOptions& options, Client& client, const Io& io) {
  client.containers();
  return ForEach("pause", options.containers, client, io,
                 [&](const std::string& container, Result& result) {
                   node::v1::PauseRequest request;
                   request.set_container(container);
                   node::v1::PauseResponse response;
                   result.status = client.Call(&ContainerStub::Pause, request, &response);
                   result.text = Told(options.global, container, response);
                 });
}

int Run(const ResumeOptions& options, Client& client, const Io& io) {
  client.containers();
  return ForEach("unpause", options.containers, client, io,
                 [&](const std::string& container, Result& result) {
                   node::v1::ResumeRequest request;
                   request.set_container(container);
                   node::v1::ResumeResponse response;
                   result.status = client.Call(&ContainerStub::Resume, request, &response);
                   result.text = Told(options.global, container, response);
                 });
}

int Run(const UpdateOptions& options, Client& client, const Io& io) {
  client.containers();
  return ForEach("update", options.containers, client, io,
                 [&](const std::string& container, Result& result) {
                   node::v1::UpdateRequest request = options.request;
                   request.set_container(container);
                   node::v1::UpdateResponse response;
                   result.status = client.Call(&ContainerStub::Update, request, &response);
                   result.text = Told(options.global, container, response);
                 });
}

int Run(const RemoveOptions& options, Client& client, const Io& io) {
  client.containers();
  return ForEach("rm", options.containers, client, io,
                 [&](const std::string& container, Result& result) {
                   node::v1::RemoveRequest request;
                   request.set_container(container);
                   request.set_force(options.force);
                   request.set_volumes(options.volumes);
                   node::v1::RemoveResponse response;
                   result.status = client.Call(&ContainerStub::Remove, request, &response);
                   result.text = Told(options.global, container, response);
                   // With -f the wish is that it is not there.
                   if (options.force && result.status.error_code() == grpc::StatusCode::NOT_FOUND) {
                     result.status = grpc::Status::OK;
                     result.text.clear();
                   }
                 });
}

}  // namespace noded::cli
