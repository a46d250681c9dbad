#include "tests/unit/launch/rules.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "node/base/status.h"
#include "node/launch/plan.h"
#include "tests/unit/launch/specs.h"

namespace noded::launch {

using node::v1::ContainerSpec;
using testing::HasSubstr;
using testing::SizeIs;

void ExpectViolations(const std::vector<Rule>& rules) {
  for (const Rule& rule : rules) {
    ContainerSpec spec = MinimalSpec();
    rule.broken_by(spec);
    absl::Status status = ValidateSpec(spec);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << rule.field << " " << rule.text;
    EXPECT_EQ(ReasonOf(status), reason::kInvalidArgument);
    std::vector<FieldViolation> violations = FieldViolationsOf(status);
    ASSERT_THAT(violations, SizeIs(1)) << rule.field << " " << rule.text << ": " << status;
    EXPECT_EQ(violations[0].field, rule.field) << violations[0].description;
    EXPECT_THAT(violations[0].description, HasSubstr(rule.text)) << rule.field;
  }
}

void ExpectValid(const std::vector<std::function<void(ContainerSpec&)>>& changes) {
  for (size_t i = 0; i < changes.size(); ++i) {
    ContainerSpec spec = MinimalSpec();
    changes[i](spec);
    EXPECT_TRUE(ValidateSpec(spec).ok()) << "change " << i << ": " << ValidateSpec(spec);
  }
}

}  // namespace noded::launch
