// load, save, import and export against a fake node.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "absl/strings/match.h"
#include "clients/cli/exit_code.h"
#include "tests/unit/cli/fake_node.h"

namespace noded::cli {
namespace {

using grpc::StatusCode;
using testing::HasSubstr;

class ArchiveTest : public testing::Test {
 protected:
  ArchiveTest() {
    node_.images().LoadImages_ = [this](auto& reader, auto* response) {
      node::v1::LoadImagesRequest request;
      while (reader.Read(&request)) Take(request.data());
      response->add_images()->add_references("a:1");
      response->add_images()->set_id("sha256:1");
      return Status::OK;
    };
    node_.images().SaveImages_ = [this](const auto& request, auto& writer) {
      EXPECT_EQ(request.ShortDebugString(), R"(images: "a" images: "b")");
      node::v1::SaveImagesResponse response;
      for (const char* piece : {"one", "two"}) {
        response.set_data(piece);
        writer.Write(response);
      }
      return save_error_;
    };
  }
  void Take(const std::string& data) {
    EXPECT_LE(data.size(), 1u << 20);
    received_ += data;
  }
  ScratchDirectory scratch_;
  std::string received_;
  Status save_error_;
  FakeNode node_;
};

TEST_F(ArchiveTest, LoadSendsTheFileOrStandardInput) {
  const std::string bytes(3'000'000, 'x');
  WriteFile(scratch_ / "in.tar", bytes);
  Outcome outcome = node_.Run({"load", "-i", scratch_ / "in.tar"});
  EXPECT_EQ(outcome.out, "Loaded image: a:1\nLoaded image ID: sha256:1\n");
  EXPECT_EQ(received_, bytes);
  received_.clear();
  EXPECT_EQ(node_.Run({"image", "load"}, "abc").exit_code, kOk);
  EXPECT_EQ(received_, "abc");
  outcome = node_.Run({"load", "-i", "/nowhere"});
  EXPECT_THAT(outcome.err, HasSubstr("image load: cannot open /nowhere"));
  EXPECT_EQ(outcome.exit_code, kFailure);
}

TEST_F(ArchiveTest, LoadTellsWhyItWasRefused) {
  node_.images().LoadImages_ = [](auto&, auto*) {
    return Status(StatusCode::INVALID_ARGUMENT, "no archive");
  };
  Outcome outcome = node_.Run({"load"}, std::string(5'000'000, 'x'));
  EXPECT_EQ(outcome.err, "nodectl: image load: no archive\n");
  EXPECT_EQ(outcome.exit_code, kFailure);
}

TEST_F(ArchiveTest, SaveWritesWholeFilesOnly) {
  EXPECT_EQ(node_.Run({"save", "a", "b"}).out, "onetwo");
  const std::string file = scratch_ / "out.tar";
  WriteFile(file, "before");
  save_error_ = Status(StatusCode::INTERNAL, "broken");
  Outcome outcome = node_.Run({"image", "save", "-o", file, "a", "b"});
  EXPECT_EQ(outcome.err, "nodectl: image save a b: broken\n");
  EXPECT_EQ(outcome.exit_code, kFailure);
  EXPECT_EQ(ContentOfFile(file), "before");
  save_error_ = Status::OK;
  EXPECT_EQ(node_.Run({"save", "-o", file, "a", "b"}).exit_code, kOk);
  EXPECT_EQ(ContentOfFile(file), "onetwo");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(scratch_ / "."), {}), 1);
  EXPECT_EQ(node_.Run({"save", "-o", "/dev/null", "a", "b"}).exit_code, kOk);
  EXPECT_TRUE(std::filesystem::is_character_file("/dev/null"));
  EXPECT_THAT(node_.Run({"save", "-o", "/nowhere/x", "a", "b"}).err, HasSubstr("cannot write"));
}

TEST_F(ArchiveTest, ImportSaysWhatItIsFirst) {
  node_.images().ImportImage_ = [this](auto& reader, auto* response) {
    node::v1::ImportImageRequest request;
    reader.Read(&request);
    EXPECT_EQ(request.start().reference(), "mine:1");
    while (reader.Read(&request)) Take(request.data());
    response->mutable_image()->set_id("sha256:1");
    return Status::OK;
  };
  EXPECT_EQ(node_.Run({"import", "-", "mine:1"}, "tar").out, "sha256:1\n");
  EXPECT_EQ(received_, "tar");
  EXPECT_THAT(node_.Run({"import", "http://x/y.tar"}).err, HasSubstr("fetch it yourself"));
}

TEST_F(ArchiveTest, ExportWritesTheTar) {
  node_.containers().Export_ = [](const auto& request, auto& writer) {
    if (request.container() != "web") return Status(StatusCode::NOT_FOUND, "no container");
    node::v1::ExportResponse response;
    response.set_data("files");
    writer.Write(response);
    return Status::OK;
  };
  EXPECT_EQ(node_.Run({"export", "web"}).out, "files");
  EXPECT_EQ(node_.Run({"export", "-o", scratch_ / "f", "web"}).exit_code, kOk);
  EXPECT_EQ(ContentOfFile(scratch_ / "f"), "files");
  EXPECT_EQ(node_.Run({"export", "-o", scratch_ / "g", "x"}).exit_code, kFailure);
  EXPECT_EQ(ContentOfFile(scratch_ / "g"), "(missing)");
}

}  // namespace
}  // namespace noded::cli
