// Store::Verify. It runs beside pulls and removals, so what looks damaged is looked at once more at
// the end: it may have been removed on purpose meanwhile.
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "node/base/file.h"
#include "node/base/status.h"
#include "rootfs/store/mark.h"
#include "rootfs/store/store.h"

namespace noded::store {
namespace {

using Item = Leases::Item;

// Names of the images that need a thing.
using Needs = std::map<Item, std::vector<std::string>>;

Needs NeedsOf(const std::vector<Entry>& entries, const ContentStore& contents,
              DetailsCache& details) {
  Needs needs;
  for (const Entry& entry : entries) {
    Mark mark(&contents, &details);
    // What cannot be read is found when it is looked at.
    mark.Manifest(entry.manifest.digest).IgnoreError();
    const std::string& name = entry.reference.empty() ? entry.image_id.text() : entry.reference;
    for (const Item& item : mark.needed()) needs[item].push_back(name);
  }
  return needs;
}

// No problem: it is as it should be.
struct Finding {
  std::string problem;
  bool missing = false;
  int64_t bytes = 0;
};

absl::StatusOr<Finding> LookAtContent(const ContentStore& contents, const oci::Digest& digest,
                                      const std::function<bool()>& cancelled) {
  absl::StatusOr<UniqueFd> file = contents.Open(digest);
  if (absl::IsNotFound(file.status())) return Finding{"is missing", true};
  if (!file.ok()) return Finding{std::string(file.status().message())};
  Finding finding;
  oci::Sha256 sum;
  std::vector<char> buffer(1 << 20);
  while (true) {
    if (cancelled && cancelled()) return absl::CancelledError("verify: cancelled");
    const ssize_t got = read(file->get(), buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) {
      finding.problem = absl::StrCat("cannot be read: ", ErrnoText(errno));
      return finding;
    }
    if (got == 0) break;
    finding.bytes += got;
    sum.Update({buffer.data(), static_cast<size_t>(got)});
  }
  if (sum.Result() != digest) {
    finding.problem =
        absl::StrCat("its ", finding.bytes, " bytes have digest ", sum.Result().text());
  }
  return finding;
}

Finding LookAtLayer(const LayerStore& layers, const oci::Digest& chain_id) {
  const std::optional<Layer> layer = layers.Find(chain_id);
  if (!layer) return {"is not unpacked", true};
  absl::StatusOr<UniqueFd> fs = OpenAt(AT_FDCWD, layer->path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  if (!fs.ok()) return {std::string(fs.status().message())};
  const std::string record = layer->path.substr(0, layer->path.rfind('/')) + "/layer.json";
  if (access(record.c_str(), R_OK) != 0) {
    return {absl::StrCat("read \"", record, "\": ", ErrnoText(errno))};
  }
  absl::StatusOr<TreeSize> size = MeasureTree(fs->get());
  if (!size.ok()) return {std::string(size.status().message())};
  if (*size == layer->size) return {};
  return {absl::StrCat("has ", size->entries, " entries and ", size->bytes, " bytes of files, not ",
                       layer->size.entries, " and ", layer->size.bytes)};
}

absl::Status AddAll(const ContentStore& contents, const LayerStore& layers, std::set<Item>& items) {
  ASSIGN_OR_RETURN(const std::vector<oci::Digest> digests, contents.List());
  for (const oci::Digest& digest : digests) items.insert({Leases::Kind::kContent, digest});
  for (const Layer& layer : layers.List()) items.insert({Leases::Kind::kLayer, layer.chain_id});
  return absl::OkStatus();
}

Item ItemOf(const Damage& damage) {
  return {damage.kind == Damage::Kind::kContent ? Leases::Kind::kContent : Leases::Kind::kLayer,
          damage.digest};
}

}  // namespace

absl::StatusOr<Verified> Store::Verify(const VerifyOptions& options) {
  auto needs_now = [&] {
    std::vector<Entry> entries = table_->List();
    if (options.manifest) {
      std::erase_if(entries,
                    [&](const Entry& e) { return e.manifest.digest != *options.manifest; });
    }
    return NeedsOf(entries, *contents_, *details_);
  };
  auto look_at = [&](const Item& item) -> absl::StatusOr<Finding> {
    if (item.kind == Leases::Kind::kLayer) return LookAtLayer(*layers_, item.digest);
    return LookAtContent(*contents_, item.digest, options.cancelled);
  };
  std::set<Item> items;
  for (const auto& [item, names] : needs_now()) items.insert(item);
  if (options.manifest && items.empty()) {
    return absl::NotFoundError(
        absl::StrCat("verify: no image has manifest ", options.manifest->text()));
  }
  if (!options.manifest) RETURN_IF_ERROR(AddAll(*contents_, *layers_, items));

  Verified verified;
  std::vector<Item> suspects;
  for (const Item& item : items) {
    ASSIGN_OR_RETURN(const Finding finding, look_at(item));
    if (!finding.problem.empty()) suspects.push_back(item);
    verified.bytes += finding.bytes;
    ++(item.kind == Leases::Kind::kContent ? verified.contents : verified.layers);
  }
  if (suspects.empty()) return verified;
  // Again, because it may have been removed, or removed and brought anew, while it was looked at.
  Needs needs = needs_now();
  for (const Item& item : suspects) {
    ASSIGN_OR_RETURN(Finding finding, look_at(item));
    const bool needed = needs.contains(item);
    if (finding.problem.empty() || (finding.missing && !needed)) continue;
    const auto kind =
        item.kind == Leases::Kind::kContent ? Damage::Kind::kContent : Damage::Kind::kLayer;
    verified.damages.push_back({kind, item.digest, std::move(finding.problem),
                                needed ? std::move(needs[item]) : std::vector<std::string>()});
  }
  if (options.repair) Repair(options, verified.damages);
  return verified;
}

void Store::Repair(const VerifyOptions& options, std::vector<Damage>& damages) {
  absl::MutexLock lock(&collecting_);
  leases_.BeginCollection();
  const absl::Cleanup end = [this] { leases_.EndCollection(); };
  Mark held(contents_.get(), details_.get());
  for (const oci::Digest& chain_id : options.chain_ids_in_use) held.Layer(chain_id);
  for (Damage& damage : damages) {
    damage.repaired = RemoveUnlessNeeded(ItemOf(damage), /*dry_run=*/false, held).value_or(false);
  }
}

}  // namespace noded::store
