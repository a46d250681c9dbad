#include "node/shim/failure.h"

#include <utility>

namespace noded::shim {

pb::Failure Fail(pb::FailureStep step, int error, std::string object, std::string detail) {
  pb::Failure failure;
  failure.set_step(step);
  failure.set_error(error);
  failure.set_object(std::move(object));
  failure.set_detail(std::move(detail));
  return failure;
}

MaybeFailure FromResult(pb::FailureStep step, const mount::Result& result) {
  if (result.ok()) return std::nullopt;
  return Fail(step, result.error, result.object, result.detail);
}

}  // namespace noded::shim
