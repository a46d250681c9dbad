// images, image inspect and image history.
#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "clients/cli/commands.h"
#include "clients/cli/exit_code.h"
#include "clients/cli/output.h"
#include "clients/cli/proto_time.h"

namespace noded::cli {
namespace {

using node::v1::Image;
using node::v1::ListImagesRequest;
using node::v1::ListImagesResponse;

constexpr int kPageSize = 1000;
constexpr size_t kInstructionWidth = 45;
constexpr char kNone[] = "<none>";

grpc::Status ListAll(Client& client, ListImagesRequest request, ListImagesResponse* all) {
  request.set_page_size(kPageSize);
  do {
    ListImagesResponse page;
    grpc::Status status = client.Call(&ImageStub::ListImages, request, &page);
    if (!status.ok()) return status;
    for (Image& image : *page.mutable_images()) all->add_images()->Swap(&image);
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty());
  return grpc::Status::OK;
}

// "host:5000/app:1.2" to "host:5000/app" and "1.2".
std::pair<std::string, std::string> SplitReference(const std::string& reference) {
  const size_t colon = reference.rfind(':');
  const size_t slash = reference.rfind('/');
  if (colon == std::string::npos || (slash != std::string::npos && colon < slash)) {
    return {reference, kNone};
  }
  return {reference.substr(0, colon), reference.substr(colon + 1)};
}

// The digest by which the registry knows the repository's image.
std::string DigestIn(const Image& image, const std::string& repository) {
  for (const std::string& known : image.repository_digests()) {
    if (absl::StartsWith(known, repository + "@")) return known.substr(repository.size() + 1);
  }
  return kNone;
}

std::string Created(bool known, const google::protobuf::Timestamp& time, absl::Time now) {
  if (!known) return "N/A";
  return absl::StrCat(HumanDuration(now - FromProto(time)), " ago");
}

std::string ImageTable(const ImageListOptions& options, const ListImagesResponse& response,
                       absl::Time now) {
  std::vector<std::string> header = {"REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE"};
  if (options.digests) header.insert(header.begin() + 2, "DIGEST");
  Table table(header);
  for (const Image& image : response.images()) {
    std::vector<std::string> references(image.references().begin(), image.references().end());
    if (references.empty()) references.push_back("");
    const int64_t bytes =
        image.unpacked_bytes() > 0 ? image.unpacked_bytes() : image.compressed_bytes();
    for (const std::string& reference : references) {
      auto [repository, tag] = SplitReference(reference);
      std::vector<std::string> row = {repository.empty() ? kNone : repository, tag,
                                      options.full ? image.id() : ShortDigest(image.id()),
                                      Created(image.has_create_time(), image.create_time(), now),
                                      DecimalSize(static_cast<uint64_t>(bytes))};
      if (options.digests) {
        const std::string digest =
            reference.empty() ? image.manifest_digest() : DigestIn(image, repository);
        row.insert(row.begin() + 2, digest);
      }
      table.Row(std::move(row));
    }
  }
  return table.Text();
}

std::string Ids(const ImageListOptions& options, const ListImagesResponse& response) {
  std::string text;
  for (const Image& image : response.images()) {
    absl::StrAppend(&text, options.full ? image.id() : ShortDigest(image.id()), "\n");
  }
  return text;
}

}  // namespace

int Run(const ImageListOptions& options, Client& client, const Io& io) {
  ListImagesResponse response;
  grpc::Status status = ListAll(client, options.request, &response);
  if (!status.ok()) return Fail(client, io, "images", status, kFailure);
  if (options.dangling) {
    auto& images = *response.mutable_images();
    auto kept = std::stable_partition(images.begin(), images.end(), [&](const Image& image) {
      return image.references().empty() == *options.dangling;
    });
    images.erase(kept, images.end());
  }
  if (options.quiet) return Print(io, Ids(options, response));
  if (options.global.output == OutputFormat::kJson) return Print(io, ToJson(response, true));
  return Print(io, ImageTable(options, response, io.now()));
}

int Run(const ImageInspectOptions& options, Client& client, const Io& io) {
  int exit_code = kOk;
  std::vector<std::string> found;
  for (const std::string& image : options.images) {
    node::v1::GetImageRequest request;
    request.set_image(image);
    node::v1::GetImageResponse response;
    grpc::Status status = client.Call(&ImageStub::GetImage, request, &response);
    if (!status.ok()) {
      exit_code = Fail(client, io, absl::StrCat("image inspect ", image), status, kFailure);
      continue;
    }
    found.push_back(ToJson(response.image(), true));
    found.back().pop_back();  // its newline
  }
  if (!io.Out(absl::StrCat("[", absl::StrJoin(found, ",\n"), "]\n"))) return kOutputClosed;
  return exit_code;
}

int Run(const ImageHistoryOptions& options, Client& client, const Io& io) {
  node::v1::GetImageHistoryRequest request;
  request.set_image(options.image);
  node::v1::GetImageHistoryResponse response;
  grpc::Status status = client.Call(&ImageStub::GetImageHistory, request, &response);
  if (!status.ok()) {
    return Fail(client, io, absl::StrCat("image history ", options.image), status, kFailure);
  }
  if (options.global.output == OutputFormat::kJson) return Print(io, ToJson(response, true));
  Table table({"LAYER", "CREATED", "CREATED BY", "SIZE", "COMMENT"});
  for (const node::v1::ImageHistoryEntry& entry : response.entries()) {
    std::string layer = options.full ? entry.digest() : ShortDigest(entry.digest());
    table.Row({entry.digest().empty() ? kNone : layer,
               Created(entry.has_create_time(), entry.create_time(), io.now()),
               options.full ? entry.created_by() : Cut(entry.created_by(), kInstructionWidth),
               DecimalSize(static_cast<uint64_t>(entry.compressed_bytes())), entry.comment()});
  }
  return Print(io, table.Text());
}

}  // namespace noded::cli
