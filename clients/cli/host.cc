#include "clients/cli/host.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "clients/cli/io.h"

namespace noded::cli {
namespace {

constexpr size_t kMostFileBytes = 4 << 20;

absl::StatusOr<std::string> ReadFile(const std::string& path) {
  ScopedFd file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() < 0) {
    return absl::InvalidArgumentError(absl::StrCat("cannot open ", path, ": ", strerror(errno)));
  }
  std::string content;
  while (content.size() <= kMostFileBytes) {
    char buffer[65536];
    ssize_t count = read(file.get(), buffer, sizeof(buffer));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) {
      return absl::InvalidArgumentError(absl::StrCat("cannot read ", path, ": ", strerror(errno)));
    }
    if (count == 0) return content;
    content.append(buffer, static_cast<size_t>(count));
  }
  return absl::InvalidArgumentError(absl::StrCat(path, " is larger than 4 MiB"));
}

}  // namespace

Host RealHost() {
  Host host;
  host.environment = [](const std::string& name) -> std::optional<std::string> {
    const char* value = getenv(name.c_str());
    if (value == nullptr) return std::nullopt;
    return std::string(value);
  };
  host.read_file = ReadFile;
  host.working_directory = [] {
    char path[PATH_MAX];
    return std::string(getcwd(path, sizeof(path)) == nullptr ? "/" : path);
  };
  host.now = [] { return absl::Now(); };
  return host;
}

}  // namespace noded::cli
