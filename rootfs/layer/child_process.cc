#include "rootfs/layer/child_process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

#include <cerrno>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "node/base/file.h"
#include "node/base/spawn.h"
#include "node/base/status.h"
#include "rootfs/layer/job.h"

namespace noded::layer {
namespace {

// More than a message of two paths and a reason takes.
constexpr size_t kMostMessageBytes = 64 << 10;
constexpr int kPipeBytes = 256 << 10;
constexpr size_t kMostLowers = 500;

absl::Status CheckTree(const Tree& tree) {
  const size_t lowers = tree.lowers.size() + (tree.upper >= 0 ? 1 : 0);
  if (tree.directory >= 0 ? lowers > 0 : tree.lowers.empty() || lowers > kMostLowers + 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("tree of a layer: a directory, or 1 to ", kMostLowers, " layers"));
  }
  return absl::OkStatus();
}

void Reap(pid_t pid) {
  while (waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<ChildProcess>> ChildProcess::Start(const std::string& program,
                                                                  const Message& job,
                                                                  const Tree& tree, Stream stream,
                                                                  int given) {
  RETURN_IF_ERROR(CheckTree(tree));
  ASSIGN_OR_RETURN(const UniqueFd job_file, SealedMemfd("layer-job", job.ToLine()));
  ASSIGN_OR_RETURN(Pipe result, MakePipe());
  Pipe pipe;
  if (stream != Stream::kGiven) {
    ASSIGN_OR_RETURN(pipe, MakePipe());
    // Fewer switches between the two; a host that limits its pipes may refuse it.
    fcntl(pipe.writer.get(), F_SETPIPE_SZ, kPipeBytes);
  }
  const int childs = stream == Stream::kGiven     ? given
                     : stream == Stream::kWritten ? pipe.reader.get()
                                                  : pipe.writer.get();
  std::vector<int> fds = {job_file.get(), result.writer.get(), STDERR_FILENO, childs};
  for (int fd : DescriptorsOf(tree)) fds.push_back(fd);
  char* environment[] = {nullptr};
  ASSIGN_OR_RETURN(const pid_t pid, Spawn(program, {kChildName}, environment, fds));
  absl::StatusOr<Pidfd> pidfd = Pidfd::Open(pid);
  if (!pidfd.ok()) {
    kill(pid, SIGKILL);  // ours and not reaped yet, so the number is still its own
    Reap(pid);
    return pidfd.status();
  }
  UniqueFd ours = std::move(stream == Stream::kWritten ? pipe.writer : pipe.reader);
  if (stream == Stream::kGiven) ours.Reset();
  return std::unique_ptr<ChildProcess>(
      new ChildProcess(pid, *std::move(pidfd), std::move(result.reader), std::move(ours)));
}

ChildProcess::ChildProcess(pid_t pid, Pidfd pidfd, UniqueFd result, UniqueFd stream)
    : pid_(pid), pidfd_(std::move(pidfd)), result_(std::move(result)), stream_(std::move(stream)) {}

ChildProcess::~ChildProcess() {
  if (!pidfd_.Ended()) pidfd_.Signal(SIGKILL).IgnoreError();
  Reap(pid_);
}

absl::Status ChildProcess::Write(std::string_view bytes) {
  RETURN_IF_ERROR(failure_);
  while (!bytes.empty()) {
    const ssize_t size = write(stream_.get(), bytes.data(), bytes.size());
    if (size >= 0) {
      bytes.remove_prefix(static_cast<size_t>(size));
      continue;
    }
    if (errno == EINTR) continue;
    if (errno != EPIPE) return ErrnoStatus(errno, "write to the layer child");
    // It reads to the end of the stream unless it has a reason not to.
    const absl::StatusOr<Message> answer = Answer();
    if (answer.ok())
      failure_ = absl::InternalError("the layer child did not want all of the stream");
    return failure_;
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> ChildProcess::Read(size_t max_bytes) {
  std::string bytes(max_bytes, '\0');
  ssize_t size;
  do {
    size = read(stream_.get(), bytes.data(), bytes.size());
  } while (size < 0 && errno == EINTR);
  if (size < 0) return ErrnoStatus(errno, "read from the layer child");
  bytes.resize(static_cast<size_t>(size));
  return bytes;
}

absl::StatusOr<Message> ChildProcess::Answer() {
  RETURN_IF_ERROR(failure_);
  size_t end;
  while ((end = received_.find('\n')) == std::string::npos) {
    char buffer[4096];
    const ssize_t size = read(result_.get(), buffer, sizeof buffer);
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0 || received_.size() + static_cast<size_t>(size) > kMostMessageBytes) {
      return failure_ = WithoutAWord();
    }
    received_.append(buffer, static_cast<size_t>(size));
  }
  const absl::StatusOr<Message> message = Message::Parse(received_.substr(0, end));
  received_.erase(0, end + 1);
  failure_ = message.ok() ? message->Error() : absl::InternalError(message.status().message());
  RETURN_IF_ERROR(failure_);
  return message;
}

absl::Status ChildProcess::WithoutAWord() {
  // Still a zombie afterwards: the destructor reaps, so that pid_ and pidfd_ stay its own till
  // then.
  siginfo_t info{};
  pidfd_.Signal(SIGKILL).IgnoreError();
  while (waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOWAIT) < 0 && errno == EINTR) {
  }
  if (cancelled_) return absl::CancelledError("the work on the layer was cancelled");
  return absl::InternalError(
      info.si_code == CLD_EXITED
          ? absl::StrCat("the layer child exited with ", info.si_status)
          : absl::StrCat("the layer child was killed by signal ", info.si_status));
}

void ChildProcess::Cancel() {
  cancelled_ = true;
  pidfd_.Signal(SIGKILL).IgnoreError();
}

}  // namespace noded::layer
