// What there is.
#include <fnmatch.h>

#include <algorithm>
#include <map>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "node/base/status.h"
#include "node/base/string_view.h"
#include "rootfs/image/images.h"
#include "rootfs/image/messages.h"

namespace noded::image {
namespace {

constexpr int kDefaultPage = 100;
constexpr int kMostPage = 1000;
// gRPC takes 4 MiB by default.
constexpr size_t kMostPageBytes = 3 << 20;

bool HasLabels(const std::map<std::string, std::string>& labels,
               const google::protobuf::Map<std::string, std::string>& wanted) {
  return std::all_of(wanted.begin(), wanted.end(), [&](const auto& label) {
    const auto found = labels.find(label.first);
    return found != labels.end() && (label.second.empty() || found->second == label.second);
  });
}

// A pattern is tried on the whole reference, on how users write it, and on both without their tags.
bool Matches(const std::string& pattern, const std::string& reference) {
  absl::StatusOr<oci::Reference> parsed = oci::ParseReference(reference, "docker.io");
  if (!parsed.ok()) return false;
  oci::Reference untagged = *parsed;
  const std::string familiar = oci::FamiliarName(*parsed);
  const std::string suffix = absl::StrCat(":", parsed->tag);
  auto cut = [&](const std::string& name) {
    return name.substr(0, name.size() - (parsed->tag.empty() ? 0 : suffix.size()));
  };
  for (const std::string& name : {reference, familiar, cut(reference), cut(familiar)}) {
    if (fnmatch(pattern.c_str(), name.c_str(), FNM_PATHNAME) == 0) return true;
  }
  return false;
}

// Where an image stands in the list: by its first reference, those without one last.
std::string KeyOf(const std::vector<store::Entry>& entries) {
  const std::string& reference = entries.front().reference;
  return absl::StrCat(reference.empty() ? "~" : reference, " ", entries.front().image_id.text());
}

}  // namespace

absl::StatusOr<node::v1::ListImagesResponse> Images::List(
    const node::v1::ListImagesRequest& request) {
  int most = request.page_size() == 0 ? kDefaultPage : request.page_size();
  if (most < 0 || most > kMostPage) {
    return InvalidField("page_size", absl::StrCat(most, " must be 1 to ", kMostPage));
  }
  std::string after;
  if (!absl::HexStringToBytes(request.page_token()).empty()) {
    after = absl::HexStringToBytes(request.page_token());
  } else if (!request.page_token().empty()) {
    return InvalidField("page_token", "is not one that ListImages gave");
  }
  std::map<oci::Digest, std::vector<store::Entry>> by_image;
  for (store::Entry& entry : store_->table().List()) {
    by_image[entry.image_id].push_back(std::move(entry));
  }
  std::map<std::string, std::vector<store::Entry>> in_order;
  for (auto& [id, entries] : by_image) in_order.emplace(KeyOf(entries), std::move(entries));

  const std::vector<image::Use> uses = Uses();
  node::v1::ListImagesResponse response;
  size_t bytes = 0;
  for (auto at = in_order.upper_bound(after); at != in_order.end(); ++at) {
    const auto& [key, entries] = *at;
    auto matches = [&](const store::Entry& entry) {
      return Matches(request.reference(), entry.reference);
    };
    if (!request.reference().empty() && std::none_of(entries.begin(), entries.end(), matches)) {
      continue;
    }
    absl::StatusOr<node::v1::Image> image = Describe(entries, uses);
    if (!image.ok()) {
      // A damaged document must not hide the others; Verify tells of it.
      image = node::v1::Image();
      image->set_id(entries.front().image_id.text());
      image->set_manifest_digest(entries.front().manifest.digest.text());
      for (const store::Entry& entry : entries) {
        if (!entry.reference.empty()) image->add_references(entry.reference);
      }
    }
    const std::map<std::string, std::string> labels(image->config().labels().begin(),
                                                    image->config().labels().end());
    if (!HasLabels(labels, request.labels())) continue;
    bytes += image->ByteSizeLong();
    if (response.images_size() == most || (bytes > kMostPageBytes && response.images_size() > 0)) {
      response.set_next_page_token(absl::BytesToHexString(after));
      return response;
    }
    *response.add_images() = *std::move(image);
    after = key;
  }
  return response;
}

absl::StatusOr<node::v1::GetImageResponse> Images::Get(const node::v1::GetImageRequest& request) {
  ASSIGN_OR_RETURN(Found found, Find(request.image(), "image"));
  node::v1::GetImageResponse response;
  ASSIGN_OR_RETURN(*response.mutable_image(), Describe(found.all, Uses()));
  const store::ContentStore& contents = store_->contents();
  ASSIGN_OR_RETURN(*response.mutable_manifest_json(),
                   contents.Read(found.entry.manifest.digest, oci::kMaxManifestBytes));
  ASSIGN_OR_RETURN(*response.mutable_config_json(),
                   contents.Read(found.entry.image_id, oci::kMaxConfigBytes));
  return response;
}

absl::StatusOr<node::v1::GetImageHistoryResponse> Images::History(
    const node::v1::GetImageHistoryRequest& request) {
  ASSIGN_OR_RETURN(Found found, Find(request.image(), "image"));
  node::v1::GetImageHistoryResponse response;
  const std::vector<oci::Descriptor>& layers = found.details->manifest.layers;
  size_t next = 0;
  std::vector<node::v1::ImageHistoryEntry> entries;
  for (const oci::HistoryEntry& step : found.details->config.history) {
    node::v1::ImageHistoryEntry& entry = entries.emplace_back();
    if (step.created) SetTime(*step.created, entry.mutable_create_time());
    entry.set_created_by(step.created_by);
    entry.set_author(step.author);
    entry.set_comment(step.comment);
    entry.set_empty_layer(step.empty_layer || next == layers.size());
    if (entry.empty_layer()) continue;
    entry.set_digest(layers[next].digest.text());
    entry.set_compressed_bytes(layers[next].size);
    ++next;
  }
  // Layers that no step speaks of.
  for (; next < layers.size(); ++next) {
    node::v1::ImageHistoryEntry& entry = entries.emplace_back();
    entry.set_digest(layers[next].digest.text());
    entry.set_compressed_bytes(layers[next].size);
  }
  for (auto entry = entries.rbegin(); entry != entries.rend(); ++entry) {
    *response.add_entries() = std::move(*entry);
  }
  return response;
}

}  // namespace noded::image
