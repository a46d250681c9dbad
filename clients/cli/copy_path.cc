#include "clients/cli/copy_path.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace noded::cli {

CopySide SideOf(absl::string_view word) {
  CopySide side;
  const size_t colon = word.find(':');
  const bool here = word.empty() || word[0] == '/' || word[0] == '.' || colon == 0 ||
                    colon == absl::string_view::npos;
  if (here) {
    side.path = std::string(word);
    return side;
  }
  side.container = std::string(word.substr(0, colon));
  absl::string_view path = word.substr(colon + 1);
  side.path = absl::StartsWith(path, "/") ? std::string(path) : absl::StrCat("/", path);
  return side;
}

CopyPath CopyPathOf(absl::string_view text) {
  CopyPath result;
  result.only_contents = text == "." || absl::EndsWith(text, "/.");
  result.is_directory = result.only_contents || absl::EndsWith(text, "/") || text == ".." ||
                        absl::EndsWith(text, "/..");
  while (text.size() > 1 && (absl::EndsWith(text, "/") || absl::EndsWith(text, "/."))) {
    text.remove_suffix(1);
  }
  result.path = std::string(text);
  return result;
}

std::string ParentOf(absl::string_view path) {
  const size_t slash = path.rfind('/');
  if (slash == absl::string_view::npos) return ".";
  return slash == 0 ? "/" : std::string(path.substr(0, slash));
}

std::string LastPartOf(absl::string_view path) {
  return std::string(path.substr(path.rfind('/') + 1));
}

absl::StatusOr<CopyTarget> PlaceCopy(const CopyPath& source, FileKind source_kind,
                                     absl::string_view source_name, const CopyPath& destination,
                                     FileKind destination_kind) {
  const bool from_directory = source_kind == FileKind::kDirectory;
  if (source.is_directory && !from_directory) {
    return absl::InvalidArgumentError(absl::StrCat(source.path, " is not a directory"));
  }
  if (destination_kind == FileKind::kDirectory) {
    return CopyTarget{destination.path, source.only_contents ? "" : std::string(source_name)};
  }
  if (destination_kind == FileKind::kFile && from_directory) {
    return absl::InvalidArgumentError(
        absl::StrCat(source.path, " is a directory, and ", destination.path, " is a file"));
  }
  if (destination_kind == FileKind::kFile && destination.is_directory) {
    return absl::InvalidArgumentError(absl::StrCat(destination.path, " is not a directory"));
  }
  if (destination_kind == FileKind::kMissing && destination.is_directory && !from_directory) {
    return absl::InvalidArgumentError(absl::StrCat("there is no directory ", destination.path));
  }
  return CopyTarget{ParentOf(destination.path), LastPartOf(destination.path)};
}

}  // namespace noded::cli
