#include "tests/unit/cli/fake_node.h"

#include <fcntl.h>
#include <grpcpp/server_builder.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>

#include "clients/cli/commands.h"
#include "google/rpc/status.pb.h"

namespace noded::cli {
namespace {

std::string ContentOf(int fd) {
  std::string content;
  char buffer[65536];
  lseek(fd, 0, SEEK_SET);
  for (ssize_t count; (count = read(fd, buffer, sizeof(buffer))) > 0;) {
    content.append(buffer, static_cast<size_t>(count));
  }
  return content;
}

}  // namespace

FakeNode::FakeNode() {
  char path[] = "/tmp/nodectl-test-XXXXXX";
  directory_ = mkdtemp(path);
  address_ = "unix://" + directory_ + "/noded.sock";
  grpc::ServerBuilder builder;
  builder.AddListeningPort(address_, grpc::InsecureServerCredentials());
  builder.RegisterService(&containers_);
  builder.RegisterService(&images_);
  builder.RegisterService(&volumes_);
  builder.RegisterService(&node_);
  server_ = builder.BuildAndStart();
}

FakeNode::~FakeNode() {
  server_->Shutdown(std::chrono::system_clock::now());
  server_.reset();
  unlink((directory_ + "/noded.sock").c_str());
  rmdir(directory_.c_str());
}

Outcome FakeNode::Run(const std::vector<std::string>& args, const std::string& input) {
  ScopedFd in(memfd_create("in", MFD_CLOEXEC));
  ScopedFd out(memfd_create("out", MFD_CLOEXEC));
  ScopedFd err(memfd_create("err", MFD_CLOEXEC));
  if (write(in.get(), input.data(), input.size()) != static_cast<ssize_t>(input.size())) abort();
  lseek(in.get(), 0, SEEK_SET);
  Io io;
  io.in = in.get();
  io.out = out.get();
  io.err = err.get();
  io.now = FakeNow;
  Outcome outcome;
  std::map<std::string, std::string> environment = environment_;
  environment["NODECTL_ADDRESS"] = address_;
  outcome.exit_code = Main(args, FakeHost(environment), io);
  outcome.input_read = lseek(in.get(), 0, SEEK_CUR);
  outcome.out = ContentOf(out.get());
  outcome.err = ContentOf(err.get());
  return outcome;
}

Host FakeHost(std::map<std::string, std::string> environment,
              std::map<std::string, std::string> files) {
  Host host;
  host.environment = [environment](const std::string& name) -> std::optional<std::string> {
    auto found = environment.find(name);
    if (found == environment.end()) return std::nullopt;
    return found->second;
  };
  host.read_file = [files](const std::string& path) -> absl::StatusOr<std::string> {
    auto found = files.find(path);
    if (found == files.end()) return absl::InvalidArgumentError("cannot open " + path);
    return found->second;
  };
  host.working_directory = [] { return std::string("/here"); };
  host.now = FakeNow;
  return host;
}

absl::Time FakeNow() { return absl::FromUnixSeconds(1714557600); }

ScratchDirectory::ScratchDirectory() {
  char path[] = "/tmp/nodectl-files-XXXXXX";
  path_ = mkdtemp(path);
}

ScratchDirectory::~ScratchDirectory() { std::filesystem::remove_all(path_); }

std::string ContentOfFile(const std::string& path) {
  ScopedFd file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  return file.get() < 0 ? "(missing)" : ContentOf(file.get());
}

void WriteFile(const std::string& path, const std::string& content) {
  ScopedFd file(open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
  if (write(file.get(), content.data(), content.size()) != static_cast<ssize_t>(content.size())) {
    abort();
  }
}

Status ErrorWith(grpc::StatusCode code, const std::string& message, const std::string& reason,
                 const std::vector<std::pair<std::string, std::string>>& violations) {
  google::rpc::Status details;
  details.set_code(code);
  details.set_message(message);
  google::rpc::ErrorInfo info;
  info.set_reason(reason);
  info.set_domain("noded");
  details.add_details()->PackFrom(info);
  if (!violations.empty()) {
    google::rpc::BadRequest bad;
    for (const auto& [field, description] : violations) {
      auto* violation = bad.add_field_violations();
      violation->set_field(field);
      violation->set_description(description);
    }
    details.add_details()->PackFrom(bad);
  }
  return Status(code, message, details.SerializeAsString());
}

}  // namespace noded::cli
