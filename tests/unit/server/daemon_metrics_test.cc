#include "server/daemon_metrics.h"

#include <string>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/metrics_collector.h"
#include "server/metrics_text.h"
#include "tests/unit/server/fake_engine.h"

namespace noded::server {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(RequestFamilies, CountsByMethodAndCodeWithLatencies) {
  RequestMetrics requests;
  for (int i = 0; i < 5; ++i) requests.Begin();
  requests.End("ContainerService/Stop", grpc::StatusCode::OK, absl::Milliseconds(3));
  requests.End("ContainerService/Stop", grpc::StatusCode::OK, absl::Seconds(2));
  requests.End("ContainerService/Stop", grpc::StatusCode::NOT_FOUND, absl::Microseconds(100));
  requests.End("ContainerService/Get", static_cast<grpc::StatusCode>(99), absl::Seconds(100));
  const std::string text = RenderMetrics(RequestFamilies(requests));
  for (const char* line : {
           R"(noded_requests_total{method="ContainerService/Stop",code="OK"} 2)",
           R"(noded_requests_total{method="ContainerService/Stop",code="NOT_FOUND"} 1)",
           R"(noded_requests_total{method="ContainerService/Get",code="UNKNOWN"} 1)",
           R"(noded_request_duration_seconds_count{method="ContainerService/Stop"} 3)",
           R"(noded_request_duration_seconds_sum{method="ContainerService/Stop"} 2.0031)",
           R"(noded_request_duration_seconds_bucket{method="ContainerService/Stop",le="0.005"} 2)",
           R"(noded_request_duration_seconds_bucket{method="ContainerService/Stop",le="+Inf"} 3)",
           R"(noded_request_duration_seconds_bucket{method="ContainerService/Get",le="60"} 0)",
           R"(noded_request_duration_seconds_bucket{method="ContainerService/Get",le="+Inf"} 1)",
           R"(noded_requests_in_flight 1)",
       }) {
    EXPECT_THAT(text, HasSubstr(std::string("\n") + line + "\n"));
  }
}

TEST(RequestMetrics, ThreadsLoseNothing) {
  RequestMetrics requests;
  std::vector<std::thread> threads;
  for (const char* method : {"S/A", "S/B", "S/A", "S/B"}) {
    threads.emplace_back([&requests, method] {
      for (int i = 0; i < 1000; ++i) {
        requests.Begin();
        requests.End(method, grpc::StatusCode::OK, absl::Milliseconds(1));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  const auto methods = requests.Read();
  ASSERT_EQ(methods.size(), 2u);
  EXPECT_EQ(methods[0].by_code[0], 2000u);
  EXPECT_EQ(methods[1].by_code[0], 2000u);
  EXPECT_EQ(requests.in_flight(), 0);
}

TEST(StateFamilies, TellsEachState) {
  const std::string text = RenderMetrics(StateFamilies({{node::v1::CONTAINER_STATE_RUNNING, 3}}));
  EXPECT_THAT(text, HasSubstr("\nnoded_containers{state=\"running\"} 3\n"));
  EXPECT_THAT(text, HasSubstr("\nnoded_containers{state=\"exited\"} 0\n"));
  EXPECT_THAT(text, Not(HasSubstr("unspecified")));
}

TEST(ProcessFamilies, TellsOfThisProcess) {
  const std::string text = RenderMetrics(ProcessFamilies(absl::FromUnixMillis(1500), "1.2.3"));
  EXPECT_THAT(text, HasSubstr("\nnoded_build_info{version=\"1.2.3\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("\nprocess_start_time_seconds 1.5\n"));
  for (const char* name : {"process_cpu_seconds_total", "process_virtual_memory_bytes",
                           "process_resident_memory_bytes", "process_open_fds", "process_max_fds",
                           "process_threads"}) {
    EXPECT_THAT(text, ::testing::ContainsRegex(std::string("\n") + name + " [0-9.]*[1-9]")) << text;
  }
}

TEST_F(ServerTest, ACollectionTellsOfTheRequestsThatWereMade) {
  const auto stub = Stub();
  grpc::ClientContext context;
  node::v1::StopResponse response;
  EXPECT_FALSE(stub->Stop(&context, {}, &response).ok());
  engine_.states[node::v1::CONTAINER_STATE_EXITED] = 2;
  engine_.start_phases.Observe(StartPhase::kPlan, absl::Milliseconds(1));
  const MetricsCollector collector(&engine_, &server_->requests(), "x");
  std::string text;
  // The request is counted when gRPC is done with it, soon after the client has its answer.
  EXPECT_TRUE(Eventually([&] {
    text = RenderMetrics(collector.Collect());
    return text.find(
               "noded_requests_total{method=\"ContainerService/Stop\",code=\"UNIMPLEMENTED\"} "
               "1\n") != std::string::npos;
  })) << text;
  EXPECT_THAT(text, HasSubstr("noded_containers{state=\"exited\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("noded_start_phase_duration_seconds_count{phase=\"plan\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("noded_start_phase_duration_seconds_count{phase=\"answer\"} 0\n"));
}

}  // namespace
}  // namespace noded::server
