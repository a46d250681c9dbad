#include "rootfs/store/image_table.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <set>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "node/base/file.h"
#include "node/base/status.h"
#include "node/base/string_view.h"

namespace noded::store {
namespace {

constexpr char kIndexFile[] = "/index.json";

// Of the image-spec's annotations.md, and containerd's, which `ctr` and nerdctl read.
constexpr char kRefName[] = "org.opencontainers.image.ref.name";
constexpr char kContainerdName[] = "io.containerd.image.name";
constexpr char kImageId[] = "io.noded.image.id";
constexpr char kRepositoryDigest[] = "io.noded.repository-digest";
constexpr char kPinned[] = "io.noded.pinned";

std::string Take(std::map<std::string, std::string>& annotations, const char* key) {
  const auto node = annotations.extract(key);
  return node.empty() ? "" : std::move(node.mapped());
}

// Those without a reference last.
bool Before(const Entry& a, const Entry& b) {
  auto key = [](const Entry& entry) {
    return std::tie(entry.reference, entry.manifest.digest, entry.manifest.media_type);
  };
  if (a.reference.empty() != b.reference.empty()) return b.reference.empty();
  return key(a) < key(b);
}

bool IsSameImage(const Entry& a, const Entry& b) { return a.manifest.digest == b.manifest.digest; }

// Adds `entry` and keeps the rules of ImageTable::Set.
void Merge(const Entry& entry, std::vector<Entry>& entries) {
  std::optional<Entry> moved;
  if (!entry.reference.empty()) {
    for (const Entry& old : entries) {
      if (old.reference == entry.reference && !IsSameImage(old, entry)) moved = old;
    }
  }
  std::erase_if(entries, [&](const Entry& old) {
    return old.reference == entry.reference &&
           (!entry.reference.empty() || IsSameImage(old, entry));
  });
  if (entry.reference.empty()) {
    entries.push_back(entry);
    return;
  }
  std::erase_if(entries,
                [&](const Entry& old) { return old.reference.empty() && IsSameImage(old, entry); });
  entries.push_back(entry);
  const bool lost = moved && std::none_of(entries.begin(), entries.end(), [&](const Entry& other) {
                      return IsSameImage(other, *moved);
                    });
  if (lost) {
    moved->reference.clear();
    entries.push_back(*std::move(moved));
  }
}

}  // namespace

absl::StatusOr<std::vector<Entry>> ParseEntries(std::string_view json) {
  ASSIGN_OR_RETURN(oci::Index index, oci::ParseLayoutIndex(json));
  std::vector<Entry> entries;
  std::set<std::string> references;
  for (oci::Descriptor& manifest : index.manifests) {
    Entry entry;
    entry.reference = Take(manifest.annotations, kRefName);
    Take(manifest.annotations, kContainerdName);
    entry.repository_digest = Take(manifest.annotations, kRepositoryDigest);
    entry.pinned = Take(manifest.annotations, kPinned) == "true";
    // Absent: another tool made the entry.
    if (const std::string id = Take(manifest.annotations, kImageId); !id.empty()) {
      ASSIGN_OR_RETURN(entry.image_id, oci::Digest::Parse(id));
    }
    entry.manifest = std::move(manifest);
    const bool again = !entry.reference.empty() && !references.insert(entry.reference).second;
    if (!again) entries.push_back(std::move(entry));
  }
  std::sort(entries.begin(), entries.end(), Before);
  return entries;
}

std::string EntriesToJson(const std::vector<Entry>& entries) {
  oci::Index index{std::string(oci::kOciIndex)};
  for (const Entry& entry : entries) {
    oci::Descriptor manifest = entry.manifest;
    if (!entry.reference.empty()) {
      manifest.annotations[kRefName] = entry.reference;
      manifest.annotations[kContainerdName] = entry.reference;
    }
    if (!entry.image_id.empty()) manifest.annotations[kImageId] = entry.image_id.text();
    if (!entry.repository_digest.empty()) {
      manifest.annotations[kRepositoryDigest] = entry.repository_digest;
    }
    if (entry.pinned) manifest.annotations[kPinned] = "true";
    index.manifests.push_back(std::move(manifest));
  }
  return oci::ToJson(index);
}

absl::StatusOr<std::unique_ptr<ImageTable>> ImageTable::Open(const std::string& root) {
  ASSIGN_OR_RETURN(const std::string json,
                   ReadFileAt(AT_FDCWD, root + kIndexFile, oci::kMaxLayoutIndexBytes + 1));
  absl::StatusOr<std::vector<Entry>> entries = ParseEntries(json);
  if (!entries.ok()) {
    return absl::DataLossError(
        absl::StrCat("read \"", root, kIndexFile, "\": ", entries.status().message()));
  }
  return std::unique_ptr<ImageTable>(new ImageTable(root, *std::move(entries)));
}

absl::StatusOr<std::unique_ptr<ImageTable>> ImageTable::Create(const std::string& root,
                                                               std::vector<Entry> entries) {
  const std::string path = root + kIndexFile;
  if (rename(path.c_str(), (path + ".damaged").c_str()) != 0 && errno != ENOENT) {
    return ErrnoStatus(errno, absl::StrCat("set \"", path, "\" aside"));
  }
  std::unique_ptr<ImageTable> table(new ImageTable(root, {}));
  absl::MutexLock lock(&table->writer_);
  RETURN_IF_ERROR(table->Write(std::move(entries)));
  return table;
}

ImageTable::ImageTable(std::string root, std::vector<Entry> entries)
    : root_(std::move(root)),
      entries_(std::make_shared<const std::vector<Entry>>(std::move(entries))) {}

std::shared_ptr<const std::vector<Entry>> ImageTable::Snapshot() const {
  absl::MutexLock lock(&lock_);
  return entries_;
}

absl::Status ImageTable::Write(std::vector<Entry> entries) {
  if (entries.size() > kMaxEntries) {
    return WithReason(absl::ResourceExhaustedError(absl::StrCat(
                          "\"", root_, kIndexFile, "\" holds at most ", kMaxEntries, " images")),
                      reason::kLimitReached);
  }
  std::sort(entries.begin(), entries.end(), Before);
  // On disk first: what a reader has seen must still be so after a power cut.
  RETURN_IF_ERROR(ReplaceFileAt(AT_FDCWD, root_ + kIndexFile, EntriesToJson(entries), 0644,
                                /*sync=*/true));
  auto snapshot = std::make_shared<const std::vector<Entry>>(std::move(entries));
  absl::MutexLock lock(&lock_);
  entries_.swap(snapshot);
  return absl::OkStatus();
}

std::optional<Entry> ImageTable::Find(std::string_view reference) const {
  if (reference.empty()) return std::nullopt;
  const auto entries = Snapshot();
  for (const Entry& entry : *entries) {
    if (entry.reference == reference) return entry;
  }
  return std::nullopt;
}

std::vector<Entry> ImageTable::List() const { return *Snapshot(); }

std::vector<Entry> ImageTable::EntriesOf(const oci::Digest& image_id) const {
  const auto entries = Snapshot();
  std::vector<Entry> found;
  std::copy_if(entries->begin(), entries->end(), std::back_inserter(found),
               [&](const Entry& entry) { return entry.image_id == image_id; });
  return found;
}

absl::Status ImageTable::Set(const Entry& entry) { return SetAll({entry}); }

absl::Status ImageTable::SetAll(const std::vector<Entry>& entries) {
  absl::MutexLock lock(&writer_);
  std::vector<Entry> all = List();
  for (const Entry& entry : entries) Merge(entry, all);
  std::sort(all.begin(), all.end(), Before);
  // Nothing new, so no write: a pull of what is here is frequent.
  if (all == *Snapshot()) return absl::OkStatus();
  return Write(std::move(all));
}

absl::StatusOr<std::optional<Entry>> ImageTable::Erase(std::string_view reference) {
  if (reference.empty()) return std::optional<Entry>();
  ASSIGN_OR_RETURN(std::vector<Entry> erased,
                   EraseIf([&](const Entry& entry) { return entry.reference == reference; }));
  if (erased.empty()) return std::optional<Entry>();
  return std::optional<Entry>(std::move(erased.front()));
}

absl::StatusOr<std::vector<Entry>> ImageTable::EraseIf(
    const std::function<bool(const Entry&)>& wanted) {
  absl::MutexLock lock(&writer_);
  std::vector<Entry> kept, erased;
  for (Entry& entry : List()) (wanted(entry) ? erased : kept).push_back(std::move(entry));
  if (!erased.empty()) RETURN_IF_ERROR(Write(std::move(kept)));
  return erased;
}

}  // namespace noded::store
