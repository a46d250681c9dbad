// Answers: one request, one response, over a real Unix socket.
#include <sys/stat.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "grpcpp/generic/generic_stub.h"
#include "gtest/gtest.h"
#include "node/base/status.h"
#include "tests/unit/server/fake_engine.h"

namespace noded::server {
namespace {

using UnaryTest = ServerTest;

std::chrono::system_clock::time_point In(std::chrono::milliseconds time) {
  return std::chrono::system_clock::now() + time;
}

// A unary call by its method's name alone, with the wire format of an empty message or given bytes.
grpc::Status CallByName(const std::shared_ptr<grpc::Channel>& channel, const std::string& method,
                        const std::string& bytes, std::string* response) {
  grpc::GenericStub stub(channel);
  grpc::ClientContext context;
  grpc::CompletionQueue queue;
  const grpc::Slice slice(bytes);
  const grpc::ByteBuffer request(&slice, 1);
  grpc::ByteBuffer answer;
  grpc::Status status;
  auto call = stub.PrepareUnaryCall(&context, method, request, &queue);
  call->StartCall();
  call->Finish(&answer, &status, nullptr);
  void* tag = nullptr;
  bool ok = false;
  queue.Next(&tag, &ok);
  queue.Shutdown();
  while (queue.Next(&tag, &ok)) continue;
  std::vector<grpc::Slice> slices;
  if (status.ok() && answer.Dump(&slices).ok()) {
    for (const grpc::Slice& part : slices) {
      response->append(reinterpret_cast<const char*>(part.begin()), part.size());
    }
  }
  return status;
}

TEST_F(UnaryTest, SocketIsForRootAndItsGroup) {
  struct stat info = {};
  ASSERT_EQ(::stat((directory_ + "/n.sock").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0660u);
}

TEST_F(UnaryTest, AnswersAtOnce) {
  engine_.get = [](const node::v1::GetRequest& request) {
    node::v1::GetResponse response;
    response.mutable_container()->set_name(request.container());
    return response;
  };
  grpc::ClientContext context;
  node::v1::GetRequest request;
  request.set_container("web");
  node::v1::GetResponse response;
  ASSERT_TRUE(Stub()->Get(&context, request, &response).ok());
  EXPECT_EQ(response.container().name(), "web");
}

TEST_F(UnaryTest, AnswersFromAnotherThreadLater) {
  std::thread later;
  engine_.run = [&later](node::v1::RunContainerRequest request, auto done) {
    later = std::thread([request, done] {
      absl::SleepFor(absl::Milliseconds(20));
      node::v1::RunContainerResponse response;
      response.mutable_container()->set_id(request.spec().name() + "-id");
      done(response);
    });
  };
  grpc::ClientContext context;
  node::v1::RunContainerRequest request;
  request.mutable_spec()->set_name("web");
  node::v1::RunContainerResponse response;
  const grpc::Status status = Stub()->RunContainer(&context, request, &response);
  later.join();
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(response.container().id(), "web-id");
}

TEST_F(UnaryTest, ErrorArrivesWithItsDetails) {
  engine_.get = [](const node::v1::GetRequest&) -> absl::StatusOr<node::v1::GetResponse> {
    return WithReason(absl::NotFoundError("find container \"web\": no such container"),
                      reason::kContainerNotFound);
  };
  grpc::ClientContext context;
  node::v1::GetResponse response;
  const grpc::Status status = Stub()->Get(&context, {}, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(status.error_message(), "find container \"web\": no such container");
  google::rpc::Status details;
  google::rpc::ErrorInfo info;
  ASSERT_TRUE(details.ParseFromString(status.error_details()));
  ASSERT_EQ(details.details_size(), 1);
  ASSERT_TRUE(details.details(0).UnpackTo(&info));
  EXPECT_EQ(info.reason(), "CONTAINER_NOT_FOUND");
}

TEST_F(UnaryTest, TheLongestErrorStillArrives) {
  engine_.get = [](const node::v1::GetRequest&) -> absl::StatusOr<node::v1::GetResponse> {
    Violations violations;
    for (int i = 0; i < 500; ++i) violations.Add(std::string(200, 'f'), std::string(200, 'd'));
    return violations.ToStatus();
  };
  grpc::ClientContext context;
  node::v1::GetResponse response;
  const grpc::Status status = Stub()->Get(&context, {}, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT) << status.error_message();
  google::rpc::Status details;
  EXPECT_TRUE(details.ParseFromString(status.error_details()));
  EXPECT_GE(details.details_size(), 1);
}

TEST_F(UnaryTest, PauseResumeAndUpdateReachTheEngine) {
  engine_.pause = [](node::v1::PauseRequest request, auto done) {
    EXPECT_EQ(request.container(), "web");
    done(node::v1::PauseResponse());
  };
  engine_.resume = [](const node::v1::ResumeRequest&, auto done) {
    done(
        WithReason(absl::FailedPreconditionError("container web is running"), reason::kWrongState));
  };
  engine_.update = [](node::v1::UpdateRequest request, auto done) {
    node::v1::UpdateResponse response;
    *response.mutable_container()->mutable_spec()->mutable_limits() = request.limits();
    done(response);
  };
  const auto stub = Stub();
  grpc::ClientContext pausing, resuming, updating;
  node::v1::PauseRequest pause;
  pause.set_container("web");
  node::v1::PauseResponse paused;
  EXPECT_TRUE(stub->Pause(&pausing, pause, &paused).ok());
  node::v1::ResumeResponse resumed;
  const grpc::Status refused = stub->Resume(&resuming, {}, &resumed);
  EXPECT_EQ(refused.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_EQ(refused.error_message(), "container web is running");
  node::v1::UpdateRequest update;
  update.mutable_limits()->set_pids(7);
  node::v1::UpdateResponse updated;
  EXPECT_TRUE(stub->Update(&updating, update, &updated).ok());
  EXPECT_EQ(updated.container().spec().limits().pids(), 7);
}

TEST_F(UnaryTest, OperationGoesOnWhenItsClientsDeadlinePasses) {
  absl::Mutex mutex;
  Engine::Done<node::v1::RunContainerResponse> kept;
  engine_.run = [&](node::v1::RunContainerRequest, auto done) {
    const absl::MutexLock lock(&mutex);
    kept = done;
  };
  grpc::ClientContext context;
  context.set_deadline(In(std::chrono::milliseconds(100)));
  node::v1::RunContainerResponse response;
  const grpc::Status status = Stub()->RunContainer(&context, {}, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  absl::SleepFor(absl::Milliseconds(50));  // the reactor goes; its engine's callback does not
  const absl::MutexLock lock(&mutex);
  ASSERT_TRUE(kept) << "nobody took the operation back";
  kept(node::v1::RunContainerResponse());
}

TEST_F(UnaryTest, ServerMayGoBeforeTheEngineAnswers) {
  absl::Mutex mutex;
  Engine::Done<node::v1::StopResponse> kept;
  engine_.stop = [&](node::v1::StopRequest, auto done) {
    const absl::MutexLock lock(&mutex);
    kept = done;
  };
  std::thread client([stub = Stub()] {
    grpc::ClientContext context;
    node::v1::StopResponse response;
    EXPECT_FALSE(stub->Stop(&context, {}, &response).ok());
  });
  ASSERT_TRUE(Eventually([&] {
    const absl::MutexLock lock(&mutex);
    return static_cast<bool>(kept);
  }));
  server_->Drain(absl::Milliseconds(50));
  client.join();
  const absl::MutexLock lock(&mutex);
  kept(node::v1::StopResponse());
}

TEST_F(UnaryTest, WaitIsGivenUpWhenItsClientGoesAway) {
  absl::Mutex mutex;
  bool waiting = false, given_up = false;
  Engine::Done<node::v1::WaitResponse> kept;
  engine_.wait = [&](node::v1::WaitRequest, auto done) -> std::function<void()> {
    const absl::MutexLock lock(&mutex);
    kept = done;
    waiting = true;
    return [&] {
      const absl::MutexLock in(&mutex);
      given_up = true;
      kept(absl::CancelledError("given up"));
    };
  };
  grpc::ClientContext context;
  std::thread client([&, stub = Stub()] {
    node::v1::WaitResponse response;
    EXPECT_EQ(stub->Wait(&context, {}, &response).error_code(), grpc::StatusCode::CANCELLED);
  });
  EXPECT_TRUE(Eventually([&] {
    const absl::MutexLock lock(&mutex);
    return waiting;
  }));
  context.TryCancel();
  client.join();
  EXPECT_TRUE(Eventually([&] {
    const absl::MutexLock lock(&mutex);
    return given_up;
  }));
}

TEST_F(UnaryTest, WaitMayBeAnsweredBeforeItReturns) {
  engine_.wait = [](node::v1::WaitRequest, auto done) -> std::function<void()> {
    node::v1::WaitResponse response;
    response.mutable_status()->set_code(7);
    done(response);
    return [] { ADD_FAILURE() << "nothing to give up"; };
  };
  grpc::ClientContext context;
  node::v1::WaitResponse response;
  ASSERT_TRUE(Stub()->Wait(&context, {}, &response).ok());
  EXPECT_EQ(response.status().code(), 7);
}

TEST_F(UnaryTest, GrpcRefusesWhatIsTooLargeOrUnknown) {
  std::string response;
  const auto channel = Connect();
  EXPECT_EQ(
      CallByName(channel, "/node.v1.ContainerService/Get", std::string(5 << 20, 'x'), &response)
          .error_code(),
      grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(CallByName(channel, "/node.v1.ContainerService/Nope", "", &response).error_code(),
            grpc::StatusCode::UNIMPLEMENTED);
  EXPECT_FALSE(CallByName(channel, "/node.v1.ContainerService/Get", "\xFF\xFF", &response).ok());
}

TEST_F(UnaryTest, IsHealthyByEachName) {
  const auto channel = Connect();
  for (const std::string name : {"", "node.v1.ContainerService", "node.v1.NodeService"}) {
    std::string request, response;
    if (!name.empty()) {
      request = std::string("\x0A") + static_cast<char>(name.size()) + name;  // field 1
    }
    const grpc::Status status =
        CallByName(channel, "/grpc.health.v1.Health/Check", request, &response);
    ASSERT_TRUE(status.ok()) << name << ": " << status.error_message();
    EXPECT_EQ(response, std::string("\x08\x01")) << name << ": field 1 is 1, SERVING";
  }
}

TEST_F(UnaryTest, ReflectionNamesTheServices) {
  grpc::GenericStub stub(Connect());
  grpc::ClientContext context;
  grpc::CompletionQueue queue;
  const auto completes = [&queue] {
    void* tag = nullptr;
    bool ok = false;
    return queue.Next(&tag, &ok) && ok;
  };
  const auto call = stub.PrepareCall(
      &context, "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", &queue);
  call->StartCall(nullptr);
  ASSERT_TRUE(completes());
  const grpc::Slice list_services("\x3A\x00", 2);  // field 7, an empty string
  call->Write(grpc::ByteBuffer(&list_services, 1), nullptr);
  ASSERT_TRUE(completes());
  grpc::ByteBuffer answer;
  call->Read(&answer, nullptr);
  ASSERT_TRUE(completes());
  grpc::Slice whole;
  ASSERT_TRUE(answer.DumpToSingleSlice(&whole).ok());
  const std::string names(reinterpret_cast<const char*>(whole.begin()), whole.size());
  for (const char* name : {"node.v1.ContainerService", "node.v1.NodeService"}) {
    EXPECT_NE(names.find(name), std::string::npos) << name;
  }
  context.TryCancel();
  grpc::Status status;
  call->Finish(&status, nullptr);
  completes();
}

// The thread that answers is gRPC's, so many waiting calls need no more of them.
TEST_F(UnaryTest, ThreadsDoNotGrowWithCalls) {
  const auto threads = [] {
    int count = 0;
    for (const auto& entry : std::filesystem::directory_iterator("/proc/self/task")) {
      count += !entry.path().empty();
    }
    return count;
  };
  absl::Mutex mutex;
  std::vector<Engine::Done<node::v1::WaitResponse>> waiting;
  engine_.wait = [&](node::v1::WaitRequest, auto done) -> std::function<void()> {
    const absl::MutexLock lock(&mutex);
    waiting.push_back(done);
    return [] {};
  };
  const auto count = [&] {
    const absl::MutexLock lock(&mutex);
    return waiting.size();
  };
  const auto stub = Stub();
  constexpr size_t kCalls = 500;
  std::vector<grpc::ClientContext> contexts(kCalls);
  std::vector<node::v1::WaitResponse> responses(kCalls);
  std::atomic<size_t> ended = 0;
  const node::v1::WaitRequest request;
  int before = 0;
  for (size_t i = 0; i < kCalls; ++i) {
    if (i == 20) {
      ASSERT_TRUE(Eventually([&] { return count() == 20; }));
      before = threads();
    }
    stub->async()->Wait(&contexts[i], &request, &responses[i],
                        [&ended](const grpc::Status& status) { ended += status.ok(); });
  }
  EXPECT_TRUE(Eventually([&] { return count() == kCalls; }));
  EXPECT_LE(threads(), before + 8) << "for 480 calls more";
  for (auto& done : waiting) done(node::v1::WaitResponse());
  EXPECT_TRUE(Eventually([&] { return ended == kCalls; }));
}

}  // namespace
}  // namespace noded::server
