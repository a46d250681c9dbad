#include "rootfs/store/lease.h"

#include <utility>

namespace noded::store {

Lease::Lease(Lease&& other) noexcept { *this = std::move(other); }

Lease& Lease::operator=(Lease&& other) noexcept {
  if (this == &other) return *this;
  End();
  leases_ = std::exchange(other.leases_, nullptr);
  contents_ = std::move(other.contents_);
  layers_ = std::move(other.layers_);
  return *this;
}

Lease::~Lease() { End(); }

void Lease::End() {
  if (leases_ != nullptr) leases_->Drop(this);
  leases_ = nullptr;
}

void Lease::Hold(const oci::Digest& digest) {
  leases_->Add(Leases::Kind::kContent, digest, &contents_);
}

void Lease::HoldLayer(const oci::Digest& chain) {
  leases_->Add(Leases::Kind::kLayer, chain, &layers_);
}

void Leases::Add(Kind kind, const oci::Digest& digest, std::vector<oci::Digest>* list) {
  const Item item{kind, digest};
  absl::MutexLock lock(&lock_);
  list->push_back(digest);
  ++held_[item];
  if (collecting_ && touched_.insert(item).second) new_.push_back(item);
}

void Leases::Drop(Lease* lease) {
  absl::MutexLock lock(&lock_);
  auto drop = [this](Kind kind, std::vector<oci::Digest>& list)
                  ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_) {
                    for (const oci::Digest& digest : list) {
                      const auto held = held_.find({kind, digest});
                      if (--held->second == 0) held_.erase(held);
                    }
                    list.clear();
                  };
  drop(Kind::kContent, lease->contents_);
  drop(Kind::kLayer, lease->layers_);
}

void Leases::BeginCollection() {
  absl::MutexLock lock(&lock_);
  collecting_ = true;
  for (const auto& [item, count] : held_) {
    touched_.insert(item);
    new_.push_back(item);
  }
}

void Leases::EndCollection() {
  absl::MutexLock lock(&lock_);
  collecting_ = false;
  touched_.clear();
  new_.clear();
}

std::vector<Leases::Item> Leases::TakeNew() {
  absl::MutexLock lock(&lock_);
  return std::exchange(new_, {});
}

Leases::Removal Leases::RemoveUnlessHeld(const Item& item, const std::function<void()>& remove) {
  absl::MutexLock lock(&lock_);
  if (!new_.empty()) return Removal::kNewHolds;
  if (touched_.contains(item)) return Removal::kHeld;
  remove();
  return Removal::kDone;
}

}  // namespace noded::store
