#include "node/shim/output.h"

#include <cerrno>
#include <ctime>
#include <utility>

#include "node/base/file.h"

namespace noded::shim {
namespace {

using std::chrono::milliseconds;

// One read of this size takes all that a pipe holds by default.
constexpr size_t kReadBytes = Attachments::kMaxPayload;
// A prompt without a newline is to be seen by those who follow the log; a line written in pieces is
// to be one entry.
constexpr milliseconds kPartialDelay{250};
constexpr milliseconds kIdleCheck{1000};
constexpr milliseconds kRetryDelay{200};
constexpr milliseconds kSilence{2000};
// How long an ended container's last output waits for room on the disk.
constexpr milliseconds kBlockedAfterEnd{10000};

timespec Now() {
  timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return now;
}

}  // namespace

Output::Output(EventLoop& loop, Attachments& attachments)
    : loop_(loop), attachments_(attachments), buffer_(kReadBytes + 1) {
  attachments_.UseBuffer(buffer_);
}

Output::~Output() {
  Unwatch();
  for (uint64_t timer :
       {partial_timer_, idle_timer_, retry_timer_, silence_timer_, give_up_timer_}) {
    loop_.Cancel(timer);
  }
}

MaybeFailure Output::OpenLog(int directory, const pb::LogPlan& plan) {
  if (!buffer_.valid()) return Fail(pb::FAILURE_STEP_LOG, ENOMEM, "buffer");
  log_ = std::make_unique<LogWriter>();
  return log_->Open(directory, plan);
}

void Output::StartPipes(UniqueFd output, UniqueFd error) {
  sources_[0] = std::move(output);
  sources_[1] = std::move(error);
  Watch();
}

void Output::StartTerminal(UniqueFd master, UniqueFd slave) {
  terminal_ = true;
  sources_[0] = std::move(master);
  slave_ = std::move(slave);
  Watch();
}

void Output::Watch() {
  if (watched_) return;
  watched_ = true;
  for (Stream stream : {Stream::kOutput, Stream::kError}) {
    const UniqueFd& source = sources_[static_cast<int>(stream)];
    if (!source) continue;
    (void)SetNonblocking(source.get());
    loop_.Watch(source.get(), EPOLLIN, [this, stream](uint32_t) { OnReadable(stream); });
  }
}

// Forgotten and not only masked, because a hang-up is told whatever the mask.
void Output::Unwatch() {
  watched_ = false;
  for (const UniqueFd& source : sources_) {
    if (source) loop_.Forget(source.get());
  }
}

void Output::OnReadable(Stream stream) {
  const int fd = sources_[static_cast<int>(stream)].get();
  ssize_t got = read(fd, buffer_.data(), kReadBytes);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (got <= 0) {
    // End of file of a pipe; EIO of a terminal that nobody has open.
    CloseSource(stream);
    return;
  }
  Deliver(stream, {buffer_.data(), static_cast<size_t>(got)});
}

void Output::Deliver(Stream stream, std::string_view data) {
  attachments_.Send(stream, data);
  const size_t taken = log_->Append(stream, data, Now());
  if (taken < data.size()) {
    refused_ = data.substr(taken);
    refused_stream_ = stream;
  }
  if (log_->blocked() && retry_timer_ == 0) {
    retry_timer_ = loop_.After(kRetryDelay, [this] { RetryLog(); });
  }
  if (paused()) Unwatch();
  ArmTimers();
}

void Output::CloseSource(Stream stream) {
  UniqueFd& source = sources_[static_cast<int>(stream)];
  loop_.Forget(source.get());
  source.Reset();
  if (!log_->blocked()) log_->FlushPartial(Now());
  FinishIfDrained();
}

void Output::ContinueIfPossible() {
  if (!watched_ && log_ != nullptr && !paused()) Watch();
}

void Output::RetryLog() {
  retry_timer_ = 0;
  if (log_->Retry()) {
    std::string refused = std::exchange(refused_, {});
    const size_t taken = log_->Append(refused_stream_, refused, Now());
    if (taken < refused.size()) refused_ = refused.substr(taken);
  }
  if (log_->blocked()) {
    retry_timer_ = loop_.After(kRetryDelay, [this] { RetryLog(); });
    return;
  }
  ContinueIfPossible();
  FinishIfDrained();
}

void Output::ArmTimers() {
  read_since_idle_check_ = true;
  if (partial_timer_ == 0 && log_->has_partial()) {
    partial_timer_ = loop_.After(kPartialDelay, [this] {
      partial_timer_ = 0;
      if (log_ != nullptr && !log_->blocked()) log_->FlushPartial(Now());
    });
  }
  if (idle_timer_ == 0) {
    idle_timer_ = loop_.After(kIdleCheck, [this] {
      idle_timer_ = 0;
      if (std::exchange(read_since_idle_check_, false)) {
        ArmTimers();
        read_since_idle_check_ = false;
        return;
      }
      buffer_.Release();
      if (log_ != nullptr && !log_->blocked()) log_->ReleaseMemory();
    });
  }
  if (done_) ArmSilence();
}

void Output::ArmSilence() {
  loop_.Cancel(silence_timer_);
  silence_timer_ = loop_.After(kSilence, [this] {
    silence_timer_ = 0;
    if (paused()) {
      // It is we who are silent.
      ArmSilence();
      return;
    }
    Unwatch();
    for (UniqueFd& source : sources_) source.Reset();
    FinishIfDrained();
  });
}

void Output::Drain(std::function<void()> done) {
  done_ = std::move(done);
  slave_.Reset();
  ArmSilence();
  if (log_->blocked()) {
    give_up_timer_ = loop_.After(kBlockedAfterEnd, [this] {
      give_up_timer_ = 0;
      log_->StopBlocking();
      loop_.Cancel(retry_timer_);
      RetryLog();
    });
  }
  FinishIfDrained();
}

void Output::FinishIfDrained() {
  if (!done_ || sources_[0] || sources_[1] || log_->blocked()) return;
  log_->FlushPartial(Now());
  log_.reset();
  // All of them, because what they do needs the log; a client that reads slowly keeps us for a
  // while.
  for (uint64_t* timer : {&silence_timer_, &give_up_timer_, &partial_timer_, &idle_timer_}) {
    loop_.Cancel(*timer);
    *timer = 0;
  }
  std::exchange(done_, nullptr)();
}

}  // namespace noded::shim
