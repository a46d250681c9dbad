// cp against a fake node that keeps a few files in memory.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "clients/cli/exit_code.h"
#include "clients/cli/tar_pack.h"
#include "clients/cli/tar_unpack.h"
#include "tests/unit/cli/fake_node.h"

namespace noded::cli {
namespace {

namespace fs = std::filesystem;
using grpc::StatusCode;
using testing::ElementsAre;
using testing::HasSubstr;

// The container's files are those below "container"; a copy into it is unpacked below "received"
// and its start kept.
class CopyTest : public testing::Test {
 protected:
  CopyTest() {
    fs::create_directories(scratch_ / "container/dir/sub");
    fs::create_directory(scratch_ / "here");
    fs::create_directory(scratch_ / "received");
    WriteFile(scratch_ / "container/file", "in the container");
    WriteFile(scratch_ / "container/dir/sub/a", "a");
    fs::create_symlink("dir", scratch_ / "container/link");
    WriteFile(scratch_ / "here/f", "here");
    fs::create_directory(scratch_ / "here/d");
    WriteFile(scratch_ / "here/d/x", "x");
    node_.containers().CopyFrom_ = [this](const auto& request, auto& writer) {
      return Serve(request, writer);
    };
    node_.containers().CopyTo_ = [this](auto& reader, auto*) {
      node::v1::CopyToRequest request;
      reader.Read(&request);
      started_.push_back(request.start().ShortDebugString());
      ScopedFd directory(open((scratch_ / "received").c_str(), O_RDONLY | O_CLOEXEC));
      std::vector<std::string> left_out;
      auto source = [&]() -> absl::string_view {
        return reader.Read(&request) ? absl::string_view(request.data()) : "";
      };
      absl::Status status = UnpackTar(source, directory.get(), {}, &left_out);
      while (reader.Read(&request)) {
      }
      return status.ok() ? Status::OK
                         : Status(StatusCode::INVALID_ARGUMENT, std::string(status.message()));
    };
  }

  Status Serve(const node::v1::CopyFromRequest& request,
               grpc::ServerWriter<node::v1::CopyFromResponse>& writer) {
    if (request.container() != "web") {
      return ErrorWith(StatusCode::NOT_FOUND, "no container \"x\"", "CONTAINER_NOT_FOUND");
    }
    const std::string path = scratch_ / ("container" + request.path());
    struct stat status = {};
    if ((request.follow_link() ? stat : lstat)(path.c_str(), &status) != 0) {
      return Status(StatusCode::NOT_FOUND, "no such file: " + request.path());
    }
    const std::string name = request.path().substr(request.path().rfind('/') + 1);
    node::v1::CopyFromResponse response;
    response.mutable_stat()->set_name(name);
    response.mutable_stat()->set_mode(status.st_mode);
    if (S_ISLNK(status.st_mode)) {
      response.mutable_stat()->set_link_target(fs::read_symlink(path));
    }
    writer.Write(response);
    std::vector<std::string> left_out;
    absl::Status packed = PackTar(
        path, name, request.follow_link(),
        [&](absl::string_view bytes) {
          response.set_data(std::string(bytes));
          return writer.Write(response);
        },
        &left_out);
    return packed.ok() ? serve_error_ : Status(StatusCode::INTERNAL, std::string(packed.message()));
  }

  Outcome Copy(std::vector<std::string> args, const std::string& input = "") {
    args.insert(args.begin(), "cp");
    return node_.Run(args, input);
  }
  std::string Here(const std::string& name) { return scratch_ / ("here/" + name); }
  std::string Received(const std::string& name) {
    return ContentOfFile(scratch_ / ("received/" + name));
  }

  ScratchDirectory scratch_;
  std::vector<std::string> started_;
  Status serve_error_;
  FakeNode node_;
};

TEST_F(CopyTest, AFileOut) {
  EXPECT_EQ(Copy({"web:/file", Here(".")}).err, "");
  EXPECT_EQ(ContentOfFile(Here("file")), "in the container");
  EXPECT_EQ(Copy({"web:file", Here("new")}).exit_code, kOk);
  EXPECT_EQ(ContentOfFile(Here("new")), "in the container");
  EXPECT_EQ(Copy({"web:file", Here("f")}).exit_code, kOk);
  EXPECT_EQ(ContentOfFile(Here("f")), "in the container");
  Outcome outcome = Copy({"web:/file", Here("none/")});
  EXPECT_THAT(outcome.err, HasSubstr("nodectl: cp web:/file: there is no directory"));
  EXPECT_EQ(outcome.exit_code, kFailure);
  EXPECT_THAT(Copy({"web:/file/", Here("y")}).err, HasSubstr("/file is not a directory"));
  EXPECT_THAT(Copy({"web:/file", Here("none/y")}).err, HasSubstr("cannot open the directory"));
}

TEST_F(CopyTest, AFileOverALinkIsWrittenWhereThatLeads) {
  fs::create_symlink("f", Here("to-f"));
  EXPECT_EQ(Copy({"web:/file", Here("to-f")}).exit_code, kOk);
  EXPECT_TRUE(fs::is_symlink(Here("to-f")));
  EXPECT_EQ(ContentOfFile(Here("f")), "in the container");
}

TEST_F(CopyTest, ATreeOut) {
  EXPECT_EQ(Copy({"web:/dir", Here("new")}).exit_code, kOk);
  EXPECT_EQ(ContentOfFile(Here("new/sub/a")), "a");
  EXPECT_EQ(Copy({"web:/dir", Here("d")}).exit_code, kOk);
  EXPECT_EQ(ContentOfFile(Here("d/dir/sub/a")), "a");
  EXPECT_EQ(Copy({"web:/dir/.", Here("d")}).exit_code, kOk);
  EXPECT_EQ(ContentOfFile(Here("d/sub/a")), "a");
  EXPECT_THAT(Copy({"web:/dir", Here("f")}).err, HasSubstr("is a directory, and"));
  EXPECT_EQ(Copy({"web:/", Here("root")}).exit_code, kOk);
  EXPECT_EQ(ContentOfFile(Here("root/dir/sub/a")), "a");
}

TEST_F(CopyTest, ALinkOutIsALinkUnlessAskedOtherwise) {
  EXPECT_EQ(Copy({"web:/link", Here("l1")}).exit_code, kOk);
  EXPECT_EQ(fs::read_symlink(Here("l1")), "dir");
  EXPECT_EQ(Copy({"-L", "web:/link", Here("l2")}).exit_code, kOk);
  EXPECT_EQ(ContentOfFile(Here("l2/sub/a")), "a");
  EXPECT_EQ(Copy({"web:/link/", Here("l3")}).exit_code, kOk);
  EXPECT_EQ(ContentOfFile(Here("l3/sub/a")), "a");
}

TEST_F(CopyTest, OutAsATarAndBackIn) {
  Outcome out = Copy({"web:/dir", "-"});
  EXPECT_EQ(out.exit_code, kOk);
  EXPECT_THAT(out.out, HasSubstr("dir/sub/a"));
  Outcome in = Copy({"-", "web:/x"}, out.out);
  EXPECT_EQ(in.exit_code, kOk) << in.err;
  EXPECT_EQ(Received("dir/sub/a"), "a");
  EXPECT_THAT(started_, ElementsAre(R"(container: "web" path: "/x")"));
}

TEST_F(CopyTest, FailuresOut) {
  Outcome outcome = Copy({"x:/file", Here("y")});
  EXPECT_THAT(outcome.err, HasSubstr("no container \"x\""));
  EXPECT_EQ(outcome.exit_code, kFailure);
  EXPECT_THAT(Copy({"web:/none", Here("y")}).err, HasSubstr("no such file: /none"));
  serve_error_ = Status(StatusCode::INTERNAL, "changed while it was read");
  EXPECT_THAT(Copy({"web:/file", Here("y")}).err, HasSubstr("changed while it was read"));
  EXPECT_EQ(Copy({"web:/file", Here("y")}).exit_code, kFailure);
}

TEST_F(CopyTest, AFileIn) {
  EXPECT_EQ(Copy({Here("f"), "web:/dir"}).err, "");
  EXPECT_EQ(Received("f"), "here");
  EXPECT_EQ(Copy({"-a", Here("f"), "web:/dir/new"}).exit_code, kOk);
  EXPECT_EQ(Received("new"), "here");
  EXPECT_EQ(Copy({Here("f"), "web:/file"}).exit_code, kOk);
  EXPECT_EQ(Received("file"), "here");
  EXPECT_THAT(started_, ElementsAre(R"(container: "web" path: "/dir")",
                                    R"(container: "web" path: "/dir" keep_owner: true)",
                                    R"(container: "web" path: "/")"));
  EXPECT_THAT(Copy({Here("f"), "web:/none/"}).err, HasSubstr("there is no directory /none"));
  EXPECT_THAT(Copy({Here("f"), "web:/file/"}).err, HasSubstr("is not a directory"));
  EXPECT_THAT(Copy({Here("none"), "web:/dir"}).err, HasSubstr("cannot look at"));
  EXPECT_THAT(Copy({Here("f"), "x:/dir"}).err, HasSubstr("no container \"x\""));
  EXPECT_THAT(started_, testing::SizeIs(3)) << "refused before anything was sent";
}

TEST_F(CopyTest, ATreeIn) {
  EXPECT_EQ(Copy({Here("d"), "web:/dir"}).exit_code, kOk);
  EXPECT_EQ(Received("d/x"), "x");
  EXPECT_EQ(Copy({Here("d/."), "web:/dir"}).exit_code, kOk);
  EXPECT_EQ(Received("x"), "x");
  EXPECT_EQ(Copy({Here("d"), "web:/dir/new"}).exit_code, kOk);
  EXPECT_EQ(Received("new/x"), "x");
  EXPECT_THAT(Copy({Here("d"), "web:/file"}).err, HasSubstr("is a directory, and"));
  // A link to a directory is one.
  EXPECT_EQ(Copy({Here("d"), "web:/link"}).exit_code, kOk);
  EXPECT_EQ(started_.back(), R"(container: "web" path: "/dir")");
}

}  // namespace
}  // namespace noded::cli
