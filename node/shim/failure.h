// How the steps of a launch or exec say that they failed. A value; thread-compatible.
#ifndef NODE_SHIM_FAILURE_H_
#define NODE_SHIM_FAILURE_H_

#include <optional>
#include <string>

#include "node/shim/v1/plan.pb.h"
#include "node/shim/v1/shim.pb.h"
#include "rootfs/mount/result.h"

namespace noded::shim {

namespace pb = ::node::shim::v1;

// nullopt: it went well.
using MaybeFailure = std::optional<pb::Failure>;

// Reads errno before anything can change it: Fail(step, errno, …).
pb::Failure Fail(pb::FailureStep step, int error, std::string object, std::string detail = {});
MaybeFailure FromResult(pb::FailureStep step, const mount::Result& result);

}  // namespace noded::shim

#endif  // NODE_SHIM_FAILURE_H_
