// libs: cli
// The parsers of nodectl's flag values: any text is either refused or read as a value that keeps
// what the header promises.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "clients/cli/detach_keys.h"
#include "clients/cli/mount_flags.h"
#include "clients/cli/quantity.h"

namespace {

// Ends the run, as any broken promise should.
void Require(bool promise) {
  if (!promise) abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace noded::cli;
  absl::string_view text(reinterpret_cast<const char*>(data), size);
  if (auto bytes = ParseSize(text); bytes.ok()) Require(*bytes >= 0);
  if (auto duration = ParseDuration(text); duration.ok()) {
    Require(*duration >= absl::ZeroDuration() && *duration < absl::InfiniteDuration());
  }
  if (auto time = ParseTime(text, absl::UnixEpoch()); time.ok()) {
    // What a protobuf Timestamp can say.
    Require(*time >= absl::FromUnixSeconds(-62135596800) &&
            *time < absl::FromUnixSeconds(253402300800));
  }
  if (auto quota = ParseCpus(text); quota.ok()) Require(*quota >= 1000);
  if (auto mount = ParseVolume(text, "/home"); mount.ok()) {
    Require(!mount->target().empty());
    Require(mount->has_volume() || mount->bind().source().front() == '/');
  }
  if (auto mount = ParseMount(text, "/home"); mount.ok()) Require(!mount->target().empty());
  if (auto mount = ParseTmpfs(text); mount.ok()) Require(mount->tmpfs().mode() <= 07777);
  if (auto device = ParseDevice(text); device.ok()) Require(device->host_path().front() == '/');
  if (auto keys = ParseDetachKeys(text.substr(0, text.size() / 2)); keys.ok() && !keys->empty()) {
    // Nothing that was typed is invented, and nothing is lost but the keys themselves.
    std::string typed(text.substr(text.size() / 2));
    size_t before = typed.size();
    DetachFilter(*keys).Feed(typed);
    Require(typed.size() <= before);
  }
  return 0;
}
