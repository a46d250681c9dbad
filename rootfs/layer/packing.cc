#include "rootfs/layer/packing.h"

#include <utility>

#include "node/base/status.h"
#include "rootfs/layer/child_process.h"
#include "rootfs/layer/job.h"

namespace noded::layer {

absl::StatusOr<std::unique_ptr<Packing>> Packing::Start(const PackOptions& options) {
  const auto stream =
      options.output < 0 ? ChildProcess::Stream::kRead : ChildProcess::Stream::kGiven;
  ASSIGN_OR_RETURN(auto child, ChildProcess::Start(options.program, ToMessage(options),
                                                   options.tree, stream, options.output));
  return std::unique_ptr<Packing>(new Packing(std::move(child)));
}

Packing::Packing(std::unique_ptr<ChildProcess> child) : child_(std::move(child)) {}
Packing::~Packing() = default;

absl::StatusOr<PackedStat> Packing::Stat() {
  if (!stat_) {
    ASSIGN_OR_RETURN(const Message answer, child_->Answer());
    stat_ = ParsePackedStat(answer);
  }
  return *stat_;
}

absl::StatusOr<std::string> Packing::Read(size_t max_bytes) { return child_->Read(max_bytes); }

absl::StatusOr<Packed> Packing::Finish() {
  RETURN_IF_ERROR(Stat().status());
  ASSIGN_OR_RETURN(const Message answer, child_->Answer());
  Packed result = ParsePacked(answer);
  if (result.digest.empty()) return absl::InternalError("the layer child told no digest");
  return result;
}

void Packing::Cancel() { child_->Cancel(); }

}  // namespace noded::layer
