// Images from an archive: an OCI layout, or what Docker's `save` wrote, old or new. The archive is
// unpacked by the child that unpacks layers, into a tree of its own, because it is as foreign as
// they are; then its contents are taken over one by one, each compared with its digest.
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "node/base/file.h"
#include "node/base/status.h"
#include "node/base/syscalls.h"
#include "rootfs/image/images.h"
#include "rootfs/layer/unpacking.h"

namespace noded::image {
namespace {

using Json = nlohmann::json;

constexpr size_t kChunk = 256 << 10;
constexpr size_t kMostImages = 1000;

// The archive's tree. Its links stay inside of it: old archives name a layer that they have twice
// by one.
class Archive {
 public:
  explicit Archive(int dir) : dir_(dir) {}  // borrowed

  absl::StatusOr<UniqueFd> Open(const std::string& name) const {
    open_how how = {};
    how.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK;
    how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
    UniqueFd fd(static_cast<int>(OpenAt2(dir_, name.c_str(), how)));
    if (!fd.valid()) {
      return absl::InvalidArgumentError(
          absl::StrCat("the archive has no \"", name, "\" that can be read"));
    }
    struct stat info;
    if (fstat(fd.get(), &info) != 0 || !S_ISREG(info.st_mode)) {
      return absl::InvalidArgumentError(absl::StrCat("\"", name, "\" of the archive is no file"));
    }
    return fd;
  }
  bool Has(const std::string& name) const { return Open(name).ok(); }

  absl::StatusOr<std::string> Read(const std::string& name, int64_t most) const {
    ASSIGN_OR_RETURN(UniqueFd fd, Open(name));
    return ReadHeld(fd.get(), static_cast<size_t>(most));
  }
  absl::StatusOr<Json> ReadJson(const std::string& name) const {
    ASSIGN_OR_RETURN(std::string text, Read(name, oci::kMaxManifestBytes));
    Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
    if (json.is_discarded()) {
      return absl::InvalidArgumentError(absl::StrCat("\"", name, "\" of the archive is no JSON"));
    }
    return json;
  }

 private:
  const int dir_;
};

// One image as an archive has it.
struct Loaded {
  oci::Manifest manifest;
  std::string manifest_bytes;  // empty: Docker's archive has none
  oci::ImageConfig config;
  std::string config_bytes;
  std::vector<std::string> names;
  std::vector<std::string> layer_files;
};

std::string TextOf(const Json& object, const char* key) {
  if (!object.is_object()) return "";
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

std::string BlobName(const std::string& digest) {
  return absl::StrCat("blobs/", digest.substr(0, digest.find(':')), "/",
                      digest.substr(digest.find(':') + 1));
}

absl::Status AddOciManifest(const Archive& archive, const oci::Descriptor& descriptor,
                            const std::string& name, int depth, std::vector<Loaded>& out) {
  ASSIGN_OR_RETURN(std::string bytes,
                   archive.Read(BlobName(descriptor.digest.text()), oci::kMaxManifestBytes));
  if (oci::Sha256::Of(bytes) != descriptor.digest) {
    return WithReason(absl::DataLossError(absl::StrCat("manifest ", descriptor.digest.text(),
                                                       " of the archive has other bytes")),
                      reason::kContentDamaged);
  }
  ASSIGN_OR_RETURN(auto document, oci::ParseDocument(bytes, descriptor.media_type));
  if (const auto* index = std::get_if<oci::Index>(&document)) {
    if (depth > 2) return absl::InvalidArgumentError("the archive's indexes are nested too deep");
    ASSIGN_OR_RETURN(oci::Descriptor chosen, oci::ChoosePlatform(*index, oci::HostPlatform()));
    return AddOciManifest(archive, chosen, name, depth + 1, out);
  }
  Loaded image;
  image.manifest = std::get<oci::Manifest>(std::move(document));
  image.manifest_bytes = std::move(bytes);
  ASSIGN_OR_RETURN(image.config_bytes, archive.Read(BlobName(image.manifest.config.digest.text()),
                                                    oci::kMaxConfigBytes));
  if (oci::Sha256::Of(image.config_bytes) != image.manifest.config.digest) {
    return WithReason(
        absl::DataLossError(absl::StrCat("configuration ", image.manifest.config.digest.text(),
                                         " of the archive has other bytes")),
        reason::kContentDamaged);
  }
  ASSIGN_OR_RETURN(image.config, oci::ParseImageConfig(image.config_bytes));
  for (const oci::Descriptor& layer : image.manifest.layers) {
    image.layer_files.push_back(BlobName(layer.digest.text()));
  }
  if (!name.empty()) image.names.push_back(name);
  out.push_back(std::move(image));
  return absl::OkStatus();
}

absl::StatusOr<std::vector<Loaded>> ReadOciLayout(const Archive& archive) {
  ASSIGN_OR_RETURN(std::string text, archive.Read("index.json", oci::kMaxManifestBytes));
  ASSIGN_OR_RETURN(auto document, oci::ParseDocument(text, oci::kOciIndex));
  const auto* index = std::get_if<oci::Index>(&document);
  if (index == nullptr) return absl::InvalidArgumentError("the archive's index.json is no index");
  std::vector<Loaded> images;
  for (const oci::Descriptor& descriptor : index->manifests) {
    std::string name;
    for (const char* key : {"io.containerd.image.name", "org.opencontainers.image.ref.name"}) {
      const auto found = descriptor.annotations.find(key);
      if (found != descriptor.annotations.end() && name.empty()) name = found->second;
    }
    if (images.size() >= kMostImages)
      return absl::InvalidArgumentError("the archive has too many images");
    RETURN_IF_ERROR(AddOciManifest(archive, descriptor, name, 0, images));
  }
  return images;
}

absl::StatusOr<std::vector<Loaded>> ReadDockerArchive(const Archive& archive) {
  ASSIGN_OR_RETURN(Json list, archive.ReadJson("manifest.json"));
  if (!list.is_array() || list.size() > kMostImages) {
    return absl::InvalidArgumentError("the archive's manifest.json is no list of images");
  }
  std::vector<Loaded> images;
  for (const Json& entry : list) {
    Loaded image;
    ASSIGN_OR_RETURN(image.config_bytes,
                     archive.Read(TextOf(entry, "Config"), oci::kMaxConfigBytes));
    ASSIGN_OR_RETURN(image.config, oci::ParseImageConfig(image.config_bytes));
    const Json layers = entry.is_object() ? entry.value("Layers", Json::array()) : Json::array();
    const Json tags = entry.is_object() ? entry.value("RepoTags", Json::array()) : Json::array();
    for (const Json& layer : layers) {
      if (!layer.is_string()) return absl::InvalidArgumentError("a layer's name is no string");
      image.layer_files.push_back(layer.get<std::string>());
    }
    for (const Json& tag : tags) {
      if (tag.is_string()) image.names.push_back(tag.get<std::string>());
    }
    if (image.layer_files.size() != image.config.diff_ids.size()) {
      return absl::InvalidArgumentError(absl::StrCat(
          "the archive's image ", TextOf(entry, "Config"), " has ", image.layer_files.size(),
          " layers, its configuration speaks of ", image.config.diff_ids.size()));
    }
    images.push_back(std::move(image));
  }
  return images;
}

std::string_view LayerTypeOf(std::string_view start) {
  if (start.starts_with("\x1f\x8b")) return oci::kDockerLayerGzip;
  if (start.starts_with("\x28\xb5\x2f\xfd")) return oci::kOciLayerZstd;
  return oci::kDockerLayer;
}

// Takes the contents of an archive's images over into the store.
class Taking {
 public:
  Taking(const Archive& archive, store::Store& store, Exclusive& contents, const Cancel& cancel)
      : archive_(archive),
        store_(store),
        contents_(contents),
        cancel_(cancel),
        lease_(store.NewLease()) {}

  // Its documents and layers are in the store when it returns; layers are not unpacked.
  absl::StatusOr<oci::Descriptor> Take(Loaded image);

 private:
  // Of `wanted` only what is known: an old archive tells nothing of its layers.
  absl::StatusOr<oci::Descriptor> TakeLayer(const std::string& file, oci::Descriptor wanted);
  absl::StatusOr<oci::Descriptor> Copy(const std::string& file, int content, store::Ingest ingest);
  absl::StatusOr<oci::Descriptor> Put(const std::string& bytes, const std::string& media_type);

  const Archive& archive_;
  store::Store& store_;
  Exclusive& contents_;
  const Cancel& cancel_;
  store::Lease lease_;  // until the names are entered
};

absl::StatusOr<oci::Descriptor> Taking::Put(const std::string& bytes,
                                            const std::string& media_type) {
  oci::Descriptor descriptor;
  descriptor.media_type = media_type;
  descriptor.digest = oci::Sha256::Of(bytes);
  descriptor.size = static_cast<int64_t>(bytes.size());
  lease_.Hold(descriptor.digest);
  RETURN_IF_ERROR(store_.contents().Put(bytes, descriptor));
  return descriptor;
}

absl::StatusOr<oci::Descriptor> Taking::Copy(const std::string& file, int content,
                                             store::Ingest ingest) {
  std::string chunk(kChunk, '\0');
  for (int64_t at = ingest.offset();;) {
    if (cancel_.Cancelled()) return absl::CancelledError("given up");
    const ssize_t got = pread(content, chunk.data(), chunk.size(), at);
    if (got < 0) return ErrnoStatus(errno, absl::StrCat("read \"", file, "\" of the archive"));
    if (got == 0) break;
    RETURN_IF_ERROR(ingest.Write(std::string_view(chunk).substr(0, got)));
    at += got;
  }
  return ingest.Commit();
}

absl::StatusOr<oci::Descriptor> Taking::TakeLayer(const std::string& file, oci::Descriptor wanted) {
  ASSIGN_OR_RETURN(UniqueFd content, archive_.Open(file));
  if (wanted.digest.empty()) {
    char start[4] = {};
    const ssize_t got = pread(content.get(), start, sizeof(start), 0);
    wanted.media_type = std::string(LayerTypeOf({start, got > 0 ? static_cast<size_t>(got) : 0}));
    ASSIGN_OR_RETURN(store::Ingest ingest, store_.contents().BeginUnknown(wanted.media_type));
    ASSIGN_OR_RETURN(oci::Descriptor taken, Copy(file, content.get(), std::move(ingest)));
    lease_.Hold(taken.digest);
    return taken;
  }
  lease_.Hold(wanted.digest);
  ASSIGN_OR_RETURN(Exclusive::Turn turn, contents_.Wait(wanted.digest.text(), cancel_));
  if (store_.contents().Has(wanted.digest)) return wanted;
  ASSIGN_OR_RETURN(store::Ingest ingest, store_.contents().Begin(wanted));
  return Copy(file, content.get(), std::move(ingest));
}

absl::StatusOr<oci::Descriptor> Taking::Take(Loaded image) {
  const bool has_manifest = !image.manifest_bytes.empty();
  for (size_t i = 0; i < image.layer_files.size(); ++i) {
    ASSIGN_OR_RETURN(oci::Descriptor layer,
                     TakeLayer(image.layer_files[i],
                               has_manifest ? image.manifest.layers[i] : oci::Descriptor()));
    if (!has_manifest) image.manifest.layers.push_back(std::move(layer));
  }
  if (has_manifest) {
    RETURN_IF_ERROR(Put(image.config_bytes, image.manifest.config.media_type).status());
    return Put(image.manifest_bytes, image.manifest.media_type);
  }
  image.manifest.media_type = std::string(oci::kDockerManifest);
  ASSIGN_OR_RETURN(image.manifest.config, Put(image.config_bytes, std::string(oci::kDockerConfig)));
  return Put(oci::ToJson(image.manifest), std::string(oci::kDockerManifest));
}

}  // namespace

absl::Status Images::UnpackArchive(int tree, const Source& source, const Cancel& cancel) {
  layer::UnpackOptions options;
  options.program = options_.layer_program;
  options.tree.directory = tree;
  options.mode = layer::UnpackMode::kCopy;
  options.detect_compression = true;
  options.limits = options_.unpack_limits;
  options.owner = layer::Owner();
  ASSIGN_OR_RETURN(std::unique_ptr<layer::Unpacking> unpacking, layer::Unpacking::Start(options));
  for (;;) {
    if (cancel.Cancelled()) return absl::CancelledError("given up");
    ASSIGN_OR_RETURN(std::string bytes, source());
    if (bytes.empty()) break;
    RETURN_IF_ERROR(unpacking->Write(bytes));
  }
  return unpacking->Finish().status();
}

absl::StatusOr<node::v1::LoadImagesResponse> Images::Load(const Source& source,
                                                          const Cancel& cancel) {
  ASSIGN_OR_RETURN(std::string tree, store_->NewScratch());
  absl::Cleanup discard = [&] { (void)store_->trash().Discard(tree); };
  ASSIGN_OR_RETURN(UniqueFd dir, OpenAt(AT_FDCWD, tree, O_RDONLY | O_DIRECTORY));
  RETURN_IF_ERROR(Annotate(UnpackArchive(dir.get(), source, cancel), "load archive"));
  const Archive archive(dir.get());
  absl::StatusOr<std::vector<Loaded>> images = absl::InvalidArgumentError(
      "it has neither index.json nor manifest.json, so it is no archive of images; a root file "
      "system is taken by ImportImage");
  if (archive.Has("index.json")) {
    images = ReadOciLayout(archive);
  } else if (archive.Has("manifest.json")) {
    images = ReadDockerArchive(archive);
  }
  if (!images.ok()) return Annotate(images.status(), "load archive");

  Taking taking(archive, *store_, contents_, cancel);
  std::vector<store::Entry> entries;
  std::vector<oci::Digest> loaded;
  for (Loaded& image : *images) {
    store::Entry entry;
    const std::vector<std::string> names = std::move(image.names);
    ASSIGN_OR_RETURN(entry.manifest, taking.Take(std::move(image)));
    ASSIGN_OR_RETURN(std::shared_ptr<const store::ImageDetails> details,
                     store_->Details(entry.manifest.digest));
    RETURN_IF_ERROR(UnpackAll(*details, cancel));
    entry.image_id = details->image_id();
    if (std::find(loaded.begin(), loaded.end(), entry.image_id) == loaded.end()) {
      loaded.push_back(entry.image_id);
    }
    for (const std::string& name : names) {
      // Some tools write the tag alone, which names nothing.
      absl::StatusOr<std::string> reference = ParseNewName(name, "name");
      if (!reference.ok()) continue;
      entry.reference = *std::move(reference);
      entries.push_back(entry);
    }
    if (!entry.reference.empty()) continue;
    entry.pinned = true;
    entries.push_back(std::move(entry));
  }
  // All or none.
  RETURN_IF_ERROR(store_->table().SetAll(entries));
  node::v1::LoadImagesResponse response;
  for (const oci::Digest& id : loaded) {
    ASSIGN_OR_RETURN(*response.add_images(), Describe(id));
  }
  return response;
}

}  // namespace noded::image
