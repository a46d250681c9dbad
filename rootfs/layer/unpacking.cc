#include "rootfs/layer/unpacking.h"

#include <utility>

#include "node/base/status.h"
#include "rootfs/layer/child_process.h"
#include "rootfs/layer/job.h"

namespace noded::layer {

absl::StatusOr<std::unique_ptr<Unpacking>> Unpacking::Start(const UnpackOptions& options) {
  const auto stream =
      options.stream < 0 ? ChildProcess::Stream::kWritten : ChildProcess::Stream::kGiven;
  ASSIGN_OR_RETURN(auto child, ChildProcess::Start(options.program, ToMessage(options),
                                                   options.tree, stream, options.stream));
  return std::unique_ptr<Unpacking>(new Unpacking(std::move(child)));
}

Unpacking::Unpacking(std::unique_ptr<ChildProcess> child) : child_(std::move(child)) {}
Unpacking::~Unpacking() = default;

absl::Status Unpacking::Write(std::string_view bytes) { return child_->Write(bytes); }

absl::StatusOr<Unpacked> Unpacking::Finish() {
  child_->EndOfStream();
  ASSIGN_OR_RETURN(const Message answer, child_->Answer());
  Unpacked result = ParseUnpacked(answer);
  if (result.diff_id.empty()) return absl::InternalError("the layer child told no digest");
  return result;
}

void Unpacking::Cancel() { child_->Cancel(); }

}  // namespace noded::layer
