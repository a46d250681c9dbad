#include "rootfs/oci/document.h"

#include <algorithm>
#include <optional>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "nlohmann/json.hpp"
#include "node/base/status.h"
#include "node/base/string_view.h"
#include "rootfs/oci/json.h"
#include "rootfs/oci/platform.h"

namespace noded::oci {
namespace {

using Json = nlohmann::json;

constexpr JsonLimits kDocumentLimits{kMaxManifestBytes, 100'000};
constexpr JsonLimits kLayoutLimits{kMaxLayoutIndexBytes, 1'000'000};
constexpr size_t kMaxMediaTypeBytes = 255;
constexpr size_t kMaxAnnotations = 1000;

std::string Shown(std::string_view media_type) {
  return absl::StrCat("\"", absl::CHexEscape(AsAbsl(media_type.substr(0, kMaxMediaTypeBytes))),
                      "\"");
}

std::string_view WithoutParameters(std::string_view media_type) {
  const std::string_view type = media_type.substr(0, media_type.find(';'));
  return AsStd(absl::StripAsciiWhitespace(AsAbsl(type)));
}

std::map<std::string, std::string> ReadAnnotations(const JsonValue& value) {
  std::map<std::string, std::string> annotations = value.StringMap();
  if (annotations.size() > kMaxAnnotations) {
    value.Fail(absl::StrCat("more than ", kMaxAnnotations, " annotations"));
  }
  return annotations;
}

Descriptor ReadDescriptor(const JsonValue& value) {
  Descriptor descriptor;
  if (!value.present()) {
    value.Fail("must be given");
    return descriptor;
  }
  descriptor.media_type = value["mediaType"].String();
  if (descriptor.media_type.size() > kMaxMediaTypeBytes) value["mediaType"].Fail("is too long");
  descriptor.digest = value["digest"].Digest();
  descriptor.size = value["size"].Int();
  if (descriptor.size < 0) value["size"].Fail("must not be negative");
  descriptor.annotations = ReadAnnotations(value["annotations"]);
  if (const JsonValue platform = value["platform"]; platform.present()) {
    descriptor.platform = Normalized(
        {platform["os"].String(), platform["architecture"].String(), platform["variant"].String()});
  }
  return descriptor;
}

Manifest ReadManifest(const JsonValue& root, std::string_view media_type) {
  Manifest manifest{std::string(media_type)};
  manifest.config = ReadDescriptor(root["config"]);
  if (manifest.config.size > kMaxConfigBytes) {
    root["config"]["size"].Fail(absl::StrCat("at most ", kMaxConfigBytes, " bytes are taken"));
  }
  const JsonValue layers = root["layers"];
  const std::vector<JsonValue> elements = layers.Elements();
  if (elements.size() > kMaxLayers) {
    layers.Fail(absl::StrCat(elements.size(), " layers, at most ", kMaxLayers, " are taken"));
    return manifest;
  }
  for (const JsonValue& layer : elements) manifest.layers.push_back(ReadDescriptor(layer));
  manifest.annotations = ReadAnnotations(root["annotations"]);
  return manifest;
}

Index ReadIndex(const JsonValue& root, std::string_view media_type) {
  Index index{std::string(media_type)};
  for (const JsonValue& manifest : root["manifests"].Elements()) {
    index.manifests.push_back(ReadDescriptor(manifest));
  }
  index.annotations = ReadAnnotations(root["annotations"]);
  return index;
}

absl::Status UnknownType(std::string_view media_type) {
  const bool schema_1 = media_type.find("distribution.manifest.v1+") != media_type.npos;
  return absl::UnimplementedError(
      absl::StrCat("image document of media type ", Shown(media_type), ": ",
                   schema_1 ? "Docker's image manifests of schema 1 are not supported; push the "
                              "image again with a newer tool"
                            : "must be an image manifest or index of OCI or Docker schema 2"));
}

// What the document is by its members, which is also what others may take it for: a registry that
// answers one digest with different media types must not get two readings of the same bytes
// (CVE-2021-41190).
absl::StatusOr<std::string> TypeByMembers(JsonDocument& document) {
  const JsonValue root = document.root();
  const std::string inside = root["mediaType"].String();
  const int64_t version = root["schemaVersion"].Int();
  const bool manifest = root["config"].present() || root["layers"].present();
  const bool index = root["manifests"].present();
  if (manifest && index) {
    root.Fail("is both a manifest and an index (\"manifests\" beside \"config\" or \"layers\")");
  }
  RETURN_IF_ERROR(document.status());
  if (version == 1 || root["fsLayers"].present()) {
    return UnknownType("application/vnd.docker.distribution.manifest.v1+json");
  }
  if (version != 0 && version != 2) root["schemaVersion"].Fail("must be 2");
  if (!inside.empty() && !IsManifestType(inside) && !IsIndexType(inside)) {
    return UnknownType(inside);
  }
  if (IsManifestType(inside) && index) root.Fail("has an index's members and a manifest's type");
  if (IsIndexType(inside) && manifest) root.Fail("has a manifest's members and an index's type");
  RETURN_IF_ERROR(document.status());
  if (!inside.empty()) return inside;
  return std::string(index ? kOciIndex : kOciManifest);
}

absl::StatusOr<std::variant<Manifest, Index>> Read(JsonDocument& document,
                                                   std::string_view media_type) {
  ASSIGN_OR_RETURN(const std::string by_members, TypeByMembers(document));
  const JsonValue root = document.root();
  const std::string inside = root["mediaType"].String();
  if (!inside.empty() && inside != media_type) {
    root["mediaType"].Fail(
        absl::StrCat("is ", Shown(inside), ", but it came as ", Shown(media_type)));
  } else if (IsIndexType(media_type) && !IsIndexType(by_members) &&
             (root["config"].present() || root["layers"].present())) {
    root.Fail("has a manifest's members, but came as an index");
  } else if (IsManifestType(media_type) && IsIndexType(by_members)) {
    root.Fail("has an index's members, but came as a manifest");
  }
  std::variant<Manifest, Index> read;
  if (IsManifestType(media_type)) {
    read = ReadManifest(root, media_type);
  } else {
    read = ReadIndex(root, media_type);
  }
  RETURN_IF_ERROR(document.status());
  return read;
}

Json AnnotationsJson(const std::map<std::string, std::string>& annotations) {
  return Json(annotations);
}

Json DescriptorJson(const Descriptor& descriptor) {
  Json json = {{"mediaType", descriptor.media_type},
               {"digest", descriptor.digest.text()},
               {"size", descriptor.size}};
  if (!descriptor.annotations.empty()) {
    json["annotations"] = AnnotationsJson(descriptor.annotations);
  }
  if (descriptor.platform) {
    json["platform"] = {{"os", descriptor.platform->os},
                        {"architecture", descriptor.platform->architecture}};
    if (!descriptor.platform->variant.empty()) {
      json["platform"]["variant"] = descriptor.platform->variant;
    }
  }
  return json;
}

}  // namespace

absl::StatusOr<std::variant<Manifest, Index>> ParseDocument(std::string_view json,
                                                            std::string_view media_type) {
  const std::string_view type = WithoutParameters(media_type);
  if (!IsManifestType(type) && !IsIndexType(type)) return UnknownType(type);
  JsonDocument document(IsIndexType(type) ? "image index" : "image manifest", json,
                        kDocumentLimits);
  RETURN_IF_ERROR(document.status());
  return Read(document, type);
}

absl::StatusOr<std::string> MediaTypeOf(std::string_view json) {
  JsonDocument document("image document", json, kDocumentLimits);
  RETURN_IF_ERROR(document.status());
  const JsonValue root = document.root();
  if (!root["config"].present() && !root["manifests"].present() && !root["fsLayers"].present()) {
    return absl::InvalidArgumentError("image document: is neither a manifest nor an index");
  }
  return TypeByMembers(document);
}

absl::StatusOr<Index> ParseLayoutIndex(std::string_view json) {
  JsonDocument document("index.json", json, kLayoutLimits);
  RETURN_IF_ERROR(document.status());
  ASSIGN_OR_RETURN(auto read, Read(document, kOciIndex));
  return std::get<Index>(std::move(read));
}

std::string ToJson(const Manifest& manifest) {
  Json json = {{"schemaVersion", 2},
               {"mediaType", manifest.media_type},
               {"config", DescriptorJson(manifest.config)},
               {"layers", Json::array()}};
  for (const Descriptor& layer : manifest.layers) json["layers"].push_back(DescriptorJson(layer));
  if (!manifest.annotations.empty()) json["annotations"] = AnnotationsJson(manifest.annotations);
  return Dump(json);
}

std::string ToJson(const Index& index) {
  Json json = {{"schemaVersion", 2}, {"mediaType", index.media_type}, {"manifests", Json::array()}};
  for (const Descriptor& manifest : index.manifests) {
    json["manifests"].push_back(DescriptorJson(manifest));
  }
  if (!index.annotations.empty()) json["annotations"] = AnnotationsJson(index.annotations);
  return Dump(json);
}

absl::StatusOr<Compression> CompressionOf(std::string_view layer_media_type) {
  if (layer_media_type == kOciLayer || layer_media_type == kDockerLayer) return Compression::kNone;
  if (layer_media_type == kOciLayerGzip || layer_media_type == kDockerLayerGzip) {
    return Compression::kGzip;
  }
  // The second is what podman and skopeo call a zstd layer below a Docker manifest.
  if (layer_media_type == kOciLayerZstd ||
      layer_media_type == "application/vnd.docker.image.rootfs.diff.tar.zstd") {
    return Compression::kZstd;
  }
  std::string_view why = "is no layer that can be unpacked";
  if (layer_media_type.find("+encrypted") != layer_media_type.npos) {
    why = "encrypted layers are not supported";
  } else if (layer_media_type.find("foreign") != layer_media_type.npos ||
             layer_media_type.find("nondistributable") != layer_media_type.npos) {
    why = "layers that a registry may not hold are not supported";
  }
  return absl::UnimplementedError(
      absl::StrCat("layer of media type ", Shown(layer_media_type), ": ", AsAbsl(why)));
}

bool IsManifestType(std::string_view media_type) {
  return media_type == kOciManifest || media_type == kDockerManifest;
}

bool IsIndexType(std::string_view media_type) {
  return media_type == kOciIndex || media_type == kDockerIndex;
}

}  // namespace noded::oci
