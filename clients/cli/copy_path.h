// The rules of `cp`: which word names what, and where a copy goes. Those of Docker, which are those
// of cp -r with a little more. Pure.
#ifndef CLIENTS_CLI_COPY_PATH_H_
#define CLIENTS_CLI_COPY_PATH_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace noded::cli {

// One of the two words of a copy.
struct CopySide {
  std::string container;  // empty: `path` is here
  std::string path;       // in a container: absolute
};
// "CONTAINER:PATH", or a path here: one that begins with "/" or ".", has no colon, or is "-".
CopySide SideOf(absl::string_view word);

// A path and what its end says.
struct CopyPath {
  std::string path;            // without "/" and "/." at its end; "/" and "." stay
  bool is_directory = false;   // it ended with "/" or "/.": it must be a directory
  bool only_contents = false;  // it ended with "/.", or is "."
};
CopyPath CopyPathOf(absl::string_view text);

// "/a/b" to "/a" and "b"; "b" to "." and "b"; "/" to "/" and "".
std::string ParentOf(absl::string_view path);
std::string LastPartOf(absl::string_view path);

enum class FileKind { kMissing, kFile, kDirectory };

// Where a copy's root goes.
struct CopyTarget {
  std::string directory;  // that is there
  std::string name;       // below it; empty: what is in the source goes into the directory itself
};
// `source_kind` is kFile or kDirectory; `source_name` names the source when the destination does
// not. INVALID_ARGUMENT says what does not fit.
absl::StatusOr<CopyTarget> PlaceCopy(const CopyPath& source, FileKind source_kind,
                                     absl::string_view source_name, const CopyPath& destination,
                                     FileKind destination_kind);

}  // namespace noded::cli

#endif  // CLIENTS_CLI_COPY_PATH_H_
