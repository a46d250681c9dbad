// What remains when the process dies at any call by which it changes files, and in which order it
// makes things durable.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <random>
#include <thread>

#include "tests/integration/store/trace.h"
#include "tests/unit/store/sample.h"

namespace noded::store {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::unique_ptr<Store> OpenStore(const std::string& path) {
  auto store = Store::Open(path, [](const std::string& line) { ADD_FAILURE() << line; });
  EXPECT_TRUE(store.ok()) << store.status();
  return store.ok() ? *std::move(store) : nullptr;
}

bool HasAll(Store& store, const Sample& sample) {
  for (const auto& [digest, bytes] : sample.bytes) {
    if (!store.contents().Has(digest)) return false;
  }
  return std::all_of(sample.chain_ids.begin(), sample.chain_ids.end(),
                     [&](const oci::Digest& chain) { return store.layers().Find(chain); });
}

// Whatever came before: all that is there is whole, and nothing is left over.
void ExpectClean(Store& store, const std::string& path) {
  const absl::StatusOr<Verified> verified = store.Verify();
  ASSERT_TRUE(verified.ok()) << verified.status();
  for (const Damage& damage : verified->damages) {
    ADD_FAILURE() << damage.digest.text() << " " << damage.problem;
  }
  store.trash().Drain();
  EXPECT_THAT(*ListDirAt(AT_FDCWD, path + "/trash"), IsEmpty());
  for (const char* directory : {"/ingest", "/layers"}) {
    const std::vector<std::string> names = *ListDirAt(AT_FDCWD, path + directory);
    for (const std::string& name : names) {
      EXPECT_EQ(name.size(), 64u) << directory << " holds " << name;
    }
  }
}

// A life of a store: two images that share a layer come, one goes.
class Life {
 public:
  explicit Life(std::string path) : path_(std::move(path)) {}

  int Live() const {
    auto opened = Store::Open(path_, [](const std::string&) {});
    if (!opened.ok()) return 2;
    Store& store = **opened;
    if (!Pull(store, one_, "one").ok() || !Pull(store, two_, "two").ok()) return 3;
    if (!store.table().Erase("one").ok() || !store.Collect(NoRoots).ok()) return 4;
    store.trash().Drain();
    return 0;
  }

  void ExpectWhole(Store& store) const {
    for (const Entry& entry : store.table().List()) {
      EXPECT_TRUE(HasAll(store, entry.reference == "one" ? one_ : two_)) << entry.reference;
    }
  }
  void ExpectLived(Store& store) const {
    EXPECT_THAT(store.table().List(), ElementsAre(two_.EntryAs("two")));
    EXPECT_EQ(store.contents().List()->size(), two_.bytes.size());
    EXPECT_EQ(store.layers().List().size(), two_.chain_ids.size());
  }

 private:
  const std::string path_;
  const Sample one_ = MakeSample({"base", "one"});
  const Sample two_ = MakeSample({"base", "two"});
};

TEST(CrashTest, KilledAtEveryCallThatChangesFiles) {
  size_t kill_at = 1;
  for (;; ++kill_at) {
    TemporaryDirectory directory("/dev/shm");
    const Life life(directory.path());
    const Traced traced = Trace([&] { return life.Live(); }, kill_at);
    SCOPED_TRACE(absl::StrCat("killed at call ", kill_at, " after ",
                              traced.calls.empty() ? "" : traced.calls.back()));
    {
      const std::unique_ptr<Store> store = OpenStore(directory.path());
      ASSERT_NE(store, nullptr);
      life.ExpectWhole(*store);
      ExpectClean(*store, directory.path());
    }
    ASSERT_EQ(life.Live(), 0);
    const std::unique_ptr<Store> store = OpenStore(directory.path());
    life.ExpectLived(*store);
    ExpectClean(*store, directory.path());
    if (HasFailure()) return;
    if (traced.ended) {
      ASSERT_EQ(traced.status, 0);
      break;
    }
  }
  EXPECT_GT(kill_at, 80u) << "the child was hardly traced";
}

// Three threads at work in the child, killed at any time.
TEST(CrashTest, KilledAtRandomUnderLoad) {
  std::vector<Sample> samples;
  for (int i = 0; i < 6; ++i) {
    samples.push_back(MakeSample({"base", absl::StrCat("middle ", i % 2), absl::StrCat(i)}));
  }
  TemporaryDirectory directory("/dev/shm");
  const unsigned seed = std::random_device()();
  std::mt19937 random(seed);
  for (int round = 0; round < 100; ++round) {
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      auto store = Store::Open(directory.path(), [](const std::string&) {});
      if (!store.ok()) _exit(1);
      auto work = [&](size_t from) {
        for (size_t i = from;; ++i) {
          const Sample& sample = samples[i % samples.size()];
          const std::string reference = absl::StrCat("image ", i % samples.size());
          if (!Pull(**store, sample, reference).ok()) _exit(2);
          if (i % 3 == 0 && !(*store)->table().Erase(reference).ok()) _exit(3);
        }
      };
      std::thread first(work, 0), second(work, 3);
      while ((*store)->Collect(NoRoots).ok()) {
      }
      _exit(4);
    }
    usleep(random() % 20'000);
    kill(child, SIGKILL);
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status)) << "it ended by itself: " << WEXITSTATUS(status);
    const std::unique_ptr<Store> store = OpenStore(directory.path());
    ASSERT_NE(store, nullptr);
    for (const Entry& entry : store->table().List()) {
      for (const Sample& sample : samples) {
        EXPECT_TRUE(sample.manifest.digest != entry.manifest.digest || HasAll(*store, sample));
      }
    }
    ExpectClean(*store, directory.path());
    ASSERT_FALSE(HasFailure()) << "round " << round << ", seed " << seed;
  }
}

// The calls that matter for power loss, from the child's own mark on.
std::vector<std::string> Durability(const std::function<bool(Store&)>& act) {
  TemporaryDirectory directory;
  const Traced traced = Trace(
      [&] {
        auto store = Store::Open(directory.path(), [](const std::string&) {});
        if (!store.ok()) return 1;
        (*store)->trash().Drain();
        unlink("/nowhere/mark");
        return act(**store) ? 0 : 2;
      },
      0);
  EXPECT_TRUE(traced.ended);
  EXPECT_EQ(traced.status, 0);
  std::vector<std::string> calls;
  bool marked = false;
  for (const std::string& call : traced.calls) {
    if (call == "unlink") marked = true;
    if (!marked) continue;
    if (call.starts_with("rename")) calls.push_back("rename");
    if (call.ends_with("sync") || call == "syncfs") calls.push_back(call);
  }
  return calls;
}

const Sample kSample = MakeSample({"base"});

TEST(DurabilityTest, ContentIsOnDiskBeforeItHasItsName) {
  EXPECT_THAT(Durability([](Store& store) {
                const oci::Descriptor& layer = kSample.layers[0];
                return Fetch(store, layer, kSample.bytes.at(layer.digest)).ok();
              }),
              ElementsAre("fdatasync", "rename", "fsync"));
}

TEST(DurabilityTest, LayerAndItsRecordAreOnDiskBeforeItHasItsName) {
  EXPECT_THAT(Durability([](Store& store) {
                return store.layers().Begin(kSample.chain_ids[0])->Commit(kSample.diff_ids[0]).ok();
              }),
              ElementsAre("rename", "syncfs", "rename", "fsync"));
}

TEST(DurabilityTest, TableIsOnDiskBeforeItReplacesTheOldOne) {
  EXPECT_THAT(Durability([](Store& store) { return store.table().Set(kSample.EntryAs("a")).ok(); }),
              ElementsAre("fsync", "rename", "fsync"));
}

}  // namespace
}  // namespace noded::store
