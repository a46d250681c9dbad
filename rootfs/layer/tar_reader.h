// The entries of a tar stream, in its dialects (ustar, pax, GNU, old), as libarchive reads them and
// as they are meant: names are the bytes of the tar, times before 1970 have their fractions on the
// right side. Foreign bytes: whatever is odd is refused, not guessed at. Thread-compatible.
#ifndef ROOTFS_LAYER_TAR_READER_H_
#define ROOTFS_LAYER_TAR_READER_H_

#include <sys/types.h>
#include <time.h>

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

struct archive;
struct archive_entry;

namespace noded::layer {

struct TarEntry {
  std::string name;
  // S_IFREG, S_IFDIR, S_IFLNK, S_IFCHR, S_IFBLK, S_IFIFO; 0 for a hard link.
  mode_t type = 0;
  std::string target;  // of a link of either kind
  mode_t permissions = 0;
  int64_t uid = 0, gid = 0;
  int64_t size = 0;  // of a file, holes included
  timespec mtime{};
  dev_t device = 0;
  std::vector<std::pair<std::string, std::string>> attributes;
};

// A piece of a file; what no piece covers is a hole.
struct TarData {
  int64_t offset = 0;
  std::string_view bytes;
};

class TarReader {
 public:
  // The next block of the tar; empty at its end. It and the one before must stay valid until the
  // next call.
  using NextBlock = std::function<absl::StatusOr<std::string_view>()>;

  explicit TarReader(NextBlock next_block);
  ~TarReader();
  TarReader(const TarReader&) = delete;
  TarReader& operator=(const TarReader&) = delete;

  // nullptr at the end, when all blocks were taken. The entry lives until the next call.
  // INVALID_ARGUMENT (LAYER_REFUSED): no tar, damaged, cut short, followed by other bytes.
  absl::StatusOr<const TarEntry*> NextEntry();
  // The next piece of the present entry's content; nullopt at its end. Valid until the next call.
  absl::StatusOr<std::optional<TarData>> NextData();

 private:
  // A block that libarchive was given, with its place in the tar.
  struct Block {
    int64_t offset = 0;
    std::string_view bytes;
  };
  struct Free {
    void operator()(archive* reader) const;
  };

  static ssize_t Give(archive* reader, void* self, const void** bytes);
  absl::Status Failure(std::string_view what);
  absl::Status Fill(archive_entry* entry);
  timespec TimeOf(archive_entry* entry);
  // Bytes of the tar that are still in memory, from `offset` on.
  std::string Held(int64_t offset) const;
  absl::Status Drain();

  NextBlock next_block_;
  std::unique_ptr<archive, Free> reader_;
  bool opened_ = false;
  absl::Status stream_status_;
  std::array<Block, 2> blocks_;  // the one before, the present one
  TarEntry entry_;
  std::string previous_name_;
};

// Whether pax records ("25 mtime=-0.5\n…") that precede the header at the beginning of `bytes` give
// a time before 1970. libarchive loses the sign of what is between -1 and 0.
bool HasNegativeMtime(std::string_view bytes);

}  // namespace noded::layer

#endif  // ROOTFS_LAYER_TAR_READER_H_
