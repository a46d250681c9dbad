// Stats: who asks joins the shared sampling.
#include <utility>

#include "absl/strings/str_cat.h"
#include "node/base/status.h"
#include "node/container_state.h"
#include "node/engine_impl.h"
#include "node/record_changes.h"
#include "node/sampling.h"

namespace noded {
namespace {

constexpr absl::Duration kMinInterval = absl::Milliseconds(100);
constexpr absl::Duration kMaxInterval = absl::Hours(24);
constexpr size_t kMaxWanted = 10'000;

}  // namespace

absl::StatusOr<std::shared_ptr<ResponseStream<node::v1::StatsResponse>>> EngineImpl::Stats(
    const node::v1::StatsRequest& request) {
  std::optional<absl::Duration> interval;
  if (request.has_interval()) {
    interval =
        absl::Seconds(request.interval().seconds()) + absl::Nanoseconds(request.interval().nanos());
    if (*interval < kMinInterval || *interval > kMaxInterval) {
      return InvalidField("interval", "must be 100 ms to 24 h");
    }
  }
  if (static_cast<size_t>(request.containers_size()) > kMaxWanted) {
    return InvalidField("containers", absl::StrCat("must be at most ", kMaxWanted));
  }
  std::vector<std::string> ids;
  for (const std::string& reference : request.containers()) {
    ASSIGN_OR_RETURN(Snapshot snapshot, registry_->Find(reference));
    // One sample would be of nothing; a stream may wait for it to run.
    if (!interval && !HasProcess(snapshot->container().state())) {
      return WrongState(snapshot->container());
    }
    ids.push_back(snapshot->container().id());
  }
  return sampling_->Open(std::move(ids), interval);
}

std::vector<LastSample> EngineImpl::LastSamples() { return sampling_->Last(); }

}  // namespace noded
