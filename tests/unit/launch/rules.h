// Rules of a spec as a table: what breaks each, which field is named, and what is said.
#ifndef TESTS_UNIT_LAUNCH_RULES_H_
#define TESTS_UNIT_LAUNCH_RULES_H_

#include <functional>
#include <string>
#include <vector>

#include "node/v1/container.pb.h"

namespace noded::launch {

struct Rule {
  std::function<void(node::v1::ContainerSpec&)> broken_by;
  std::string field;
  std::string text;
};

// Each breaks exactly one rule of a valid spec.
void ExpectViolations(const std::vector<Rule>& rules);
// Each leaves the spec valid.
void ExpectValid(const std::vector<std::function<void(node::v1::ContainerSpec&)>>& changes);

}  // namespace noded::launch

#endif  // TESTS_UNIT_LAUNCH_RULES_H_
