// Attach: a client on the main process's standard streams.
#include <sys/socket.h>

#include <utility>

#include "node/attach_session.h"
#include "node/base/socket.h"
#include "node/base/status.h"
#include "node/container_state.h"
#include "node/engine_impl.h"
#include "node/record_changes.h"

namespace noded {
namespace {

constexpr absl::Duration kQuickCall = absl::Seconds(10);

// The log so far. It is read after the attachment was made, so that nothing is missed between the
// two; what is written meanwhile may come twice.
absl::StatusOr<std::unique_ptr<LogReader>> OpenLog(const node::v1::Container& container,
                                                   const node::v1::AttachStart& start) {
  if (!start.include_log()) return nullptr;
  node::v1::LogsRequest request;
  request.set_container(container.id());
  return OpenLogReader(container.log_directory(), request);
}

}  // namespace

std::shared_ptr<Engine::AttachStream> EngineImpl::Attach() {
  return std::make_shared<AttachSession>(this);
}

void EngineImpl::BeginAttach(std::shared_ptr<AttachSession> session, node::v1::AttachStart start) {
  absl::StatusOr<Snapshot> found = registry_->Find(start.container());
  if (!found.ok()) return session->Failed(found.status());
  std::shared_ptr<Runtime> runtime = RuntimeOf((*found)->container().id());
  // In the container's queue, so that it is either before a start, which takes it along, or after.
  absl::Status queued = runtime->operations->Run(
      [=, this](Finished finished) { AttachInQueue(session, runtime, start, finished); });
  if (!queued.ok()) session->Failed(queued);
}

void EngineImpl::AttachInQueue(std::shared_ptr<AttachSession> session,
                               std::shared_ptr<Runtime> runtime, const node::v1::AttachStart& start,
                               Finished finished) {
  Snapshot snapshot = registry_->Get(runtime->id);
  if (snapshot == nullptr) return session->Failed(ContainerGone());
  const node::v1::Container& container = snapshot->container();
  if (container.state() == node::v1::CONTAINER_STATE_EXITED) {
    absl::StatusOr<std::unique_ptr<LogReader>> log = OpenLog(container, start);
    if (!log.ok()) return session->Failed(log.status());
    return session->Attached(std::move(runtime), StreamEnd(), *std::move(log));
  }
  auto sockets = SocketPair(SOCK_SEQPACKET | SOCK_NONBLOCK);
  if (!sockets.ok()) return session->Failed(sockets.status());
  StreamEnd ours(loop_.get(), std::move(sockets->first));
  if (container.state() == node::v1::CONTAINER_STATE_CREATED) {
    {
      absl::MutexLock lock(&runtime->mutex);
      runtime->pending_attachments[session.get()] = std::move(sockets->second);
    }
    return session->Attached(std::move(runtime), std::move(ours), nullptr);
  }
  std::shared_ptr<ShimClient> shim = runtime->Shim();
  if (shim == nullptr) return session->Failed(WrongState(container));
  node::shim::v1::Request request;
  request.mutable_attach();
  auto end = std::make_shared<StreamEnd>(std::move(ours));
  auto answered = [=, this](const absl::StatusOr<ShimClient::Answer>& answer) {
    if (!answer.ok()) {
      session->Failed(Annotate(answer.status(), "attach"));
      return finished();
    }
    // Opening a log reads the disk.
    SubmitAlways([=] {
      absl::StatusOr<std::unique_ptr<LogReader>> log = OpenLog(snapshot->container(), start);
      if (log.ok()) {
        session->Attached(runtime, std::move(*end), *std::move(log));
      } else {
        session->Failed(log.status());
      }
      finished();
    });
  };
  shim->Call(std::move(request), {sockets->second.get()}, kQuickCall, std::move(answered));
}

void EngineImpl::ResizeContainer(const std::shared_ptr<Runtime>& runtime,
                                 const node::v1::TerminalSize& size) {
  std::shared_ptr<ShimClient> shim = runtime->Shim();
  Snapshot snapshot = registry_->Get(runtime->id);
  if (shim == nullptr || snapshot == nullptr || !HasProcess(snapshot->container().state())) {
    // There is no terminal yet; it will be made in this size.
    absl::MutexLock lock(&runtime->mutex);
    runtime->pending_size = {size.width(), size.height()};
    return;
  }
  node::shim::v1::Request request;
  request.mutable_resize()->set_width(size.width());
  request.mutable_resize()->set_height(size.height());
  shim->Tell(std::move(request), {});
}

}  // namespace noded
