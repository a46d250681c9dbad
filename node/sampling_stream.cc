#include "node/sampling_stream.h"

#include <utility>

namespace noded {

using node::v1::StatsResponse;

namespace {

constexpr int kMostSamples = 1000;  // a message

}  // namespace

void Sampling::Stream::Next(Ready ready) {
  std::optional<absl::Duration> await;
  std::optional<StatsResponse> message;
  {
    absl::MutexLock lock(&mutex_);
    ready_ = std::move(ready);
    if (!cancelled_) {
      if (!rest_.empty()) {
        message = TakeMessage();
      } else if (!over_) {
        await = due_;
      }
    }
  }
  if (await) return sampling_->Await(shared_from_this(), *await);
  Answer(std::move(message));
}

void Sampling::Stream::Cancel() {
  bool waits;
  {
    absl::MutexLock lock(&mutex_);
    if (cancelled_) return;
    cancelled_ = true;
    rest_.clear();
    waits = ready_ != nullptr;
  }
  if (waits) sampling_->Forget(this);
  Answer(absl::CancelledError("the client went away"));
}

void Sampling::Stream::Close() { Answer(absl::UnavailableError("the agent is shutting down")); }

StatsResponse Sampling::Stream::TakeMessage() {
  StatsResponse response;
  while (!rest_.empty() && response.samples_size() < kMostSamples) {
    *response.add_samples() = *rest_.front();
    rest_.pop_front();
  }
  return response;
}

void Sampling::Stream::Deliver(std::vector<SharedSample> samples, absl::Duration begun) {
  StatsResponse response;
  {
    absl::MutexLock lock(&mutex_);
    if (cancelled_) return;
    rest_.assign(std::make_move_iterator(samples.begin()), std::make_move_iterator(samples.end()));
    response = TakeMessage();
    if (interval_) {
      // From when it was due and not from now, so that intervals do not drift; those that were
      // missed are left out.
      absl::Duration late;
      absl::IDivDuration(begun - due_, *interval_, &late);
      due_ = begun - late + *interval_;
    } else {
      over_ = true;
    }
  }
  Answer(std::move(response));
}

void Sampling::Stream::Answer(absl::StatusOr<std::optional<StatsResponse>> message) {
  Ready ready;
  {
    absl::MutexLock lock(&mutex_);
    ready = std::exchange(ready_, nullptr);
    if (cancelled_) message = absl::CancelledError("the client went away");
  }
  if (ready) ready(std::move(message));
}

}  // namespace noded
