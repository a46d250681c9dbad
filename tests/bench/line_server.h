// A child process that does one timed thing for each line it is sent and answers with its
// nanoseconds: so that one run can alternate between what is compared, each in a process of the
// right size.
#ifndef TESTS_BENCH_LINE_SERVER_H_
#define TESTS_BENCH_LINE_SERVER_H_

#include <sys/types.h>

#include <cstdint>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace noded::bench {

// Single-threaded.
class LineServer {
 public:
  // nullptr when it cannot be started.
  static std::unique_ptr<LineServer> Start(const std::vector<std::string>& argv);
  ~LineServer();  // closes its input and waits for its end
  // One round. nullopt: the child has ended.
  std::optional<int64_t> Round();

 private:
  LineServer(pid_t pid, FILE* in, FILE* out) : pid_(pid), in_(in), out_(out) {}
  pid_t pid_;
  FILE* in_;
  FILE* out_;
};

// Serves such lines on standard input and output by running `argv` to its end. Returns the exit
// code for main.
int ServeRuns(const std::vector<std::string>& argv);

int64_t NowNs();  // CLOCK_MONOTONIC

// Sorted on construction; REQUIRES: not empty.
struct Series {
  explicit Series(std::vector<int64_t> samples_ns);
  double MinMs() const { return samples.front() / 1e6; }
  double MedianMs() const { return samples[samples.size() / 2] / 1e6; }
  double P90Ms() const { return samples[samples.size() * 9 / 10] / 1e6; }
  std::vector<int64_t> samples;
};

}  // namespace noded::bench

#endif  // TESTS_BENCH_LINE_SERVER_H_
