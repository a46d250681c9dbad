// Streams: order, half-close, slow and vanishing clients, over a real Unix socket.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <functional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "node/base/status.h"
#include "tests/unit/server/fake_engine.h"

namespace noded::server {
namespace {

using StreamTest = ServerTest;

node::v1::LogsResponse Line(const std::string& text) {
  node::v1::LogsResponse response;
  response.add_entries()->set_line(text);
  return response;
}

node::v1::ExecResponse Stdout(const std::string& text) {
  node::v1::ExecResponse response;
  response.set_stdout(text);
  return response;
}

node::v1::ExecRequest Stdin(const std::string& text) {
  node::v1::ExecRequest request;
  request.set_stdin(text);
  return request;
}

// What `count` says once it has been above 0 and the same for a while; -1 when it never is.
int WhenItStops(const std::function<int()>& count) {
  int last = 0;
  const bool stopped = Eventually([&] {
    absl::SleepFor(absl::Milliseconds(200));
    return count() > 0 && std::exchange(last, count()) == count();
  });
  return stopped ? last : -1;
}

TEST_F(StreamTest, SendsAllInOrderAndEnds) {
  const auto stream = std::make_shared<FakeLogs>();
  engine_.logs = [&](const node::v1::LogsRequest& request) {
    EXPECT_EQ(request.container(), "web");
    return stream;
  };
  for (int i = 0; i < 1000; ++i) stream->Feed(Line(std::to_string(i)));
  stream->End(absl::OkStatus());

  grpc::ClientContext context;
  node::v1::LogsRequest request;
  request.set_container("web");
  const auto stub = Stub();
  const auto reader = stub->Logs(&context, request);
  node::v1::LogsResponse response;
  int count = 0;
  while (reader->Read(&response)) {
    ASSERT_EQ(response.entries(0).line(), std::to_string(count++));
  }
  EXPECT_EQ(count, 1000);
  const grpc::Status status = reader->Finish();
  EXPECT_TRUE(status.ok()) << status.error_message();
}

TEST_F(StreamTest, RefusalAndBreakAreStatuses) {
  engine_.logs = [](const node::v1::LogsRequest&)
      -> absl::StatusOr<std::shared_ptr<ResponseStream<node::v1::LogsResponse>>> {
    return absl::NotFoundError("no such container");
  };
  const auto stub = Stub();
  node::v1::LogsResponse response;
  {
    grpc::ClientContext context;
    const auto reader = stub->Logs(&context, {});
    EXPECT_FALSE(reader->Read(&response));
    EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::NOT_FOUND);
  }
  const auto stream = std::make_shared<FakeLogs>();
  engine_.logs = [&](const node::v1::LogsRequest&) { return stream; };
  stream->Feed(Line("one"));
  stream->End(absl::DataLossError("the log is torn"));
  grpc::ClientContext context;
  const auto reader = stub->Logs(&context, {});
  EXPECT_TRUE(reader->Read(&response)) << "what came before the break arrives";
  EXPECT_FALSE(reader->Read(&response));
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::DATA_LOSS);
}

TEST_F(StreamTest, ClientThatGoesAwayCancelsTheSource) {
  const auto stream = std::make_shared<FakeLogs>();
  engine_.logs = [&](const node::v1::LogsRequest&) { return stream; };
  stream->Feed(Line("one"));
  grpc::ClientContext context;
  const auto stub = Stub();
  const auto reader = stub->Logs(&context, {});
  node::v1::LogsResponse response;
  ASSERT_TRUE(reader->Read(&response));
  context.TryCancel();
  EXPECT_TRUE(Eventually([&] { return stream->cancelled(); }));
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::CANCELLED);
}

TEST_F(StreamTest, ConnectionThatBreaksCancelsTheSource) {
  const auto stream = std::make_shared<FakeExec>();
  engine_.exec = stream;
  {
    auto stub = Stub();
    grpc::ClientContext context;
    auto call = stub->Exec(&context);
    EXPECT_TRUE(call->Write(Stdin("x")));
    EXPECT_TRUE(Eventually([&] { return stream->sent().size() == 1; }));
    context.TryCancel();
    call->Finish();
  }
  EXPECT_TRUE(Eventually([&] { return stream->cancelled(); }));
}

// Each message is asked for when the one before has gone, so a client that reads nothing stops the
// source after what the connection's own windows hold.
TEST_F(StreamTest, ClientThatDoesNotReadHoldsUpTheSource) {
  const auto stream = std::make_shared<FakeLogs>();
  engine_.logs = [&](const node::v1::LogsRequest&) { return stream; };
  constexpr int kMessages = 600;
  const std::string text(64 << 10, 'x');
  for (int i = 0; i < kMessages; ++i) stream->Feed(Line(text));
  stream->End(absl::OkStatus());
  grpc::ClientContext context;
  const auto stub = Stub();
  const auto reader = stub->Logs(&context, {});
  const int last = WhenItStops([&] { return stream->nexts(); });
  EXPECT_GT(last, 0);
  EXPECT_LT(last, 200) << "of 64 KiB each were taken from the source for a client that reads none";
  node::v1::LogsResponse response;
  int count = 0;
  while (reader->Read(&response)) ++count;
  EXPECT_EQ(count, kMessages);
  EXPECT_TRUE(reader->Finish().ok());
}

TEST_F(StreamTest, DuplexCarriesBothWays) {
  grpc::ClientContext context;
  const auto stub = Stub();
  const auto call = stub->Exec(&context);
  node::v1::ExecRequest start;
  start.mutable_start()->set_container("web");
  ASSERT_TRUE(call->Write(start));
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(call->Write(Stdin(std::to_string(i))));
  ASSERT_TRUE(call->WritesDone());
  ASSERT_TRUE(Eventually([&] { return engine_.exec->send_closed(); })) << "half-close arrives";
  const auto sent = engine_.exec->sent();
  ASSERT_EQ(sent.size(), 101u);
  EXPECT_EQ(sent[0].start().container(), "web");
  for (int i = 0; i < 100; ++i) EXPECT_EQ(sent[i + 1].stdin(), std::to_string(i));
  EXPECT_FALSE(engine_.exec->cancelled()) << "half-close is no end";

  for (int i = 0; i < 100; ++i) engine_.exec->Feed(Stdout(std::to_string(i)));
  engine_.exec->End(absl::OkStatus());
  node::v1::ExecResponse response;
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(call->Read(&response));
    EXPECT_EQ(response.stdout(), std::to_string(i));
  }
  EXPECT_FALSE(call->Read(&response));
  EXPECT_TRUE(call->Finish().ok());
}

TEST_F(StreamTest, ProcessThatDoesNotReadHoldsUpItsClient) {
  engine_.exec->set_taking(false);
  grpc::ClientContext context;
  const auto stub = Stub();
  const auto call = stub->Exec(&context);
  std::atomic<int> written = 0;
  std::thread writer([&] {
    const std::string text(256 << 10, 'x');
    while (written < 200 && call->Write(Stdin(text))) ++written;
  });
  EXPECT_TRUE(Eventually([&] { return !engine_.exec->sent().empty(); }));
  const int last = WhenItStops([&] { return written.load(); });
  EXPECT_GT(last, 0);
  EXPECT_LT(last, 100) << "of 256 KiB each went into a process that reads none";
  EXPECT_EQ(engine_.exec->sent().size(), 1u) << "one message waits for the process";
  engine_.exec->set_taking(true);
  engine_.exec->Take(absl::OkStatus());
  writer.join();
  EXPECT_EQ(written, 200);
  EXPECT_TRUE(Eventually([&] { return engine_.exec->sent().size() == 200; }));
  engine_.exec->End(absl::OkStatus());
  EXPECT_TRUE(call->Finish().ok());
}

TEST_F(StreamTest, WhatIsNotWantedIsReadNoMore) {
  engine_.exec->set_taking(false);
  grpc::ClientContext context;
  const auto stub = Stub();
  const auto call = stub->Exec(&context);
  ASSERT_TRUE(call->Write(Stdin("first")));
  ASSERT_TRUE(call->Write(Stdin("second")));
  ASSERT_TRUE(Eventually([&] { return engine_.exec->sent().size() == 1; }));
  engine_.exec->Take(absl::InvalidArgumentError("start first"));
  engine_.exec->End(absl::InvalidArgumentError("start first"));
  node::v1::ExecResponse response;
  EXPECT_FALSE(call->Read(&response));
  EXPECT_EQ(call->Finish().error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(engine_.exec->sent().size(), 1u);
}

// Clients come, do something or nothing, and go at any moment, while the engine answers in its
// time.
TEST_F(StreamTest, SurvivesClientsThatGoAtAnyMoment) {
  constexpr int kRounds = 200;
  absl::Mutex mutex;
  std::vector<std::shared_ptr<FakeExec>> streams;
  engine_.new_exec = [&] {
    const absl::MutexLock lock(&mutex);
    streams.push_back(std::make_shared<FakeExec>());
    streams.back()->set_taking(streams.size() % 3 != 0);
    return streams.back();
  };
  std::atomic<bool> over = false;
  // Answers whoever is there, long-gone calls too.
  std::thread engine([&] {
    for (size_t turn = 0; !over; ++turn) {
      std::vector<std::shared_ptr<FakeExec>> recent;
      {
        const absl::MutexLock lock(&mutex);
        recent.assign(streams.end() - std::min<size_t>(streams.size(), 4), streams.end());
      }
      for (const auto& stream : recent) {
        if (stream->fed() < 2) stream->Feed(Stdout(std::string(turn % 64 << 10, 'o')));
        if (turn % 3 == 0) stream->Take(absl::OkStatus());
        if (turn % 29 == 0) stream->End(absl::OkStatus());
      }
      std::this_thread::sleep_for(std::chrono::microseconds(turn % 7 * 20));
    }
  });
  const auto stub = Stub();
  for (int round = 0; round < kRounds; ++round) {
    grpc::ClientContext context;
    const auto call = stub->Exec(&context);
    if (round % 4 != 0) call->Write(Stdin("in"));
    if (round % 6 == 0) call->WritesDone();
    node::v1::ExecResponse response;
    if (round % 5 == 0) call->Read(&response);
    std::this_thread::sleep_for(std::chrono::microseconds(round % 11 * 50));
    if (round % 13 != 0) {
      context.TryCancel();
    } else {
      while (call->Read(&response)) continue;  // a status comes after what was sent before it
    }
    call->Finish();
  }
  over = true;
  engine.join();
  // The server still serves, and every call has let go of its stream but for what the test holds.
  engine_.new_exec = nullptr;
  engine_.exec->End(absl::OkStatus());
  grpc::ClientContext context;
  EXPECT_TRUE(stub->Exec(&context)->Finish().ok());
  EXPECT_TRUE(Eventually([&] {
    const absl::MutexLock lock(&mutex);
    return std::all_of(streams.begin(), streams.end(),
                       [](const auto& stream) { return stream.use_count() == 1; });
  }));
}

TEST_F(StreamTest, DrainEndsLongStreamsAtOnceAndLetsExecEnd) {
  const auto logs = std::make_shared<FakeLogs>();
  engine_.logs = [&](const node::v1::LogsRequest&) { return logs; };
  const auto stub = Stub();
  grpc::ClientContext logs_context, exec_context;
  const auto reader = stub->Logs(&logs_context, {});
  const auto call = stub->Exec(&exec_context);
  ASSERT_TRUE(call->Write(Stdin("x")));
  ASSERT_TRUE(Eventually([&] { return engine_.exec->sent().size() == 1 && logs->nexts() == 1; }));

  std::thread drain([&] { server_->Drain(absl::Seconds(10)); });
  node::v1::LogsResponse line;
  EXPECT_FALSE(reader->Read(&line));
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_TRUE(Eventually([&] { return logs->cancelled(); }));
  EXPECT_FALSE(engine_.exec->cancelled());
  {
    grpc::ClientContext context;
    node::v1::GetResponse response;
    EXPECT_EQ(stub->Get(&context, {}, &response).error_code(), grpc::StatusCode::UNAVAILABLE)
        << "no new calls";
  }
  const absl::Time before = absl::Now();
  engine_.exec->Feed(Stdout("last words"));
  engine_.exec->End(absl::OkStatus());
  node::v1::ExecResponse response;
  EXPECT_TRUE(call->Read(&response));
  EXPECT_EQ(response.stdout(), "last words");
  EXPECT_TRUE(call->Finish().ok());
  drain.join();
  EXPECT_LT(absl::Now() - before, absl::Seconds(5)) << "does not wait once all have ended";
}

TEST_F(StreamTest, DrainCancelsWhatDoesNotEnd) {
  const auto stub = Stub();
  grpc::ClientContext context;
  const auto call = stub->Exec(&context);
  ASSERT_TRUE(call->Write(Stdin("x")));
  ASSERT_TRUE(Eventually([&] { return engine_.exec->sent().size() == 1; }));
  server_->Drain(absl::Milliseconds(100));
  EXPECT_TRUE(engine_.exec->cancelled());
  EXPECT_FALSE(call->Finish().ok());
}

}  // namespace
}  // namespace noded::server
