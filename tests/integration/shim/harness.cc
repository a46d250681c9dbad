#include "tests/integration/shim/harness.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <set>
#include <thread>

#include "gtest/gtest.h"
#include "node/base/file.h"
#include "node/base/socket.h"
#include "node/base/status.h"
#include "node/base/syscalls.h"

// Macros of <sys/sysmacros.h> that would rename protobuf fields.
#undef major
#undef minor

namespace noded::shim {
namespace {

constexpr uint64_t kDefaultCapabilities = 0xa80425fb;  // the fourteen that Docker grants
constexpr uint64_t kNosuidNodevNoexec = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;

bool WaitReadable(int fd, std::chrono::milliseconds timeout) {
  pollfd entry{.fd = fd, .events = POLLIN, .revents = 0};
  return poll(&entry, 1, static_cast<int>(timeout.count())) > 0;
}

void MakeBusyboxRoot(const std::string& root) {
  for (const char* name : {"/bin", "/etc", "/tmp", "/proc", "/sys", "/dev", "/home"}) {
    ASSERT_TRUE(MakeDirs(root + name).ok());
  }
  ASSERT_EQ(std::system(("cp /bin/busybox " + root + "/bin/busybox").c_str()), 0);
  for (const char* name :
       {"sh", "cat", "echo", "sleep", "id", "ls", "stty", "tty", "ps", "kill", "readlink", "head",
        "yes", "touch", "stat", "grep", "seq", "env", "true"}) {
    ASSERT_EQ(symlink("busybox", (root + "/bin/" + name).c_str()), 0);
  }
  WriteFile(root + "/etc/passwd", "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1001::/home/app:\n");
  WriteFile(root + "/etc/group", "root:x:0:\napp:x:1001:\naudio:x:29:app\n");
}

pb::Step NewMountStep(const std::string& type, const std::string& target,
                      std::vector<std::string> options, uint64_t attributes) {
  pb::Step step;
  step.mutable_new_mount()->set_type(type);
  step.mutable_new_mount()->set_source(type);
  step.mutable_new_mount()->set_target(target);
  step.mutable_new_mount()->set_attributes(attributes);
  for (const std::string& option : options) step.mutable_new_mount()->add_options(option);
  return step;
}

void AddDevices(pb::LaunchPlan& plan) {
  const struct {
    const char* path;
    uint32_t minor;
  } kNodes[] = {{"/dev/null", 3}, {"/dev/zero", 5}, {"/dev/urandom", 9}};
  for (const auto& node : kNodes) {
    pb::MakeNode* made = plan.add_steps()->mutable_make_node();
    made->set_path(node.path);
    made->set_mode(S_IFCHR | 0666);
    made->set_major(1);
    made->set_minor(node.minor);
  }
  pb::MakeSymlink* link = plan.add_steps()->mutable_make_symlink();
  link->set_path("/dev/ptmx");
  link->set_target("pts/ptmx");
}

}  // namespace

std::string ReadAll(const std::string& path) {
  return ReadFileAt(AT_FDCWD, path, 256 << 20).value_or("(cannot read " + path + ")");
}

std::string UnifiedRoot() {
  const bool alone = access("/sys/fs/cgroup/cgroup.controllers", F_OK) == 0;
  return alone ? "/sys/fs/cgroup" : "/sys/fs/cgroup/unified";
}

std::string HostMounts() { return ReadAll("/proc/self/mountinfo"); }

void WriteFile(const std::string& path, const std::string& content) {
  ASSERT_TRUE(ReplaceFileAt(AT_FDCWD, path, content, 0644).ok()) << path;
}

void UseUserNamespace(pb::LaunchPlan& plan) {
  plan.set_clone_flags(plan.clone_flags() | CLONE_NEWUSER);
  for (auto* maps : {plan.mutable_uid_maps(), plan.mutable_gid_maps()}) {
    pb::IdRange* range = maps->Add();
    range->set_container_id(0);
    range->set_host_id(100000);
    range->set_size(65536);
  }
  plan.mutable_sources(0)->mutable_overlay()->set_id_mapped(true);
  // mknod is EPERM there: the host's nodes are bound.
  auto* steps = plan.mutable_steps();
  for (pb::Step& step : *steps) {
    if (!step.has_make_node()) continue;
    const std::string path = step.make_node().path();
    plan.add_sources()->mutable_tree()->set_path(path);
    step.mutable_attach_mount()->set_source(static_cast<uint32_t>(plan.sources_size()) - 1);
    step.mutable_attach_mount()->set_target(path);
  }
}

Client::Client(int state_directory, UniqueFd connection)
    : state_directory_(state_directory), socket_(std::move(connection)) {
  if (socket_) return;
  absl::StatusOr<UniqueFd> socket = ConnectSeqpacket(state_directory, "c1.sock");
  EXPECT_TRUE(socket.ok()) << socket.status();
  if (socket.ok()) socket_ = *std::move(socket);
}

std::string Client::Answer::Text() const {
  if (!reply.has_failure()) return "kind " + std::to_string(reply.kind_case());
  return "step " + std::to_string(reply.failure().step()) + ": " + reply.failure().object() + " (" +
         reply.failure().detail() + "): " + ErrnoText(reply.failure().error());
}

uint64_t Client::Send(pb::Request request, const std::vector<int>& fds) {
  request.set_version(1);
  request.set_id(next_id_++);
  EXPECT_TRUE(SendPacket(socket_.get(), request.SerializeAsString(), fds).ok());
  return request.id();
}

void Client::SendRaw(const std::string& packet) {
  EXPECT_TRUE(SendPacket(socket_.get(), packet).ok());
}

bool Client::ReceiveMessage(std::chrono::milliseconds timeout) {
  if (closed_ || !WaitReadable(socket_.get(), timeout)) return false;
  absl::StatusOr<Packet> packet = ReceivePacket(socket_.get());
  pb::Message message;
  if (!packet.ok() || packet->message.empty() || !message.ParseFromString(packet->message)) {
    closed_ = true;
    return false;
  }
  if (message.has_reply()) {
    Answer answer{.reply = message.reply()};
    if (!packet->fds.empty()) answer.fd = std::move(packet->fds[0]);
    answers_.push_back(std::move(answer));
  } else if (message.has_exited()) {
    exits_.push_back(message.exited());
  } else {
    exec_exits_.push_back(message.exec_exited());
  }
  return true;
}

Client::Answer Client::Receive(uint64_t id) {
  while (true) {
    auto found = std::find_if(answers_.begin(), answers_.end(),
                              [&](const Answer& answer) { return answer.reply.id() == id; });
    if (found != answers_.end()) {
      Answer answer = std::move(*found);
      answers_.erase(found);
      return answer;
    }
    if (!ReceiveMessage(AnswerPatience())) {
      ADD_FAILURE() << "no answer to request " << id;
      return {};
    }
  }
}

Client::Answer Client::Ask(pb::Request request, const std::vector<int>& fds) {
  return Receive(Send(std::move(request), fds));
}

pb::ExitRecord Client::WaitExited() {
  while (exits_.empty()) {
    if (!ReceiveMessage(AnswerPatience())) {
      ADD_FAILURE() << "no word of init's end";
      return {};
    }
  }
  return exits_.front();
}

pb::ExecState Client::WaitExecExited(const std::string& exec_id) {
  while (true) {
    for (const pb::ExecState& state : exec_exits_) {
      if (state.exec_id() == exec_id) return state;
    }
    if (!ReceiveMessage(AnswerPatience())) {
      ADD_FAILURE() << "no word of the end of " << exec_id;
      return {};
    }
  }
}

bool Client::WaitClosed() {
  while (ReceiveMessage(AnswerPatience())) {
  }
  return closed_;
}

uint64_t Client::SendLaunch(const pb::LaunchPlan& plan, const std::vector<int>& joined) {
  UniqueFd memfd = *SealedMemfd("plan", plan.SerializeAsString());
  UniqueFd listener = *ListenSeqpacket(state_directory_, "c1.sock");
  UniqueFd directory = *OpenAt(state_directory_, "container", O_RDONLY | O_DIRECTORY);
  UniqueFd log = *OpenAt(directory.get(), "shim.log", O_WRONLY | O_CREAT | O_APPEND, 0600);
  std::vector<int> fds = {memfd.get(), listener.get(), directory.get(), log.get()};
  fds.insert(fds.end(), joined.begin(), joined.end());
  pb::Request request;
  request.mutable_launch();
  return Send(std::move(request), fds);
}

void Client::SendPlace(const pb::Place& place, const std::vector<int>& fds) {
  pb::Request request;
  *request.mutable_place() = place;
  Send(std::move(request), fds);
}

Client::Answer Client::Launch(const pb::LaunchPlan& plan, const std::vector<int>& joined) {
  const uint64_t launch = SendLaunch(plan, joined);
  SendPlace({}, {});
  return Receive(launch);
}

Client::Answer Client::Exec(const pb::ExecPlan& plan, const std::vector<int>& stdio) {
  UniqueFd memfd = *SealedMemfd("plan", plan.SerializeAsString());
  std::vector<int> fds = {memfd.get()};
  pb::Request request;
  pb::Exec* exec = request.mutable_exec();
  for (size_t i = 0; i < stdio.size(); ++i) {
    const auto index = static_cast<uint32_t>(fds.size());
    fds.push_back(stdio[i]);
    if (i == 0) exec->set_stdin(index);
    if (i == 1) exec->set_stdout(index);
    if (i == 2) exec->set_stderr(index);
  }
  return Ask(std::move(request), fds);
}

Client::Answer Client::SignalInit(int signal) {
  pb::Request request;
  request.mutable_signal()->set_signal(signal);
  return Ask(std::move(request));
}

pb::State Client::Query() {
  pb::Request request;
  request.mutable_query();
  return Ask(std::move(request)).reply.state();
}

std::optional<Attached::Frame> Attached::Read(std::chrono::milliseconds timeout) {
  if (!WaitReadable(socket_.get(), timeout)) return std::nullopt;
  absl::StatusOr<Packet> packet = ReceivePacket(socket_.get());
  if (!packet.ok() || packet->message.empty()) return std::nullopt;
  return Frame{packet->message[0], packet->message.substr(1)};
}

std::string Attached::ReadToEnd() {
  std::string all;
  while (true) {
    std::optional<Frame> frame = Read();
    if (!frame) return all + "(no end)";
    if (frame->type == 4) return all;
    if (frame->type == 3) {
      all += "(missed)";
    } else {
      all += frame->payload;
    }
  }
}

void Attached::SendInput(const std::string& data) {
  EXPECT_TRUE(SendPacket(socket_.get(), '\5' + data).ok());
}

void Attached::CloseInput() { EXPECT_TRUE(SendPacket(socket_.get(), "\6").ok()); }

Shim::Shim() {
  char base[] = "/tmp/noded-shim-test-XXXXXX";
  base_ = mkdtemp(base);
  MakeBusyboxRoot(root());
  for (const char* name : {"/container", "/container/upper", "/container/work"}) {
    EXPECT_TRUE(MakeDirs(base_ + name, 0755).ok());
  }
  state_ = *OpenAt(AT_FDCWD, base_, O_RDONLY | O_DIRECTORY);
  UniqueFd null = *OpenAt(AT_FDCWD, "/dev/null", O_RDWR);
  std::pair<UniqueFd, UniqueFd> pair = *SocketPair(SOCK_SEQPACKET | SOCK_NONBLOCK);
  connection_ = std::move(pair.first);
  // Out of the way of the number that it goes to.
  UniqueFd high(fcntl(pair.second.get(), F_DUPFD_CLOEXEC, 20));
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  for (int fd : {0, 1, 2}) posix_spawn_file_actions_adddup2(&actions, null.get(), fd);
  posix_spawn_file_actions_adddup2(&actions, high.get(), 3);
  const char* path = getenv("NODED_SHIM") != nullptr ? getenv("NODED_SHIM") : NODE_SHIM_PATH;
  // As long as the title that it will have.
  std::string name = "node-shim c1";
  char* argv[] = {name.data(), nullptr};
  EXPECT_EQ(posix_spawn(&pid_, path, &actions, nullptr, argv, environ), 0) << path;
  posix_spawn_file_actions_destroy(&actions);
  absl::StatusOr<Pidfd> pidfd = Pidfd::Open(pid_);
  EXPECT_TRUE(pidfd.ok());
  if (pidfd.ok()) pidfd_ = *std::move(pidfd);
}

Shim::~Shim() {
  if (pid_ > 0) Kill();
  // Not there before a launch.
  absl::StatusOr<std::string> messages = ReadFileAt(AT_FDCWD, directory() + "/shim.log");
  EXPECT_EQ(messages.value_or(""), "") << "the supervisor complained";
  EXPECT_TRUE(RemoveTreeAt(AT_FDCWD, base_).ok());
}

void Shim::Kill() {
  (void)pidfd_.Signal(SIGKILL);
  while (waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
  pid_ = -1;
}

bool Shim::WaitLeft() {
  pollfd entry{.fd = pidfd_.get(), .events = POLLIN, .revents = 0};
  if (poll(&entry, 1, static_cast<int>(AnswerPatience().count())) <= 0) {
    return false;
  }
  int status = -1;
  waitpid(pid_, &status, 0);
  pid_ = -1;
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

Attached Shim::Attach(Client& client) {
  std::pair<UniqueFd, UniqueFd> pair = *SocketPair(SOCK_SEQPACKET);
  pb::Request request;
  request.mutable_attach();
  Client::Answer answer = client.Ask(std::move(request), {pair.second.get()});
  EXPECT_TRUE(answer.reply.has_done()) << answer.Text();
  return Attached(std::move(pair.first));
}

pb::LaunchPlan Shim::Plan(const std::vector<std::string>& argv) const {
  pb::LaunchPlan plan;
  plan.set_version(1);
  plan.set_container_id("c1");
  plan.set_clone_flags(CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWNET);
  pb::Source* source = plan.add_sources();
  source->set_description("root file system");
  pb::OverlaySource* overlay = source->mutable_overlay();
  overlay->add_lower(root());
  overlay->set_upper(directory() + "/upper");
  overlay->set_work(directory() + "/work");
  plan.add_steps()->mutable_make_mounts_private();
  plan.add_steps()->mutable_attach_root()->set_source(0);
  *plan.add_steps() = NewMountStep("proc", "/proc", {}, kNosuidNodevNoexec);
  *plan.add_steps() = NewMountStep("tmpfs", "/dev", {"mode=755"}, MOUNT_ATTR_NOSUID);
  *plan.add_steps() =
      NewMountStep("devpts", "/dev/pts", {"newinstance", "ptmxmode=0666", "mode=0620"}, 0);
  *plan.add_steps() = NewMountStep("sysfs", "/sys", {}, kNosuidNodevNoexec | MOUNT_ATTR_RDONLY);
  AddDevices(plan);
  plan.add_steps()->mutable_pivot();
  plan.add_steps()->set_mask_path("/proc/version");
  plan.add_steps()->set_mask_path("/sys/firmware");
  plan.add_steps()->set_mask_path("/proc/scsi");
  plan.add_steps()->set_mask_path("/proc/no-such-file");
  plan.add_steps()->set_read_only_path("/proc/sys");
  plan.add_steps()->set_set_hostname("box");
  plan.add_steps()->mutable_loopback_up();
  pb::ProcessPlan* process = plan.mutable_process();
  for (const std::string& argument : argv) process->add_argv(argument);
  process->add_env("PATH=/bin");
  process->set_set_home(true);
  process->set_working_directory("/");
  process->set_umask(022);
  process->set_no_new_privileges(true);
  process->mutable_capabilities()->set_bounding(kDefaultCapabilities);
  process->mutable_capabilities()->set_permitted(kDefaultCapabilities);
  plan.mutable_log()->set_max_file_bytes(1 << 20);
  plan.mutable_log()->set_max_files(3);
  return plan;
}

pb::ExecPlan Shim::ExecPlan(const std::string& exec_id,
                            const std::vector<std::string>& argv) const {
  pb::ExecPlan plan;
  plan.set_version(1);
  plan.set_exec_id(exec_id);
  plan.set_join_flags(CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWNET);
  *plan.mutable_process() = Plan(argv).process();
  return plan;
}

std::string Shim::Log() const {
  absl::StatusOr<std::vector<std::string>> names = ListDirAt(AT_FDCWD, directory() + "/log");
  if (!names.ok()) return "(no log)";
  std::set<std::string> sorted(names->begin(), names->end());
  std::string text;
  for (const std::string& name : sorted) {
    const std::string content = ReadAll(directory() + "/log/" + name);
    size_t start = 0;
    while (start < content.size()) {
      size_t end = std::min(content.find('\n', start), content.size() - 1);
      const std::string line = content.substr(start, end + 1 - start);
      text += line.substr(std::min(line.find(' ') + 1, line.size()));
      start = end + 1;
    }
  }
  return text;
}

}  // namespace noded::shim
