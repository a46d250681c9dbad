// Store::Collect. The order is what makes it safe beside everything else:
//
//   1. leases begin to stick       what is held now or later counts to the end
//   2. candidates are listed       what appears after this is never removed
//   3. roots and table are read    a lease that ended before 1 left its entry here
//   4. each unmarked candidate is removed under the leases' lock, unless it is held; holds that
//      came since are marked first, with all that they name
#include <algorithm>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "node/base/status.h"
#include "rootfs/store/mark.h"
#include "rootfs/store/store.h"

namespace noded::store {
namespace {

struct Candidate {
  Leases::Item item;
  int64_t bytes;
};

absl::StatusOr<std::vector<Candidate>> ListCandidates(const ContentStore& contents,
                                                      const LayerStore& layers) {
  std::vector<Candidate> candidates;
  for (const Layer& layer : layers.List()) {
    candidates.push_back({{Leases::Kind::kLayer, layer.chain_id}, layer.size.bytes});
  }
  ASSIGN_OR_RETURN(const std::vector<oci::Digest> digests, contents.List());
  for (const oci::Digest& digest : digests) {
    candidates.push_back({{Leases::Kind::kContent, digest}, contents.Size(digest).value_or(0)});
  }
  return candidates;
}

bool IsDispensable(const Entry& entry, const CollectOptions& options) {
  if (options.dry_run && options.without.contains(entry.reference)) return true;
  return options.unnamed && entry.reference.empty() && !entry.pinned;
}

// Marks what the table keeps, and returns its entries that nothing else needs.
absl::StatusOr<std::vector<Entry>> MarkEntries(const std::vector<Entry>& entries,
                                               const CollectOptions& options, Mark& mark) {
  std::vector<Entry> dispensable, dropped;
  for (const Entry& entry : entries) {
    if (IsDispensable(entry, options)) {
      dispensable.push_back(entry);
      continue;
    }
    const absl::Status marked = mark.Manifest(entry.manifest.digest);
    if (marked.ok()) continue;
    const std::string& name =
        entry.reference.empty() ? entry.manifest.digest.text() : entry.reference;
    return WithReason(absl::DataLossError(absl::StrCat(
                          "collect: what image ", name, " needs is not known, pull it again or ",
                          "remove it: ", std::string(marked.message()))),
                      reason::kContentDamaged);
  }
  for (Entry& entry : dispensable) {
    if (!mark.Has({Leases::Kind::kContent, entry.manifest.digest})) {
      dropped.push_back(std::move(entry));
    }
  }
  return dropped;
}

}  // namespace

absl::StatusOr<Collected> Store::Collect(const std::function<Roots()>& roots,
                                         const CollectOptions& options) {
  absl::MutexLock lock(&collecting_);
  leases_.BeginCollection();
  const absl::Cleanup end = [this] { leases_.EndCollection(); };
  ASSIGN_OR_RETURN(const std::vector<Candidate> candidates, ListCandidates(*contents_, *layers_));
  Mark mark(contents_.get(), details_.get());
  const Roots needed = roots();
  for (const oci::Digest& chain_id : needed.chain_ids) mark.Layer(chain_id);
  // A container lives by its layers; of its image what can be read is kept.
  for (const oci::Digest& manifest : needed.manifests) mark.Manifest(manifest).IgnoreError();
  mark.Held(leases_.TakeNew());
  Collected collected;
  ASSIGN_OR_RETURN(collected.images, MarkEntries(table_->List(), options, mark));
  if (!options.dry_run && !collected.images.empty()) {
    ASSIGN_OR_RETURN(collected.images, table_->EraseIf([&](const Entry& entry) {
      return std::find(collected.images.begin(), collected.images.end(), entry) !=
             collected.images.end();
    }));
  }
  absl::Status first;
  for (const Candidate& candidate : candidates) {
    const absl::StatusOr<bool> removed = RemoveUnlessNeeded(candidate.item, options.dry_run, mark);
    first.Update(removed.status());
    if (!removed.value_or(false)) continue;
    const bool content = candidate.item.kind == Leases::Kind::kContent;
    (content ? collected.contents : collected.chain_ids).push_back(candidate.item.digest);
    collected.bytes += candidate.bytes;
  }
  RETURN_IF_ERROR(Annotate(first, "collect"));
  return collected;
}

absl::StatusOr<bool> Store::RemoveUnlessNeeded(const Leases::Item& item, bool dry_run, Mark& mark) {
  absl::Status status;
  auto remove = [&] {
    if (dry_run) return;
    status = item.kind == Leases::Kind::kContent ? contents_->Remove(item.digest)
                                                 : layers_->Remove(item.digest);
  };
  while (!mark.Has(item)) {
    const Leases::Removal removal = leases_.RemoveUnlessHeld(item, remove);
    if (removal == Leases::Removal::kHeld) return false;
    if (removal == Leases::Removal::kDone) {
      RETURN_IF_ERROR(status);
      return true;
    }
    mark.Held(leases_.TakeNew());
  }
  return false;
}

}  // namespace noded::store
