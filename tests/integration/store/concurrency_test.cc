// Pulls, removals, containers that come and go, and collections, all at once.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <random>
#include <thread>

#include "absl/synchronization/mutex.h"
#include "tests/unit/store/sample.h"

namespace noded::store {
namespace {

using ::testing::IsEmpty;

class Bustle {
 public:
  Bustle() {
    store_ =
        *Store::Open(directory_.path(), [](const std::string& line) { ADD_FAILURE() << line; });
    for (int i = 0; i < 8; ++i) {
      samples_.push_back(MakeSample({"base", absl::StrCat("middle ", i % 3), absl::StrCat(i)}));
    }
  }

  void Run(absl::Duration time) {
    std::vector<std::thread> threads;
    for (unsigned i = 0; i < 2; ++i) {
      threads.emplace_back([this, i] { PullAndErase(i); });
      threads.emplace_back([this, i] { StartAndStop(100 + i); });
    }
    threads.emplace_back([this] { Collect(); });
    absl::SleepFor(time);
    stop_ = true;
    for (std::thread& thread : threads) thread.join();
  }

  Store& store() { return *store_; }
  int started() const { return started_; }
  int collected() const { return collected_; }

  Roots ContainerRoots() {
    absl::MutexLock lock(&lock_);
    Roots roots;
    for (const Sample* sample : containers_) {
      roots.chain_ids.insert(roots.chain_ids.end(), sample->chain_ids.begin(),
                             sample->chain_ids.end());
    }
    return roots;
  }

  void ExpectAllThatIsNeeded() {
    const absl::StatusOr<Verified> verified = store_->Verify();
    ASSERT_TRUE(verified.ok()) << verified.status();
    for (const Damage& damage : verified->damages) {
      ADD_FAILURE() << damage.digest.text() << " " << damage.problem;
    }
    for (const oci::Digest& chain_id : ContainerRoots().chain_ids) {
      EXPECT_TRUE(store_->layers().Find(chain_id)) << "of a container";
    }
  }

 private:
  const Sample& Any(std::mt19937& random) { return samples_[random() % samples_.size()]; }
  std::string NameOf(const Sample& sample) {
    return absl::StrCat("host/image:", &sample - samples_.data());
  }

  void PullAndErase(unsigned seed) {
    std::mt19937 random(seed);
    while (!stop_) {
      const Sample& sample = Any(random);
      if (random() % 2 == 0) {
        EXPECT_TRUE(store_->table().Erase(NameOf(sample)).ok());
        continue;
      }
      const absl::Status pulled = Pull(*store_, sample, NameOf(sample));
      EXPECT_TRUE(pulled.ok()) << pulled;
    }
  }

  // Hold, look, record, end the lease: as the start of a container does it.
  void StartAndStop(unsigned seed) {
    std::mt19937 random(seed);
    while (!stop_) {
      const Sample& sample = Any(random);
      Lease lease = store_->NewLease();
      lease.Hold(sample.manifest.digest);
      for (const oci::Digest& chain_id : sample.chain_ids) lease.HoldLayer(chain_id);
      const bool here =
          std::all_of(sample.chain_ids.begin(), sample.chain_ids.end(),
                      [&](const oci::Digest& chain_id) { return store_->layers().Find(chain_id); });
      if (!here) continue;
      {
        absl::MutexLock lock(&lock_);
        containers_.insert(&sample);
      }
      lease = Lease();
      ++started_;
      absl::SleepFor(absl::Microseconds(random() % 3000));
      for (const oci::Digest& chain_id : sample.chain_ids) {
        const std::optional<Layer> layer = store_->layers().Find(chain_id);
        ASSERT_TRUE(layer) << "taken from a container";
        EXPECT_TRUE(ReadFileAt(AT_FDCWD, layer->path + "/etc/file").ok());
      }
      absl::MutexLock lock(&lock_);
      containers_.erase(containers_.find(&sample));
    }
  }

  void Collect() {
    while (!stop_) {
      const auto collected =
          store_->Collect([this] { return ContainerRoots(); }, {.unnamed = true});
      EXPECT_TRUE(collected.ok()) << collected.status();
      if (collected.ok()) collected_ += static_cast<int>(collected->contents.size());
    }
  }

  TemporaryDirectory directory_{"/dev/shm"};
  std::unique_ptr<Store> store_;
  std::vector<Sample> samples_;
  absl::Mutex lock_;
  std::multiset<const Sample*> containers_;
  std::atomic<bool> stop_ = false;
  std::atomic<int> started_ = 0, collected_ = 0;
};

TEST(ConcurrencyTest, WhatIsNeededIsNeverTaken) {
  Bustle bustle;
  bustle.Run(absl::Seconds(4));
  EXPECT_GT(bustle.started(), 0);
  EXPECT_GT(bustle.collected(), 0);
  bustle.ExpectAllThatIsNeeded();
  // And nothing else stays.
  ASSERT_TRUE(bustle.store().table().EraseIf([](const Entry&) { return true; }).ok());
  ASSERT_TRUE(bustle.store().Collect(NoRoots).ok());
  EXPECT_THAT(*bustle.store().contents().List(), IsEmpty());
  EXPECT_THAT(bustle.store().layers().List(), IsEmpty());
}

// Two that bring the same content: one does, the other finds it.
TEST(ConcurrencyTest, SameContentComesOnce) {
  TemporaryDirectory directory("/dev/shm");
  auto store = *Store::Open(directory.path(), [](const std::string&) {});
  const std::string bytes(100'000, 'x');
  const oci::Descriptor layer = DescriptorOf(bytes, oci::kOciLayer);
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] { EXPECT_TRUE(Fetch(*store, layer, bytes).ok()); });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(*store->contents().Read(layer.digest, 1 << 20), bytes);
  EXPECT_THAT(*ListDirAt(AT_FDCWD, directory.path() + "/ingest"), IsEmpty());
}

}  // namespace
}  // namespace noded::store
