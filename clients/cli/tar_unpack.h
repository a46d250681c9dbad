// Makes local files out of a tar that is not trusted: it comes from a container.
#ifndef CLIENTS_CLI_TAR_UNPACK_H_
#define CLIENTS_CLI_TAR_UNPACK_H_

#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace noded::cli {

// The next bytes of the tar, valid until the next call; empty: its end.
using TarSource = std::function<absl::string_view()>;

struct UnpackRules {
  std::string root;         // first part of every entry; empty: entries have no common one
  std::string name;         // put in its place; empty: nothing is
  bool keep_owner = false;  // owners, and setuid and setgid bits
};

// Unpacks below `directory`, a descriptor that is borrowed. Nothing is written outside of it: an
// entry with an absolute name or ".." is an error, and so is one whose way, or whose hard link's,
// leads through a symbolic link, whoever made that. Each step of a way is opened by itself without
// following links, so that nobody can put one there meanwhile. A file or link that is there is
// replaced, never written through; a directory stays as it is, and one in place of a file, or a
// file in place of one, is an error. Devices are left out and told in `left_out`. What was unpacked
// before an error stays.
absl::Status UnpackTar(const TarSource& source, int directory, const UnpackRules& rules,
                       std::vector<std::string>* left_out);

}  // namespace noded::cli

#endif  // CLIENTS_CLI_TAR_UNPACK_H_
