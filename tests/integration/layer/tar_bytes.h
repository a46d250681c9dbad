// A tar written byte by byte, so that a test can say what no tar program would write. ustar, with a
// pax header for whatever records an entry is given.
#ifndef TESTS_INTEGRATION_LAYER_TAR_BYTES_H_
#define TESTS_INTEGRATION_LAYER_TAR_BYTES_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace noded::layer {

struct TarFile {
  std::string name;
  char type = '0';  // '1' hard link, '2' symlink, '3' and '4' devices, '5' directory, '6' FIFO
  std::string content;
  std::string target;
  unsigned mode = 0644;
  unsigned uid = 0, gid = 0;
  int64_t mtime = 1'000'000'000;
  unsigned major = 0, minor = 0;
  std::vector<std::pair<std::string, std::string>> pax;
  // As the header has it; -1: that of the content.
  int64_t size = -1;
};

// Without the end of the archive.
std::string TarEntryBytes(const TarFile& file);
// GNU's header for a name ('L') or target ('K') that is too long for ustar.
std::string GnuLongName(char type, const std::string& name);
// With two blocks of zeros at the end.
std::string TarBytes(const std::vector<TarFile>& files);

TarFile Directory(const std::string& name, unsigned mode = 0755);
TarFile Symlink(const std::string& name, const std::string& target);
TarFile HardLink(const std::string& name, const std::string& target);
TarFile Device(const std::string& name, char type, unsigned major, unsigned minor);

std::string Gzip(const std::string& bytes);
std::string Zstd(const std::string& bytes);

}  // namespace noded::layer

#endif  // TESTS_INTEGRATION_LAYER_TAR_BYTES_H_
