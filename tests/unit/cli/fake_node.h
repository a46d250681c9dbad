// A noded for tests: the API over a real Unix socket, each RPC answered by a function of the test.
#ifndef TESTS_UNIT_CLI_FAKE_NODE_H_
#define TESTS_UNIT_CLI_FAKE_NODE_H_

#include <grpcpp/server.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "clients/cli/host.h"
#include "clients/cli/io.h"
#include "google/rpc/error_details.pb.h"
#include "node/v1/container_service.grpc.pb.h"
#include "node/v1/image_service.grpc.pb.h"
#include "node/v1/node_service.grpc.pb.h"
#include "node/v1/volume_service.grpc.pb.h"

namespace noded::cli {

using grpc::ServerContext;
using grpc::Status;
template <typename T>
using Writer = grpc::ServerWriter<T>;
template <typename T>
using Reader = grpc::ServerReader<T>;
using ExecStream = grpc::ServerReaderWriter<node::v1::ExecResponse, node::v1::ExecRequest>;
using AttachStream = grpc::ServerReaderWriter<node::v1::AttachResponse, node::v1::AttachRequest>;

// What a call without a function answers: UNIMPLEMENTED with the name of the RPC.
#define NODED_FAKE_UNARY(name)                                                                     \
  std::function<Status(const node::v1::name##Request&, node::v1::name##Response*)> name##_;        \
  Status name(ServerContext*, const node::v1::name##Request* request,                              \
              node::v1::name##Response* response) override {                                       \
    return name##_ ? name##_(*request, response) : Status(grpc::StatusCode::UNIMPLEMENTED, #name); \
  }

#define NODED_FAKE_STREAM(name)                                                                   \
  std::function<Status(const node::v1::name##Request&, Writer<node::v1::name##Response>&)>        \
      name##_;                                                                                    \
  Status name(ServerContext*, const node::v1::name##Request* request,                             \
              Writer<node::v1::name##Response>* writer) override {                                \
    return name##_ ? name##_(*request, *writer) : Status(grpc::StatusCode::UNIMPLEMENTED, #name); \
  }

#define NODED_FAKE_UPLOAD(name)                                                                   \
  std::function<Status(Reader<node::v1::name##Request>&, node::v1::name##Response*)> name##_;     \
  Status name(ServerContext*, Reader<node::v1::name##Request>* reader,                            \
              node::v1::name##Response* response) override {                                      \
    return name##_ ? name##_(*reader, response) : Status(grpc::StatusCode::UNIMPLEMENTED, #name); \
  }

class FakeContainers : public node::v1::ContainerService::Service {
 public:
  NODED_FAKE_UNARY(RunContainer)
  NODED_FAKE_UNARY(CreateContainer)
  NODED_FAKE_UNARY(Start)
  NODED_FAKE_UNARY(Stop)
  NODED_FAKE_UNARY(Kill)
  NODED_FAKE_UNARY(Wait)
  NODED_FAKE_UNARY(Pause)
  NODED_FAKE_UNARY(Resume)
  NODED_FAKE_UNARY(Update)
  NODED_FAKE_UNARY(Remove)
  NODED_FAKE_UNARY(Get)
  NODED_FAKE_UNARY(List)
  NODED_FAKE_UNARY(Top)
  NODED_FAKE_STREAM(Logs)
  NODED_FAKE_STREAM(Stats)
  NODED_FAKE_STREAM(Watch)
  NODED_FAKE_STREAM(Diff)
  NODED_FAKE_STREAM(CopyFrom)
  NODED_FAKE_STREAM(Export)
  NODED_FAKE_UPLOAD(CopyTo)

  std::function<Status(ServerContext&, ExecStream&)> Exec_;
  Status Exec(ServerContext* context, ExecStream* stream) override {
    return Exec_ ? Exec_(*context, *stream) : Status(grpc::StatusCode::UNIMPLEMENTED, "Exec");
  }
  std::function<Status(ServerContext&, AttachStream&)> Attach_;
  Status Attach(ServerContext* context, AttachStream* stream) override {
    return Attach_ ? Attach_(*context, *stream) : Status(grpc::StatusCode::UNIMPLEMENTED, "Attach");
  }
};

class FakeImages : public node::v1::ImageService::Service {
 public:
  NODED_FAKE_STREAM(PullImage)
  NODED_FAKE_STREAM(PushImage)
  NODED_FAKE_UNARY(ListImages)
  NODED_FAKE_UNARY(GetImage)
  NODED_FAKE_UNARY(TagImage)
  NODED_FAKE_UNARY(RemoveImage)
  NODED_FAKE_UNARY(PruneImages)
  NODED_FAKE_UPLOAD(ImportImage)
  NODED_FAKE_UPLOAD(LoadImages)
  NODED_FAKE_STREAM(SaveImages)
  NODED_FAKE_UNARY(GetImageHistory)
  NODED_FAKE_UNARY(VerifyImages)
  NODED_FAKE_UNARY(CommitContainer)
};

class FakeVolumes : public node::v1::VolumeService::Service {
 public:
  NODED_FAKE_UNARY(CreateVolume)
  NODED_FAKE_UNARY(ListVolumes)
  NODED_FAKE_UNARY(GetVolume)
  NODED_FAKE_UNARY(RemoveVolume)
  NODED_FAKE_UNARY(PruneVolumes)
};
#undef NODED_FAKE_UNARY
#undef NODED_FAKE_STREAM
#undef NODED_FAKE_UPLOAD

class FakeNodeService : public node::v1::NodeService::Service {
 public:
  std::function<Status(node::v1::GetInfoResponse*)> GetInfo_;
  Status GetInfo(ServerContext*, const node::v1::GetInfoRequest*,
                 node::v1::GetInfoResponse* response) override {
    return GetInfo_ ? GetInfo_(response) : Status(grpc::StatusCode::UNIMPLEMENTED, "GetInfo");
  }
};

// What one nodectl did.
struct Outcome {
  int exit_code = 0;
  std::string out;
  std::string err;
  int64_t input_read = 0;  // bytes taken from standard input
};

class FakeNode {
 public:
  FakeNode();
  ~FakeNode();
  FakeContainers& containers() { return containers_; }
  FakeImages& images() { return images_; }
  FakeVolumes& volumes() { return volumes_; }
  FakeNodeService& node() { return node_; }
  const std::string& address() const { return address_; }
  // A variable of the environment in which Run runs nodectl.
  void Set(const std::string& name, const std::string& value) { environment_[name] = value; }
  // Runs nodectl in this process against this node; `input` is its standard input.
  Outcome Run(const std::vector<std::string>& args, const std::string& input = "");

 private:
  std::string directory_;
  std::string address_;
  std::map<std::string, std::string> environment_;
  FakeContainers containers_;
  FakeImages images_;
  FakeVolumes volumes_;
  FakeNodeService node_;
  std::unique_ptr<grpc::Server> server_;
};

// A host with the variables and files given, in the directory /here, at 2024-05-01 10:00 UTC.
Host FakeHost(std::map<std::string, std::string> environment = {},
              std::map<std::string, std::string> files = {});
absl::Time FakeNow();

// A directory of its own below /tmp, removed with all that is in it.
class ScratchDirectory {
 public:
  ScratchDirectory();
  ~ScratchDirectory();
  ScratchDirectory(const ScratchDirectory&) = delete;
  ScratchDirectory& operator=(const ScratchDirectory&) = delete;
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

// All of a file; "(missing)" when there is none.
std::string ContentOfFile(const std::string& path);
void WriteFile(const std::string& path, const std::string& content);

// A gRPC status with google.rpc details, as noded sends it.
Status ErrorWith(grpc::StatusCode code, const std::string& message, const std::string& reason,
                 const std::vector<std::pair<std::string, std::string>>& violations = {});

}  // namespace noded::cli

#endif  // TESTS_UNIT_CLI_FAKE_NODE_H_
