// libs: cli
// What a container sends as a tar: whatever it is, nothing comes to be but below the destination.
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>

#include "clients/cli/io.h"
#include "clients/cli/tar_unpack.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  namespace fs = std::filesystem;
  static const std::string scratch = [] {
    char path[] = "/tmp/fuzz-tar-XXXXXX";
    return std::string(mkdtemp(path));
  }();
  fs::create_directories(scratch + "/in/side");
  noded::cli::ScopedFd side(
      open((scratch + "/in/side").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  bool given = false;
  auto source = [&]() -> absl::string_view {
    if (given) return "";
    given = true;
    return absl::string_view(reinterpret_cast<const char*>(data), size);
  };
  // A file as large as its header says would fill the disk.
  static const int limited = [] {
    rlimit limit = {1 << 20, 1 << 20};
    signal(SIGXFSZ, SIG_IGN);
    return setrlimit(RLIMIT_FSIZE, &limit);
  }();
  if (limited != 0) abort();
  std::vector<std::string> left_out;
  const bool rooted = size % 2 == 0;
  noded::cli::UnpackRules rules;
  if (rooted) rules.root = "src";
  (void)noded::cli::UnpackTar(source, side.get(), rules, &left_out);
  if (std::distance(fs::directory_iterator(scratch), {}) != 1 ||
      std::distance(fs::directory_iterator(scratch + "/in"), {}) != 1) {
    abort();
  }
  // A directory may have come to be without permissions; root does not mind.
  fs::remove_all(scratch + "/in");
  return 0;
}
