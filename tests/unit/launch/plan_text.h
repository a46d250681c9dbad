// A launch plan as lines that a test can quote and a reader can read.
#ifndef TESTS_UNIT_LAUNCH_PLAN_TEXT_H_
#define TESTS_UNIT_LAUNCH_PLAN_TEXT_H_

#include <string>
#include <vector>

#include "node/shim/v1/plan.pb.h"

namespace noded::launch {

// "overlay /srv/busybox upper=/c/upper work=/c/work index=off".
std::vector<std::string> SourceLines(const node::shim::v1::LaunchPlan& plan);
// "mount proc at /proc nosuid,nodev,noexec"; sources by their description.
std::vector<std::string> StepLines(const node::shim::v1::LaunchPlan& plan);
// Where the first step that begins with `start` stands; -1 when there is none.
int Position(const std::vector<std::string>& lines, const std::string& start);

}  // namespace noded::launch

#endif  // TESTS_UNIT_LAUNCH_PLAN_TEXT_H_
