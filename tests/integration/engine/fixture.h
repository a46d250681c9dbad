// An engine over real supervisors and cgroups, in directories of its own; after each test nothing
// of it may be left on the host.
#ifndef TESTS_INTEGRATION_ENGINE_FIXTURE_H_
#define TESTS_INTEGRATION_ENGINE_FIXTURE_H_

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "node/engine.h"
#include "node/v1/container_service.pb.h"

namespace noded::test {

struct ExecResult {
  absl::Status status;  // why the stream broke, if it did
  std::string exec_id;
  std::string out, err;
  std::optional<int> code, signal;
  bool timed_out = false;
};

class EngineTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite();
  void SetUp() override;
  // Removes all containers and asserts that the host is as it was.
  void TearDown() override;

  EngineOptions Options() const;
  // As `kill -9` would not: orderly. Containers live on.
  void CloseEngine() { engine_.reset(); }
  void OpenEngine();
  void ReopenEngine() {
    CloseEngine();
    OpenEngine();
  }

  // `sh -c script` in the busybox root.
  node::v1::ContainerSpec Shell(const std::string& script) const;
  node::v1::ContainerSpec Spec(const std::vector<std::string>& argv) const;

  absl::StatusOr<node::v1::Container> Run(const node::v1::ContainerSpec& spec,
                                          const std::string& request_id = "");
  absl::StatusOr<node::v1::Container> Create(const node::v1::ContainerSpec& spec,
                                             const std::string& request_id = "");
  absl::StatusOr<node::v1::Container> Start(const std::string& container);
  absl::StatusOr<node::v1::Container> Stop(const std::string& container,
                                           absl::Duration grace = absl::Seconds(10));
  absl::Status Kill(const std::string& container, const std::string& signal);
  absl::Status Remove(const std::string& container, bool force = false);
  absl::StatusOr<node::v1::WaitResponse> Wait(const std::string& container);
  absl::StatusOr<node::v1::Container> Get(const std::string& container);
  std::string Log(const std::string& container);

  node::v1::ExecStart ExecOf(const std::string& container, const std::string& script) const;
  // Runs to its end, with this input, which is then ended.
  ExecResult Exec(const node::v1::ExecStart& start, const std::string& input = "");
  ExecResult Exec(const std::string& container, const std::string& script) {
    return Exec(ExecOf(container, script));
  }
  std::shared_ptr<Engine::ExecStream> BeginExec(const node::v1::ExecStart& start);
  std::shared_ptr<Engine::AttachStream> BeginAttach(const std::string& container,
                                                    bool include_log = false);

  // In one hierarchy, as a person would; its own parent must be there.
  static void MakeGroup(const std::string& group);
  // An empty parent group, in each hierarchy.
  static void RemoveGroups(const std::string& parent);

  // What is on the host of this test's: processes, cgroups, directories, sockets.
  std::vector<std::string> Leftovers() const;

  static std::string rootfs_;  // busybox, shared by all tests
  std::string scratch_, root_, state_dir_, cgroup_parent_;
  std::set<std::string> mounts_before_;
  std::unique_ptr<Engine> engine_;
};

// Polls until it is true or a time is over.
bool Eventually(const std::function<bool()>& condition,
                absl::Duration patience = absl::Seconds(20));
// Lines of the host's mountinfo, but those of other tests' directories.
std::set<std::string> Mounts(const std::string& scratch);
// Whether a process of this pid exists and is no zombie.
bool IsAlive(int64_t pid);

}  // namespace noded::test

#endif  // TESTS_INTEGRATION_ENGINE_FIXTURE_H_
