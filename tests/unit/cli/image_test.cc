// The commands of images that are here, against a fake node.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "clients/cli/exit_code.h"
#include "clients/cli/proto_time.h"
#include "tests/unit/cli/fake_node.h"

namespace noded::cli {
namespace {

using grpc::StatusCode;
using testing::HasSubstr;
using testing::StartsWith;

node::v1::Image SomeImage() {
  node::v1::Image image;
  image.set_id("sha256:aaaaaaaaaaaaaaaaaaaa");
  image.add_references("docker.io/library/busybox:1.36");
  image.add_references("host:5000/busybox:latest");
  image.add_repository_digests("host:5000/busybox@sha256:dddd");
  *image.mutable_create_time() = ToProto(FakeNow() - absl::Hours(3));
  image.set_compressed_bytes(2'000'000);
  image.set_unpacked_bytes(4'268'000);
  return image;
}

class ImageTest : public testing::Test {
 protected:
  ImageTest() {
    node_.images().ListImages_ = [this](const auto& request, auto* response) {
      asked_.push_back(request);
      if (request.page_token().empty()) {
        *response->add_images() = SomeImage();
        response->set_next_page_token("2");
      } else {
        auto* image = response->add_images();
        image->set_id("sha256:bbbbbbbbbbbbbbbbbbbb");
        image->set_manifest_digest("sha256:eeee");
        image->set_compressed_bytes(999);
      }
      return Status::OK;
    };
  }
  std::vector<node::v1::ListImagesRequest> asked_;
  FakeNode node_;
};

TEST_F(ImageTest, ListsALineForEachNameOverAllPages) {
  EXPECT_EQ(node_.Run({"images"}).out,
            "REPOSITORY                  TAG      IMAGE ID       CREATED       SIZE\n"
            "docker.io/library/busybox   1.36     aaaaaaaaaaaa   3 hours ago   4.27MB\n"
            "host:5000/busybox           latest   aaaaaaaaaaaa   3 hours ago   4.27MB\n"
            "<none>                      <none>   bbbbbbbbbbbb   N/A           999B\n");
  ASSERT_EQ(asked_.size(), 2u);
  EXPECT_EQ(asked_[1].page_token(), "2");
}

TEST_F(ImageTest, ListInItsOtherForms) {
  EXPECT_EQ(node_.Run({"image", "ls", "-q"}).out, "aaaaaaaaaaaa\nbbbbbbbbbbbb\n");
  EXPECT_EQ(node_.Run({"images", "-q", "--no-trunc"}).out,
            "sha256:aaaaaaaaaaaaaaaaaaaa\nsha256:bbbbbbbbbbbbbbbbbbbb\n");
  EXPECT_EQ(node_.Run({"images", "-q", "--filter", "dangling=true"}).out, "bbbbbbbbbbbb\n");
  EXPECT_EQ(node_.Run({"images", "-q", "--filter", "dangling=false"}).out, "aaaaaaaaaaaa\n");
  std::string digests = node_.Run({"images", "--digests"}).out;
  EXPECT_THAT(digests, HasSubstr("host:5000/busybox           latest   sha256:dddd"));
  EXPECT_THAT(digests, HasSubstr("docker.io/library/busybox   1.36     <none>"));
  EXPECT_THAT(digests, HasSubstr("<none>                      <none>   sha256:eeee"));
  EXPECT_THAT(node_.Run({"images", "-o", "json"}).out,
              StartsWith("{\n \"images\": [\n  {\n   \"id\": \"sha256:aaaa"));
}

TEST_F(ImageTest, InspectPrintsWhatItFinds) {
  node_.images().GetImage_ = [](const auto& request, auto* response) {
    if (request.image() != "a") {
      return ErrorWith(StatusCode::NOT_FOUND, "no image \"x\"", "IMAGE_NOT_FOUND");
    }
    response->mutable_image()->set_id("sha256:1");
    response->set_config_json("{}");
    return Status::OK;
  };
  Outcome outcome = node_.Run({"image", "inspect", "a", "x"});
  EXPECT_EQ(outcome.out, "[{\n \"id\": \"sha256:1\"\n}]\n");
  EXPECT_THAT(outcome.err,
              StartsWith("nodectl: image inspect x: no image \"x\"\n  nodectl images"));
  EXPECT_EQ(outcome.exit_code, kFailure);
}

TEST_F(ImageTest, HistoryShowsEachStep) {
  node_.images().GetImageHistory_ = [](const auto&, auto* response) {
    auto* entry = response->add_entries();
    entry->set_created_by("CMD [\"sh\"]");
    entry->set_empty_layer(true);
    entry = response->add_entries();
    *entry->mutable_create_time() = ToProto(FakeNow() - absl::Hours(48));
    entry->set_created_by(std::string(60, 'x'));
    entry->set_digest("sha256:aaaaaaaaaaaaaaaaaaaa");
    entry->set_compressed_bytes(1500);
    entry->set_comment("import");
    return Status::OK;
  };
  EXPECT_EQ(node_.Run({"image", "history", "a"}).out,
            "LAYER          CREATED      CREATED BY                                      SIZE    "
            "COMMENT\n"
            "<none>         N/A          CMD [\"sh\"]                                      0B      "
            "\n"
            "aaaaaaaaaaaa   2 days ago   xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…   1.5kB   "
            "import\n");
  EXPECT_THAT(node_.Run({"history", "--no-trunc", "a"}).out, HasSubstr(std::string(60, 'x')));
}

TEST_F(ImageTest, TagIsSilent) {
  node_.images().TagImage_ = [](const auto& request, auto*) {
    EXPECT_EQ(request.ShortDebugString(), R"(image: "a" reference: "b:1")");
    return Status::OK;
  };
  Outcome outcome = node_.Run({"tag", "a", "b:1"});
  EXPECT_EQ(outcome.out + outcome.err, "");
  EXPECT_EQ(outcome.exit_code, kOk);
}

TEST_F(ImageTest, RemoveTellsWhatIsGoneAndGoesOn) {
  node_.images().RemoveImage_ = [](const auto& request, auto* response) {
    if (request.image() == "used") {
      return ErrorWith(StatusCode::FAILED_PRECONDITION, "container web uses it", "IMAGE_IN_USE");
    }
    if (request.image() == "x") return ErrorWith(StatusCode::NOT_FOUND, "no", "IMAGE_NOT_FOUND");
    response->add_untagged("a:1");
    response->add_deleted("sha256:1");
    return Status::OK;
  };
  Outcome outcome = node_.Run({"image", "rm", "used", "a:1"});
  EXPECT_EQ(outcome.out, "Untagged: a:1\nDeleted: sha256:1\n");
  EXPECT_THAT(outcome.err, HasSubstr("container web uses it\n  Remove its containers first"));
  EXPECT_EQ(outcome.exit_code, kFailure);
  EXPECT_EQ(node_.Run({"rmi", "x"}).exit_code, kFailure);
  EXPECT_EQ(node_.Run({"rmi", "-f", "x"}).exit_code, kOk);
}

TEST_F(ImageTest, PruneAsks) {
  int asked = 0;
  node_.images().PruneImages_ = [&](const auto& request, auto* response) {
    ++asked;
    EXPECT_EQ(request.all(), true);
    response->add_untagged("a:1");
    response->add_deleted("sha256:1");
    response->set_reclaimed_bytes(12'300'000);
    return Status::OK;
  };
  Outcome outcome = node_.Run({"image", "prune", "-a"}, "n\n");
  EXPECT_THAT(outcome.err, HasSubstr("Are you sure you want to continue? [y/N] "));
  EXPECT_EQ(outcome.exit_code, kFailure);
  EXPECT_EQ(node_.Run({"image", "prune", "-a"}, "").exit_code, kFailure);
  EXPECT_EQ(asked, 0);
  EXPECT_EQ(node_.Run({"image", "prune", "-a"}, "Y\n").out,
            "Untagged: a:1\nDeleted: sha256:1\nTotal reclaimed space: 12.3MB\n");
  EXPECT_EQ(node_.Run({"image", "prune", "-a", "-f"}).err, "");
  EXPECT_THAT(node_.Run({"image", "prune", "-a", "--dry-run"}).out,
              HasSubstr("Would reclaim: 12.3MB"));
  EXPECT_EQ(asked, 3);
}

TEST_F(ImageTest, VerifyFailsForDamage) {
  bool damaged = false;
  node_.images().VerifyImages_ = [&](const auto& request, auto* response) {
    response->set_contents(12);
    response->set_bytes(1'200'000);
    response->set_layers(3);
    if (damaged) {
      auto* damage = response->add_damages();
      damage->set_digest("sha256:1");
      damage->set_problem("truncated");
      damage->add_references("a:1");
    }
    EXPECT_EQ(request.image(), request.repair() ? "a" : "");
    return Status::OK;
  };
  Outcome outcome = node_.Run({"image", "verify"});
  EXPECT_EQ(outcome.out, "12 contents (1.2MB), 3 layers: clean\n");
  EXPECT_EQ(outcome.exit_code, kOk);
  damaged = true;
  outcome = node_.Run({"image", "verify"});
  EXPECT_THAT(outcome.out, StartsWith("sha256:1: truncated (a:1)\n12 contents (1.2MB), 3 layers: 1 "
                                      "damaged; nodectl image verify --repair"));
  EXPECT_EQ(outcome.exit_code, kFailure);
  outcome = node_.Run({"image", "verify", "--repair", "a"});
  EXPECT_THAT(outcome.out, HasSubstr("1 damaged; set aside"));
  EXPECT_EQ(outcome.exit_code, kFailure);
}

TEST_F(ImageTest, CommitPrintsTheId) {
  node_.images().CommitContainer_ = [](const auto& request, auto* response) {
    EXPECT_EQ(request.container(), "web");
    response->mutable_image()->set_id("sha256:1");
    return Status::OK;
  };
  EXPECT_EQ(node_.Run({"commit", "web", "web:1"}).out, "sha256:1\n");
}

TEST_F(ImageTest, DiffHasALetterForEachFile) {
  node_.containers().Diff_ = [](const auto&, auto& writer) {
    node::v1::DiffResponse response;
    for (auto [path, kind] : {std::pair("/a", node::v1::FILE_CHANGE_KIND_ADDED),
                              std::pair("/b\n", node::v1::FILE_CHANGE_KIND_CHANGED)}) {
      response.Clear();
      response.add_changes()->set_path(path);
      response.mutable_changes(0)->set_kind(kind);
      writer.Write(response);
    }
    response.mutable_changes(0)->set_path("/d");
    response.mutable_changes(0)->set_kind(node::v1::FILE_CHANGE_KIND_DELETED);
    writer.Write(response);
    return Status::OK;
  };
  EXPECT_EQ(node_.Run({"diff", "web"}).out, "A /a\nC /b?\nD /d\n");
  EXPECT_THAT(node_.Run({"diff", "-o", "json", "web"}).out, StartsWith(R"({"changes":[{"path":)"));
}

}  // namespace
}  // namespace noded::cli
