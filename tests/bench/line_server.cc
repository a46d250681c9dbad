#include "tests/bench/line_server.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>

extern char** environ;

namespace noded::bench {
namespace {

std::vector<char*> Pointers(const std::vector<std::string>& argv) {
  std::vector<char*> pointers;
  for (const std::string& arg : argv) pointers.push_back(const_cast<char*>(arg.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

}  // namespace

int64_t NowNs() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1'000'000'000LL + t.tv_nsec;
}

std::unique_ptr<LineServer> LineServer::Start(const std::vector<std::string>& argv) {
  int in[2], out[2];
  if (pipe2(in, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0) return nullptr;
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, in[0], 0);
  posix_spawn_file_actions_adddup2(&actions, out[1], 1);
  pid_t pid = -1;
  int error =
      posix_spawnp(&pid, argv[0].c_str(), &actions, nullptr, Pointers(argv).data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  close(in[0]);
  close(out[1]);
  if (error != 0) {
    close(in[1]);
    close(out[0]);
    return nullptr;
  }
  return std::unique_ptr<LineServer>(new LineServer(pid, fdopen(in[1], "w"), fdopen(out[0], "r")));
}

LineServer::~LineServer() {
  fclose(in_);
  fclose(out_);
  waitpid(pid_, nullptr, 0);
}

std::optional<int64_t> LineServer::Round() {
  long long nanoseconds = 0;
  if (fputc('\n', in_) == EOF || fflush(in_) != 0 || fscanf(out_, "%lld", &nanoseconds) != 1)
    return std::nullopt;
  return nanoseconds;
}

int ServeRuns(const std::vector<std::string>& argv) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
  char line[16];
  while (fgets(line, sizeof line, stdin)) {
    int64_t begin = NowNs();
    pid_t pid = -1;
    int status = 0;
    if (posix_spawnp(&pid, argv[0].c_str(), &actions, nullptr, Pointers(argv).data(), environ) != 0)
      return 1;
    waitpid(pid, &status, 0);
    if (status != 0) {
      fprintf(stderr, "%s ended with status %d\n", argv[0].c_str(), status);
      return 1;
    }
    printf("%lld\n", static_cast<long long>(NowNs() - begin));
    fflush(stdout);
  }
  return 0;
}

Series::Series(std::vector<int64_t> samples_ns) : samples(std::move(samples_ns)) {
  std::sort(samples.begin(), samples.end());
}

}  // namespace noded::bench
