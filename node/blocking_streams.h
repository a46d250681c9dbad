// Streams whose other end is a thread that blocks: what is done with images takes long and waits
// for disks and networks, on a few threads of its own, while the API's streams never block.
#ifndef NODE_BLOCKING_STREAMS_H_
#define NODE_BLOCKING_STREAMS_H_

#include <deque>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "node/base/cancel.h"
#include "node/streams.h"

namespace noded {

// Messages of a thread that waits while four of them are not taken yet. Thread-safe; one thread
// writes.
template <typename Request, typename Response>
class BlockingStream : public DuplexStream<Request, Response> {
 public:
  using typename ResponseStream<Response>::Ready;
  using typename DuplexStream<Request, Response>::Taken;

  const noded::Cancel& cancel() const { return cancel_; }

  // ---- the thread's side ----
  // CANCELLED: the client has gone.
  absl::Status Write(Response response) {
    absl::MutexLock lock(&mutex_);
    mutex_.Await(absl::Condition(this, &BlockingStream::MayWrite));
    if (cancel_.Cancelled()) return absl::CancelledError("the client has gone");
    out_.push_back(std::move(response));
    Answer();
    return absl::OkStatus();
  }
  // The next message of the client; nullopt: there are no more.
  absl::StatusOr<std::optional<Request>> Read() {
    Taken taken;
    std::optional<Request> request;
    {
      absl::MutexLock lock(&mutex_);
      mutex_.Await(absl::Condition(this, &BlockingStream::MayRead));
      if (cancel_.Cancelled()) return absl::CancelledError("the client has gone");
      if (in_) request = std::exchange(in_, std::nullopt);
      taken = std::exchange(taken_, nullptr);
    }
    if (taken) taken(absl::OkStatus());
    return request;
  }
  // Once, last: after what was written comes the orderly end, or why it broke.
  void Finish(absl::Status status) {
    Taken taken;
    {
      absl::MutexLock lock(&mutex_);
      end_ = status;
      taken = std::exchange(taken_, nullptr);
      Answer();
    }
    if (taken) taken(status.ok() ? absl::CancelledError("no more is wanted") : status);
  }

  // ---- the client's side ----
  void Next(Ready ready) override {
    absl::MutexLock lock(&mutex_);
    next_ = std::move(ready);
    Answer();
  }
  void Send(Request request, Taken taken) override {
    absl::Status refused;
    {
      absl::MutexLock lock(&mutex_);
      if (!end_ && !cancel_.Cancelled()) {
        in_ = std::move(request);
        taken_ = std::move(taken);
        return;
      }
      refused = end_ && !end_->ok() ? *end_ : absl::CancelledError("no more is wanted");
    }
    taken(refused);
  }
  void CloseSend() override {
    absl::MutexLock lock(&mutex_);
    closed_ = true;
  }
  void Cancel() override {
    absl::MutexLock lock(&mutex_);
    cancel_.Set();
    if (next_ && !end_) end_ = absl::CancelledError("cancelled");
    Answer();
  }

 protected:
  // What comes before the queue, for streams that keep only the newest of something.
  virtual std::optional<Response> Newest() { return std::nullopt; }
  // Answers an outstanding Next when there is something to answer. Calls back without the lock.
  void Answer() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (!next_) return;
    std::optional<absl::StatusOr<std::optional<Response>>> answer;
    if (std::optional<Response> newest = Newest()) {
      answer = std::move(newest);
    } else if (!out_.empty()) {
      answer = std::optional<Response>(std::move(out_.front()));
      out_.pop_front();
    } else if (end_) {
      if (end_->ok()) {
        answer = std::optional<Response>();
      } else {
        answer = *end_;
      }
    }
    if (!answer) return;
    const Ready ready = std::exchange(next_, nullptr);
    mutex_.Unlock();
    ready(*std::move(answer));
    mutex_.Lock();
  }

  mutable absl::Mutex mutex_;
  std::optional<absl::Status> end_ ABSL_GUARDED_BY(mutex_);

 private:
  static constexpr size_t kMostWaiting = 4;
  bool MayWrite() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return out_.size() < kMostWaiting || cancel_.Cancelled();
  }
  bool MayRead() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return in_.has_value() || closed_ || cancel_.Cancelled();
  }

  noded::Cancel cancel_;
  std::deque<Response> out_ ABSL_GUARDED_BY(mutex_);
  Ready next_ ABSL_GUARDED_BY(mutex_);
  std::optional<Request> in_ ABSL_GUARDED_BY(mutex_);
  Taken taken_ ABSL_GUARDED_BY(mutex_);
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
};

// Progress of transfers: a slow client sees the newest of each content, and none holds the transfer
// up. `Response` has a repeated `progress`.
template <typename Response>
class ProgressStream final : public BlockingStream<Response, Response> {
 public:
  template <typename Message>
  void Tell(const Message& progress) {
    absl::MutexLock lock(&this->mutex_);
    auto [place, is_new] = newest_.try_emplace(progress.digest());
    // What changes its state is worth a message at once.
    if (is_new || place->second.state() != progress.state()) due_ = absl::InfinitePast();
    place->second = progress;
    told_.insert_or_assign(progress.digest(), false);
    this->Answer();
  }

 private:
  using Message = std::decay_t<decltype(std::declval<Response>().progress(0))>;
  static constexpr absl::Duration kInterval = absl::Milliseconds(100);

  std::optional<Response> Newest() ABSL_EXCLUSIVE_LOCKS_REQUIRED(this->mutex_) override {
    if (!this->end_ && absl::Now() < due_) return std::nullopt;
    Response response;
    for (auto& [digest, told] : told_) {
      if (!std::exchange(told, true)) *response.add_progress() = newest_.at(digest);
    }
    if (response.progress().empty()) return std::nullopt;
    due_ = absl::Now() + kInterval;
    return response;
  }

  std::map<std::string, Message> newest_;
  std::map<std::string, bool> told_;
  absl::Time due_ = absl::InfinitePast();
};

}  // namespace noded

#endif  // NODE_BLOCKING_STREAMS_H_
