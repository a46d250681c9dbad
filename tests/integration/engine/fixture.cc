#include "tests/integration/engine/fixture.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "google/protobuf/util/time_util.h"
#include "node/base/file.h"
#include "node/base/status.h"
#include "node/process_table.h"
#include "tests/integration/engine/await.h"
#include "tests/patience.h"

namespace noded::test {
namespace {

namespace fs = std::filesystem;
using google::protobuf::util::TimeUtil;

constexpr char kScratchPrefix[] = "/tmp/noded-engine-";
constexpr char kBusybox[] = "/bin/busybox";
constexpr char kCgroupRoot[] = "/sys/fs/cgroup";
constexpr const char* kCommands[] = {
    "sh",   "cat",   "echo", "sleep",  "true",  "false", "ls",  "id",       "kill",
    "dd",   "head",  "tail", "seq",    "yes",   "wc",    "env", "hostname", "mount",
    "stty", "mkdir", "rm",   "usleep", "touch", "ps",    "tr",  "md5sum",   "test"};

void MakeBusyboxRoot(const std::string& root) {
  for (const char* directory : {"bin", "dev", "etc", "proc", "sys", "tmp", "root", "run"}) {
    fs::create_directories(fs::path(root) / directory);
  }
  fs::copy_file(kBusybox, fs::path(root) / "bin/busybox");
  for (const char* command : kCommands) {
    fs::create_symlink("busybox", fs::path(root) / "bin" / command);
  }
  std::ofstream(root + "/etc/passwd") << "root:x:0:0:root:/root:/bin/sh\n"
                                         "app:x:1000:1000:app:/home/app:/bin/sh\n";
  std::ofstream(root + "/etc/group") << "root:x:0:\napp:x:1000:\n";
}

// The parent group in each hierarchy that has it.
std::vector<std::string> GroupDirectories(const std::string& parent) {
  std::vector<std::string> found;
  for (const auto& hierarchy : fs::directory_iterator(kCgroupRoot)) {
    std::string path = hierarchy.path().string() + parent;
    if (hierarchy.is_directory() && !hierarchy.is_symlink() && fs::exists(path)) {
      found.push_back(path);
    }
  }
  if (fs::exists(std::string(kCgroupRoot) + parent)) found.push_back(kCgroupRoot + parent);
  return found;
}

// Supervisors are told by their container directory, which they hold as descriptor 4.
std::vector<std::string> ShimsOf(const std::string& root) {
  std::vector<std::string> shims;
  for (const auto& process : fs::directory_iterator("/proc")) {
    std::string name = process.path().filename();
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    if (name == std::to_string(getpid())) continue;
    std::error_code gone;
    std::string directory = fs::read_symlink(process.path() / "fd/4", gone).string();
    if (!gone && absl::StartsWith(directory, root)) {
      shims.push_back(absl::StrCat("process ", name, " of ", directory));
    }
  }
  return shims;
}

}  // namespace

std::string EngineTest::rootfs_;

void EngineTest::SetUpTestSuite() {
  if (geteuid() != 0 || !rootfs_.empty()) return;
  char directory[] = "/tmp/noded-rootfs-XXXXXX";
  rootfs_ = mkdtemp(directory);
  MakeBusyboxRoot(rootfs_);
  std::atexit([] { fs::remove_all(rootfs_); });
}

void EngineTest::SetUp() {
  if (geteuid() != 0) GTEST_SKIP() << "needs root";
  if (!fs::exists(kBusybox)) GTEST_SKIP() << "needs busybox-static";
  static int number = 0;
  std::string directory = absl::StrCat(kScratchPrefix, "XXXXXX");
  scratch_ = mkdtemp(directory.data());
  root_ = scratch_ + "/root";
  state_dir_ = scratch_ + "/state";
  cgroup_parent_ = absl::StrCat("/noded-test-", getpid(), "-", number++);
  mounts_before_ = Mounts(scratch_);
  OpenEngine();
}

EngineOptions EngineTest::Options() const {
  EngineOptions options;
  options.root = root_;
  options.state_dir = state_dir_;
  options.cgroup_parent = cgroup_parent_;
  options.version = "test";
  options.start_timeout = Patience(absl::Seconds(20));
  options.report = [](const std::string& line) { std::cerr << "engine: " << line << "\n"; };
  return options;
}

void EngineTest::OpenEngine() {
  absl::StatusOr<std::unique_ptr<Engine>> engine = Engine::Open(Options());
  ASSERT_TRUE(engine.ok()) << engine.status();
  engine_ = *std::move(engine);
}

void EngineTest::TearDown() {
  if (scratch_.empty()) return;
  if (engine_ == nullptr) OpenEngine();
  if (engine_ != nullptr) {
    absl::StatusOr<node::v1::ListResponse> all = engine_->List(node::v1::ListRequest());
    ASSERT_TRUE(all.ok()) << all.status();
    for (const node::v1::Container& container : all->containers()) {
      absl::Status removed = Remove(container.id(), /*force=*/true);
      EXPECT_TRUE(removed.ok() || absl::IsNotFound(removed)) << removed;
    }
    // With auto_remove it may just be going.
    Eventually([&] { return Leftovers().empty(); }, absl::Seconds(5));
  }
  CloseEngine();
  EXPECT_THAT(Leftovers(), ::testing::IsEmpty());
  EXPECT_EQ(Mounts(scratch_), mounts_before_) << "the host's mounts have changed";
  RemoveGroups(cgroup_parent_);
  fs::remove_all(scratch_);
}

void EngineTest::MakeGroup(const std::string& group) {
  const size_t slash = group.rfind('/');
  std::vector<std::string> parents = GroupDirectories(group.substr(0, slash));
  ASSERT_FALSE(parents.empty()) << group;
  std::string path = parents.front() + group.substr(slash);
  ASSERT_EQ(mkdir(path.c_str(), 0755), 0) << path << ": " << ErrnoText(errno);
}

void EngineTest::RemoveGroups(const std::string& parent) {
  for (const std::string& group : GroupDirectories(parent)) {
    EXPECT_EQ(rmdir(group.c_str()), 0) << group << ": " << ErrnoText(errno);
  }
}

std::vector<std::string> EngineTest::Leftovers() const {
  std::vector<std::string> left = ShimsOf(root_);
  for (const std::string& parent : GroupDirectories(cgroup_parent_)) {
    for (const auto& entry : fs::directory_iterator(parent)) {
      if (entry.is_directory()) left.push_back(entry.path());
    }
  }
  for (const std::string& directory : {root_ + "/containers", state_dir_ + "/shims"}) {
    if (!fs::exists(directory)) continue;
    for (const auto& entry : fs::directory_iterator(directory)) left.push_back(entry.path());
  }
  return left;
}

node::v1::ContainerSpec EngineTest::Spec(const std::vector<std::string>& argv) const {
  node::v1::ContainerSpec spec;
  spec.mutable_root()->set_host_directory(rootfs_);
  for (const std::string& argument : argv) spec.mutable_process()->add_argv(argument);
  return spec;
}

node::v1::ContainerSpec EngineTest::Shell(const std::string& script) const {
  return Spec({"sh", "-c", script});
}

absl::StatusOr<node::v1::Container> EngineTest::Run(const node::v1::ContainerSpec& spec,
                                                    const std::string& request_id) {
  node::v1::RunContainerRequest request;
  *request.mutable_spec() = spec;
  request.set_request_id(request_id);
  ASSIGN_OR_RETURN(node::v1::RunContainerResponse response,
                   Await<node::v1::RunContainerResponse>(
                       [&](auto done) { engine_->RunContainer(request, done); }));
  return response.container();
}

absl::StatusOr<node::v1::Container> EngineTest::Create(const node::v1::ContainerSpec& spec,
                                                       const std::string& request_id) {
  node::v1::CreateContainerRequest request;
  *request.mutable_spec() = spec;
  request.set_request_id(request_id);
  ASSIGN_OR_RETURN(node::v1::CreateContainerResponse response,
                   Await<node::v1::CreateContainerResponse>(
                       [&](auto done) { engine_->CreateContainer(request, done); }));
  return response.container();
}

absl::StatusOr<node::v1::Container> EngineTest::Start(const std::string& container) {
  node::v1::StartRequest request;
  request.set_container(container);
  ASSIGN_OR_RETURN(node::v1::StartResponse response, Await<node::v1::StartResponse>([&](auto done) {
                     engine_->Start(request, done);
                   }));
  return response.container();
}

absl::StatusOr<node::v1::Container> EngineTest::Stop(const std::string& container,
                                                     absl::Duration grace) {
  node::v1::StopRequest request;
  request.set_container(container);
  *request.mutable_grace() = TimeUtil::NanosecondsToDuration(absl::ToInt64Nanoseconds(grace));
  ASSIGN_OR_RETURN(node::v1::StopResponse response,
                   Await<node::v1::StopResponse>([&](auto done) { engine_->Stop(request, done); }));
  return response.container();
}

absl::Status EngineTest::Kill(const std::string& container, const std::string& signal) {
  node::v1::KillRequest request;
  request.set_container(container);
  request.set_signal(signal);
  return Await<node::v1::KillResponse>([&](auto done) { engine_->Kill(request, done); }).status();
}

absl::Status EngineTest::Remove(const std::string& container, bool force) {
  node::v1::RemoveRequest request;
  request.set_container(container);
  request.set_force(force);
  return Await<node::v1::RemoveResponse>([&](auto done) { engine_->Remove(request, done); })
      .status();
}

absl::StatusOr<node::v1::WaitResponse> EngineTest::Wait(const std::string& container) {
  node::v1::WaitRequest request;
  request.set_container(container);
  return Await<node::v1::WaitResponse>([&](auto done) { engine_->Wait(request, done); });
}

absl::StatusOr<node::v1::Container> EngineTest::Get(const std::string& container) {
  node::v1::GetRequest request;
  request.set_container(container);
  ASSIGN_OR_RETURN(node::v1::GetResponse response, engine_->Get(request));
  return response.container();
}

std::string EngineTest::Log(const std::string& container) {
  node::v1::LogsRequest request;
  request.set_container(container);
  auto stream = engine_->Logs(request);
  if (!stream.ok()) return stream.status().ToString();
  std::string text;
  while (true) {
    auto next = Next(**stream);
    if (!next.ok()) return next.status().ToString();
    if (!next->has_value()) return text;
    for (const node::v1::LogEntry& entry : (*next)->entries()) {
      absl::StrAppend(&text, entry.line(), entry.partial() ? "" : "\n");
    }
  }
}

node::v1::ExecStart EngineTest::ExecOf(const std::string& container,
                                       const std::string& script) const {
  node::v1::ExecStart start;
  start.set_container(container);
  for (const char* argument : {"sh", "-c", script.c_str()}) {
    start.mutable_process()->add_argv(argument);
  }
  return start;
}

std::shared_ptr<Engine::ExecStream> EngineTest::BeginExec(const node::v1::ExecStart& start) {
  std::shared_ptr<Engine::ExecStream> stream = engine_->Exec();
  node::v1::ExecRequest request;
  *request.mutable_start() = start;
  Send(*stream, std::move(request)).IgnoreError();  // Next tells
  return stream;
}

ExecResult EngineTest::Exec(const node::v1::ExecStart& start, const std::string& input) {
  std::shared_ptr<Engine::ExecStream> stream = BeginExec(start);
  ExecResult result;
  if (!input.empty()) {
    node::v1::ExecRequest request;
    request.set_stdin(input);
    result.status = Send(*stream, std::move(request));
  }
  stream->CloseSend();
  while (true) {
    auto next = Next(*stream);
    result.status = next.status();
    if (!next.ok() || !next->has_value()) return result;
    const node::v1::ExecResponse& response = **next;
    absl::StrAppend(&result.out, response.stdout());
    absl::StrAppend(&result.err, response.stderr());
    if (response.has_started()) result.exec_id = response.started().exec_id();
    if (!response.has_exited()) continue;
    const node::v1::ExitStatus& status = response.exited().status();
    if (status.has_code()) result.code = status.code();
    if (status.has_signal()) result.signal = status.signal();
    result.timed_out = response.exited().timed_out();
  }
}

std::shared_ptr<Engine::AttachStream> EngineTest::BeginAttach(const std::string& container,
                                                              bool include_log) {
  std::shared_ptr<Engine::AttachStream> stream = engine_->Attach();
  node::v1::AttachRequest request;
  request.mutable_start()->set_container(container);
  request.mutable_start()->set_include_log(include_log);
  Send(*stream, std::move(request)).IgnoreError();  // Next tells
  return stream;
}

bool Eventually(const std::function<bool()>& condition, absl::Duration patience) {
  absl::Time end = absl::Now() + Patience(patience);
  while (!condition()) {
    if (absl::Now() > end) return false;
    absl::SleepFor(absl::Milliseconds(10));
  }
  return true;
}

std::set<std::string> Mounts(const std::string& scratch) {
  std::string mountinfo = ReadFileAt(AT_FDCWD, "/proc/self/mountinfo").value_or("");
  std::set<std::string> mounts;
  for (absl::string_view line : absl::StrSplit(mountinfo, '\n', absl::SkipEmpty())) {
    // Another test's, which runs at the same time.
    if (absl::StrContains(line, kScratchPrefix) && !absl::StrContains(line, scratch)) continue;
    mounts.insert(std::string(line));
  }
  return mounts;
}

bool IsAlive(int64_t pid) {
  absl::StatusOr<ProcessStat> stat = ReadProcessStat(static_cast<pid_t>(pid));
  return stat.ok() && stat->state != 'Z' && stat->state != 'X';
}

}  // namespace noded::test
