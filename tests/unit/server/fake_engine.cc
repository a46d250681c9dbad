#include "tests/unit/server/fake_engine.h"

#include <stdlib.h>

#include <filesystem>

namespace noded::server {

ServerTest::ServerTest() {
  std::string directory = ::testing::TempDir() + "noded-server-XXXXXX";
  directory_ = ::mkdtemp(directory.data());
  auto server = ApiServer::Start({{.path = directory_ + "/n.sock"}}, {}, &engine_);
  EXPECT_TRUE(server.ok()) << server.status();
  if (server.ok()) server_ = *std::move(server);
}

ServerTest::~ServerTest() {
  server_.reset();
  std::filesystem::remove_all(directory_);
}

std::shared_ptr<grpc::Channel> ServerTest::Connect() const {
  grpc::ChannelArguments arguments;
  // A connection of its own for each channel, so that ending one disturbs no other.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  return grpc::CreateCustomChannel("unix://" + directory_ + "/n.sock",
                                   grpc::InsecureChannelCredentials(), arguments);
}

}  // namespace noded::server
