// How images are found, and told as messages of the API.
#include <algorithm>
#include <map>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "node/base/status.h"
#include "node/base/string_view.h"
#include "rootfs/image/images.h"
#include "rootfs/image/messages.h"

namespace noded::image {

using node::v1::Image;

namespace {

constexpr size_t kFewestIdDigits = 6;

absl::Status NotFound(std::string_view image) {
  return WithReason(absl::NotFoundError(absl::StrCat("image ", AsAbsl(image),
                                                     " is not in the store; pull it first")),
                    reason::kImageNotFound);
}

// "sha256:…", or enough of its digits; "" when it cannot be one.
std::string_view IdDigits(std::string_view text) {
  if (text.starts_with("sha256:")) text.remove_prefix(7);
  auto hex = [](char c) { return absl::ascii_isdigit(c) || (c >= 'a' && c <= 'f'); };
  const bool fits = text.size() >= kFewestIdDigits && text.size() <= 64 &&
                    std::all_of(text.begin(), text.end(), hex);
  return fits ? text : "";
}

template <typename Strings>
void Copy(const Strings& from, google::protobuf::RepeatedPtrField<std::string>* to) {
  for (const std::string& one : from) *to->Add() = one;
}

void SetDuration(absl::Duration from, google::protobuf::Duration* to) {
  to->set_seconds(absl::IDivDuration(from, absl::Seconds(1), &from));
  to->set_nanos(static_cast<int32_t>(absl::ToInt64Nanoseconds(from)));
}

}  // namespace

void SetTime(absl::Time from, google::protobuf::Timestamp* to) {
  const int64_t seconds = absl::ToUnixSeconds(from);
  to->set_seconds(seconds);
  to->set_nanos(
      static_cast<int32_t>(absl::ToInt64Nanoseconds(from - absl::FromUnixSeconds(seconds))));
}

void Tell(const oci::RunConfig& from, node::v1::ImageConfig& to) {
  to.set_user(from.user);
  Copy(from.exposed_ports, to.mutable_exposed_ports());
  Copy(from.env, to.mutable_env());
  Copy(from.entrypoint, to.mutable_entrypoint());
  Copy(from.cmd, to.mutable_cmd());
  Copy(from.volumes, to.mutable_volumes());
  to.set_working_directory(from.working_directory);
  to.mutable_labels()->insert(from.labels.begin(), from.labels.end());
  to.set_stop_signal(from.stop_signal);
  Copy(from.shell, to.mutable_shell());
  Copy(from.on_build, to.mutable_on_build());
  if (!from.healthcheck) return;
  node::v1::Healthcheck& check = *to.mutable_healthcheck();
  Copy(from.healthcheck->test, check.mutable_test());
  SetDuration(from.healthcheck->interval, check.mutable_interval());
  SetDuration(from.healthcheck->timeout, check.mutable_timeout());
  SetDuration(from.healthcheck->start_period, check.mutable_start_period());
  check.set_retries(from.healthcheck->retries);
}

absl::StatusOr<oci::Reference> Images::Parse(const std::string& text, const char* field) const {
  if (text.empty()) return InvalidField(field, "is required");
  absl::StatusOr<oci::Reference> reference = oci::ParseReference(text, options_.default_registry);
  if (!reference.ok()) return InvalidField(field, AsStd(reference.status().message()));
  return reference;
}

absl::StatusOr<std::string> Images::ParseNewName(const std::string& text, const char* field) const {
  if (text.empty()) return text;
  ASSIGN_OR_RETURN(oci::Reference reference, Parse(text, field));
  if (!reference.digest.empty()) return InvalidField(field, "must not have a digest");
  return reference.ToString();
}

std::vector<image::Use> Images::Uses() const {
  return options_.uses ? options_.uses() : std::vector<image::Use>();
}

absl::StatusOr<Images::Found> Images::Find(std::string_view image, const char* field) {
  if (image.empty()) return InvalidField(field, "is required");
  absl::StatusOr<oci::Reference> reference = oci::ParseReference(image, options_.default_registry);
  Found found;
  std::optional<store::Entry> entry;
  const std::string_view digits = IdDigits(image);
  if (reference.ok()) entry = store_->table().Find(reference->ToString());
  const std::vector<store::Entry> all = store_->table().List();
  if (!entry && reference.ok() && !reference->digest.empty()) {
    // By the digest of its manifest, or of the index that it came by.
    const std::string by_registry = absl::StrCat(reference->registry, "/", reference->repository,
                                                 "@", reference->digest.text());
    for (const store::Entry& one : all) {
      const bool same_repository = absl::StartsWith(
          one.reference, absl::StrCat(reference->registry, "/", reference->repository, ":"));
      if (one.repository_digest == by_registry ||
          (same_repository && one.manifest.digest == reference->digest)) {
        entry = one;
        break;
      }
    }
  }
  if (!entry && !digits.empty()) {
    found.by_id = true;
    for (const store::Entry& one : all) {
      if (!absl::StartsWith(one.image_id.hex(), AsAbsl(digits))) continue;
      if (entry && entry->image_id != one.image_id) {
        return WithReason(InvalidField(field, absl::StrCat("\"", AsAbsl(image),
                                                           "\" begins the ids of several images")),
                          reason::kAmbiguousId);
      }
      entry = one;
    }
  }
  if (!entry) {
    if (!reference.ok() && digits.empty()) {
      return InvalidField(field, AsStd(reference.status().message()));
    }
    return NotFound(image);
  }
  found.all = store_->table().EntriesOf(entry->image_id);
  absl::StatusOr<std::shared_ptr<const store::ImageDetails>> details =
      store_->Details(entry->manifest.digest);
  if (!details.ok()) {
    return Annotate(details.status(), absl::StrCat("image ", AsAbsl(image)));
  }
  found.details = *std::move(details);
  found.entry = *std::move(entry);
  return found;
}

absl::StatusOr<Image> Images::Describe(const oci::Digest& image_id) {
  return Describe(store_->table().EntriesOf(image_id), Uses());
}

absl::StatusOr<Image> Images::Describe(const std::vector<store::Entry>& entries,
                                       const std::vector<image::Use>& uses) {
  if (entries.empty()) return NotFound("that was just removed");
  const store::Entry& first = entries.front();
  ASSIGN_OR_RETURN(std::shared_ptr<const store::ImageDetails> details,
                   store_->Details(first.manifest.digest));
  Image image;
  image.set_id(first.image_id.text());
  image.set_manifest_digest(first.manifest.digest.text());
  std::set<std::string> digests;
  for (const store::Entry& entry : entries) {
    if (!entry.reference.empty()) image.add_references(entry.reference);
    if (!entry.repository_digest.empty()) digests.insert(entry.repository_digest);
  }
  Copy(digests, image.mutable_repository_digests());
  if (details->config.created) SetTime(*details->config.created, image.mutable_create_time());
  image.set_platform(oci::ToString(details->config.platform));
  Tell(details->config.config, *image.mutable_config());
  for (size_t i = 0; i < details->chain_ids.size(); ++i) {
    node::v1::ImageLayer& layer = *image.add_layers();
    const oci::Descriptor& blob = details->manifest.layers[i];
    layer.set_digest(blob.digest.text());
    layer.set_diff_id(details->config.diff_ids[i].text());
    layer.set_chain_id(details->chain_ids[i].text());
    layer.set_compressed_bytes(blob.size);
    layer.set_media_type(blob.media_type);
    if (std::optional<store::Layer> here = store_->layers().Find(details->chain_ids[i])) {
      layer.set_unpacked_bytes(here->size.bytes);
    }
    image.set_unpacked_bytes(image.unpacked_bytes() + layer.unpacked_bytes());
  }
  image.set_compressed_bytes(details->compressed_bytes);
  for (const image::Use& use : uses) {
    if (use.image_id == first.image_id) image.add_container_ids(use.container_id);
  }
  return image;
}

}  // namespace noded::image
