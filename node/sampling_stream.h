// One client of the shared sampling.
#ifndef NODE_SAMPLING_STREAM_H_
#define NODE_SAMPLING_STREAM_H_

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "node/sampling.h"

namespace noded {

// Thread-safe. Nothing is queued for a slow client but the rest of the round that it is reading: a
// round that it does not wait for does not take place for it.
class Sampling::Stream : public ResponseStream<node::v1::StatsResponse>,
                         public std::enable_shared_from_this<Sampling::Stream> {
 public:
  // `sampling` is not touched after it has closed this.
  Stream(Sampling* sampling, std::vector<std::string> ids, std::optional<absl::Duration> interval,
         absl::Duration now)
      : sampling_(sampling), ids_(std::move(ids)), interval_(interval), due_(now) {}

  void Next(Ready ready) override;
  void Cancel() override;

  bool wants_all() const { return ids_.empty(); }
  const std::vector<std::string>& ids() const { return ids_; }
  // Of a round that began now. One without interval wants no older one than its request.
  absl::Duration OldestWanted(absl::Duration now) const {
    return now - interval_.value_or(absl::ZeroDuration()) / 2;
  }
  // The samples of a round that began then.
  void Deliver(std::vector<SharedSample> samples, absl::Duration begun);
  // The engine is going away.
  void Close();

 private:
  void Answer(absl::StatusOr<std::optional<node::v1::StatsResponse>> message);
  node::v1::StatsResponse TakeMessage() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  Sampling* const sampling_;
  const std::vector<std::string> ids_;
  const std::optional<absl::Duration> interval_;
  absl::Mutex mutex_;
  Ready ready_ ABSL_GUARDED_BY(mutex_);
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
  bool over_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Duration due_ ABSL_GUARDED_BY(mutex_);             // since boot
  std::deque<SharedSample> rest_ ABSL_GUARDED_BY(mutex_);  // of a round larger than a message
};

}  // namespace noded

#endif  // NODE_SAMPLING_STREAM_H_
