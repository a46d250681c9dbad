#include "node/container_state.h"

#include <gtest/gtest.h>

#include <sstream>
#include <string>

namespace noded {
namespace {

using node::v1::ContainerState;

// The whole table as a picture: rows become columns where there is an x.
TEST(ContainerState, TableOfTransitions) {
  constexpr char kPicture[] = R"(
from\to   CREATING CREATED STARTING RUNNING PAUSED EXITED REMOVING UNKNOWN
CREATING  x        x       x        .       .      .      x        x
CREATED   .        x       x        .       .      .      x        x
STARTING  .        .       x        x       .      x      x        x
RUNNING   .        .       .        x       x      x      x        x
PAUSED    .        .       .        x       x      x      x        x
EXITED    .        .       x        .       .      x      x        x
REMOVING  .        .       .        .       .      .      x        .
UNKNOWN   .        .       .        .       .      x      x        x
)";
  auto state = [](const std::string& name) {
    ContainerState parsed = node::v1::CONTAINER_STATE_UNSPECIFIED;
    EXPECT_TRUE(node::v1::ContainerState_Parse("CONTAINER_STATE_" + name, &parsed)) << name;
    return parsed;
  };
  std::istringstream rows(kPicture);
  std::string row, cell;
  std::getline(rows, row);
  std::getline(rows, row);
  std::istringstream header(row);
  header >> cell;
  std::vector<ContainerState> columns;
  while (header >> cell) columns.push_back(state(cell));
  ASSERT_EQ(columns.size(), 8u);
  int checked = 0;
  while (std::getline(rows, row)) {
    std::istringstream cells(row);
    cells >> cell;
    const ContainerState from = state(cell);
    for (ContainerState to : columns) {
      cells >> cell;
      EXPECT_EQ(MayBecome(from, to), cell == "x") << StateName(from) << " → " << StateName(to);
      ++checked;
    }
  }
  EXPECT_EQ(checked, 64);
}

TEST(ContainerState, OnlyRunningAndPausedHaveAProcess) {
  for (int i = 0; i < node::v1::ContainerState_ARRAYSIZE; ++i) {
    auto state = static_cast<ContainerState>(i);
    EXPECT_EQ(HasProcess(state), StateName(state) == "running" || StateName(state) == "paused");
  }
}

}  // namespace
}  // namespace noded
