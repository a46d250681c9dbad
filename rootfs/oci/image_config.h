// An image's configuration (OCI image-spec, config.md; Docker's fields besides). Foreign bytes are
// expected to be hostile. Pure; values.
#ifndef ROOTFS_OCI_IMAGE_CONFIG_H_
#define ROOTFS_OCI_IMAGE_CONFIG_H_

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "rootfs/oci/digest.h"
#include "rootfs/oci/document.h"

namespace noded::oci {

struct Healthcheck {
  std::vector<std::string> test;
  absl::Duration interval, timeout, start_period;  // zero: not given
  int retries = 0;
  bool operator==(const Healthcheck&) const = default;
};

struct HistoryEntry {
  std::optional<absl::Time> created;
  std::string created_by, author, comment;
  bool empty_layer = false;
};

// How containers run.
struct RunConfig {
  std::string user, working_directory, stop_signal;
  std::vector<std::string> env, entrypoint, cmd, shell, on_build;
  std::vector<std::string> exposed_ports, volumes;  // sorted
  std::map<std::string, std::string> labels;
  std::optional<Healthcheck> healthcheck;
};

struct ImageConfig {
  std::optional<absl::Time> created;
  std::string author;
  Platform platform;
  RunConfig config;
  std::vector<Digest> diff_ids;       // base first
  std::vector<HistoryEntry> history;  // oldest first
};

// INVALID_ARGUMENT with the place in the JSON. Unknown fields are left aside.
absl::StatusOr<ImageConfig> ParseImageConfig(std::string_view json);
// Keys in a fixed order, so that equal values give equal digests.
std::string ToJson(const ImageConfig& config);

// OCI image-spec, config.md "Layer ChainID": of diff_ids[0..n] for each n, base first.
std::vector<Digest> ChainIds(const std::vector<Digest>& diff_ids);

}  // namespace noded::oci

#endif  // ROOTFS_OCI_IMAGE_CONFIG_H_
