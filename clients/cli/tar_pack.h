// Makes a tar of local files.
#ifndef CLIENTS_CLI_TAR_PACK_H_
#define CLIENTS_CLI_TAR_PACK_H_

#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace noded::cli {

// Takes the tar's bytes, some 256 KiB a call; false: no more is wanted.
using TarSink = std::function<bool(absl::string_view bytes)>;

// Packs `path` with all below it; its root is called `name`, or is left out when that is empty. No
// link is followed but, with `follow`, one that `path` itself is. Hard links within the tree stay
// such. What has no place in a tar is left out and told in `left_out`. An error names the file; the
// sink's refusal is none.
absl::Status PackTar(const std::string& path, const std::string& name, bool follow,
                     const TarSink& sink, std::vector<std::string>* left_out);

}  // namespace noded::cli

#endif  // CLIENTS_CLI_TAR_PACK_H_
