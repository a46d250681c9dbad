// An engine whose every answer the test gives, and a server over it on a Unix socket of its own.
#ifndef TESTS_UNIT_SERVER_FAKE_ENGINE_H_
#define TESTS_UNIT_SERVER_FAKE_ENGINE_H_

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "grpcpp/grpcpp.h"
#include "gtest/gtest.h"
#include "node/engine.h"
#include "node/v1/container_service.grpc.pb.h"
#include "node/v1/node_service.grpc.pb.h"
#include "server/api_server.h"

namespace noded::server {

// Waits until `condition` holds, at most ten seconds; returns whether it does.
inline bool Eventually(const std::function<bool()>& condition) {
  const absl::Time end = absl::Now() + absl::Seconds(10);
  while (!condition()) {
    if (absl::Now() > end) return false;
    absl::SleepFor(absl::Milliseconds(2));
  }
  return true;
}

// A stream both ways that the test feeds and listens to. Thread-safe. Checks its user: never two
// Nexts or two Sends at a time.
template <typename Request, typename Response>
class FakeStream : public DuplexStream<Request, Response> {
 public:
  using Base = DuplexStream<Request, Response>;

  void Next(typename Base::Ready ready) override {
    absl::MutexLock lock(&mutex_);
    EXPECT_FALSE(next_) << "two Nexts at a time";
    ++nexts_;
    next_ = std::move(ready);
    Answer();
  }
  void Cancel() override {
    absl::MutexLock lock(&mutex_);
    cancelled_ = true;
    end_ = absl::CancelledError("cancelled");
    Answer();
  }
  void Send(Request request, typename Base::Taken taken) override {
    std::function<void()> now;
    {
      absl::MutexLock lock(&mutex_);
      EXPECT_FALSE(taken_) << "two Sends at a time";
      EXPECT_FALSE(send_closed_) << "Send after CloseSend";
      sent_.push_back(std::move(request));
      if (taking_) {
        now = [taken] { taken(absl::OkStatus()); };
      } else {
        taken_ = std::move(taken);
      }
    }
    if (now) now();
  }
  void CloseSend() override {
    absl::MutexLock lock(&mutex_);
    send_closed_ = true;
  }

  // What the test does.
  void Feed(Response response) {
    absl::MutexLock lock(&mutex_);
    responses_.push_back(std::move(response));
    Answer();
  }
  void End(absl::Status status) {
    absl::MutexLock lock(&mutex_);
    end_ = std::move(status);
    Answer();
  }
  // Whether Sends are taken at once; otherwise by Take.
  void set_taking(bool taking) {
    absl::MutexLock lock(&mutex_);
    taking_ = taking;
  }
  void Take(absl::Status status) {
    typename Base::Taken taken;
    {
      absl::MutexLock lock(&mutex_);
      taken = std::exchange(taken_, nullptr);
    }
    if (taken) taken(std::move(status));
  }
  // What the test looks at.
  bool cancelled() const { return Locked(cancelled_); }
  bool send_closed() const { return Locked(send_closed_); }
  size_t fed() const {  // and not sent yet
    const absl::MutexLock lock(&mutex_);
    return responses_.size();
  }
  int nexts() const { return Locked(nexts_); }
  std::deque<Request> sent() const { return Locked(sent_); }

 private:
  template <typename T>
  T Locked(const T& value) const {
    absl::MutexLock lock(&mutex_);
    return value;
  }
  // Calls back without the lock, in the middle of the call that holds it.
  void Answer() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (!next_) return;
    absl::StatusOr<std::optional<Response>> answer = std::optional<Response>();
    if (!responses_.empty()) {
      answer = std::optional<Response>(std::move(responses_.front()));
      responses_.pop_front();
    } else if (!end_.has_value()) {
      return;
    } else if (!end_->ok()) {
      answer = *end_;
    }
    const auto ready = std::exchange(next_, nullptr);
    mutex_.Unlock();
    ready(std::move(answer));
    mutex_.Lock();
  }

  mutable absl::Mutex mutex_;
  std::deque<Response> responses_;
  std::optional<absl::Status> end_;
  typename Base::Ready next_;
  typename Base::Taken taken_;
  std::deque<Request> sent_;
  bool taking_ = true, cancelled_ = false, send_closed_ = false;
  int nexts_ = 0;
};

using FakeExec = FakeStream<node::v1::ExecRequest, node::v1::ExecResponse>;
using FakeAttach = FakeStream<node::v1::AttachRequest, node::v1::AttachResponse>;
using FakeLogs = FakeStream<node::v1::LogsRequest, node::v1::LogsResponse>;

// What a test does not set is UNIMPLEMENTED.
class FakeEngine : public Engine {
 public:
  std::function<void(node::v1::RunContainerRequest, Done<node::v1::RunContainerResponse>)> run;
  std::function<void(node::v1::StopRequest, Done<node::v1::StopResponse>)> stop;
  std::function<void(node::v1::PauseRequest, Done<node::v1::PauseResponse>)> pause;
  std::function<void(node::v1::ResumeRequest, Done<node::v1::ResumeResponse>)> resume;
  std::function<void(node::v1::UpdateRequest, Done<node::v1::UpdateResponse>)> update;
  std::function<std::function<void()>(node::v1::WaitRequest, Done<node::v1::WaitResponse>)> wait;
  std::function<absl::StatusOr<node::v1::GetResponse>(const node::v1::GetRequest&)> get;
  std::function<absl::StatusOr<std::shared_ptr<ResponseStream<node::v1::LogsResponse>>>(
      const node::v1::LogsRequest&)>
      logs;
  std::function<std::shared_ptr<FakeExec>()> new_exec;  // else `exec`, for one call
  std::shared_ptr<FakeExec> exec = std::make_shared<FakeExec>();
  std::shared_ptr<FakeAttach> attach = std::make_shared<FakeAttach>();
  std::vector<LastSample> samples;
  StateCounts states;
  noded::StartPhases start_phases;

  void RunContainer(node::v1::RunContainerRequest request,
                    Done<node::v1::RunContainerResponse> done) override {
    run ? run(std::move(request), std::move(done)) : done(Unset());
  }
  void CreateContainer(node::v1::CreateContainerRequest,
                       Done<node::v1::CreateContainerResponse> done) override {
    done(Unset());
  }
  void Start(node::v1::StartRequest, Done<node::v1::StartResponse> done) override { done(Unset()); }
  void Stop(node::v1::StopRequest request, Done<node::v1::StopResponse> done) override {
    stop ? stop(std::move(request), std::move(done)) : done(Unset());
  }
  void Kill(node::v1::KillRequest, Done<node::v1::KillResponse> done) override { done(Unset()); }
  void Pause(node::v1::PauseRequest request, Done<node::v1::PauseResponse> done) override {
    pause ? pause(std::move(request), std::move(done)) : done(Unset());
  }
  void Resume(node::v1::ResumeRequest request, Done<node::v1::ResumeResponse> done) override {
    resume ? resume(std::move(request), std::move(done)) : done(Unset());
  }
  void Update(node::v1::UpdateRequest request, Done<node::v1::UpdateResponse> done) override {
    update ? update(std::move(request), std::move(done)) : done(Unset());
  }
  void Remove(node::v1::RemoveRequest, Done<node::v1::RemoveResponse> done) override {
    done(Unset());
  }
  std::function<void()> Wait(node::v1::WaitRequest request,
                             Done<node::v1::WaitResponse> done) override {
    if (wait) return wait(std::move(request), std::move(done));
    done(Unset());
    return [] {};
  }
  void Top(node::v1::TopRequest, Done<node::v1::TopResponse> done) override { done(Unset()); }
  absl::StatusOr<node::v1::GetResponse> Get(const node::v1::GetRequest& request) override {
    if (get) return get(request);
    return Unset();
  }
  absl::StatusOr<node::v1::ListResponse> List(const node::v1::ListRequest&) override {
    return Unset();
  }
  node::v1::GetInfoResponse GetInfo() override {
    node::v1::GetInfoResponse response;
    response.set_version("fake");
    return response;
  }
  StateCounts CountStates() override { return states; }
  noded::StorageEngine* storage() override { return nullptr; }
  const noded::StartPhases& StartDurations() override { return start_phases; }
  std::shared_ptr<ExecStream> Exec() override { return new_exec ? new_exec() : exec; }
  std::shared_ptr<AttachStream> Attach() override { return attach; }
  absl::StatusOr<std::shared_ptr<ResponseStream<node::v1::LogsResponse>>> Logs(
      const node::v1::LogsRequest& request) override {
    if (logs) return logs(request);
    return Unset();
  }
  absl::StatusOr<std::shared_ptr<ResponseStream<node::v1::StatsResponse>>> Stats(
      const node::v1::StatsRequest&) override {
    return Unset();
  }
  std::vector<LastSample> LastSamples() override { return samples; }
  absl::StatusOr<std::shared_ptr<ResponseStream<node::v1::WatchResponse>>> Watch(
      const node::v1::WatchRequest&) override {
    return Unset();
  }

 private:
  static absl::Status Unset() { return absl::UnimplementedError("the test gives no answer"); }
};

class ServerTest : public ::testing::Test {
 protected:
  ServerTest();
  ~ServerTest() override;

  std::shared_ptr<grpc::Channel> Connect() const;
  std::unique_ptr<node::v1::ContainerService::Stub> Stub() const {
    return node::v1::ContainerService::NewStub(Connect());
  }

  std::string directory_;
  FakeEngine engine_;
  std::unique_ptr<ApiServer> server_;
};

}  // namespace noded::server

#endif  // TESTS_UNIT_SERVER_FAKE_ENGINE_H_
