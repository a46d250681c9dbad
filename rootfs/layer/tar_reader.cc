#include "rootfs/layer/tar_reader.h"

#include <archive.h>
#include <archive_entry.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "node/base/status.h"
#include "node/base/string_view.h"
#include "rootfs/layer/refusal.h"

namespace noded::layer {
namespace {

constexpr size_t kHeaderBytes = 512;
constexpr size_t kSizeOffset = 124, kSizeBytes = 12, kTypeOffset = 156;
constexpr long kNanosecondsPerSecond = 1'000'000'000;
// The kernel takes no attribute longer than this (xattr(7)), and no file has more of them.
constexpr size_t kMostAttributeBytes = 64 << 10;

// What pax records say of the time; nullopt when nothing.
std::optional<bool> NegativeMtimeOf(std::string_view records) {
  std::optional<bool> negative;
  while (!records.empty()) {
    const size_t blank = records.find(' ');
    size_t length = 0;
    if (blank == std::string_view::npos ||
        !absl::SimpleAtoi(AsAbsl(records.substr(0, blank)), &length) || length <= blank + 1 ||
        length > records.size()) {
      break;
    }
    const std::string_view record = records.substr(blank + 1, length - blank - 1);
    constexpr std::string_view kKey = "mtime=";
    if (record.starts_with(kKey)) negative = record.substr(kKey.size()).starts_with('-');
    records.remove_prefix(length);
  }
  return negative;
}

size_t OctalSize(std::string_view field) {
  size_t size = 0;
  for (char c : field) {
    if (c < '0' || c > '7') break;
    size = size * 8 + static_cast<size_t>(c - '0');
  }
  return size;
}

}  // namespace

bool HasNegativeMtime(std::string_view bytes) {
  bool negative = false;
  while (bytes.size() > kHeaderBytes) {
    const char type = bytes[kTypeOffset];
    // Headers of headers: pax, for one entry or for all that follow, and GNU's long names.
    if (std::strchr("xXgLKA", type) == nullptr || type == '\0') break;
    const size_t size = OctalSize(bytes.substr(kSizeOffset, kSizeBytes));
    bytes.remove_prefix(kHeaderBytes);
    if (type == 'x' || type == 'X') {
      negative = NegativeMtimeOf(bytes.substr(0, size)).value_or(negative);
    }
    const size_t padded = (size + kHeaderBytes - 1) / kHeaderBytes * kHeaderBytes;
    if (padded < size || padded >= bytes.size()) break;
    bytes.remove_prefix(padded);
  }
  return negative;
}

void TarReader::Free::operator()(archive* reader) const { archive_read_free(reader); }

TarReader::TarReader(NextBlock next_block)
    : next_block_(std::move(next_block)), reader_(archive_read_new()) {
  archive_read_support_format_tar(reader_.get());
}

TarReader::~TarReader() = default;

ssize_t TarReader::Give(archive* reader, void* self, const void** bytes) {
  auto* tar = static_cast<TarReader*>(self);
  absl::StatusOr<std::string_view> block = tar->next_block_();
  if (!block.ok()) {
    tar->stream_status_ = block.status();
    archive_set_error(reader, EIO, "the stream failed");
    return -1;
  }
  Block& present = tar->blocks_[1];
  tar->blocks_[0] = present;
  present = {present.offset + static_cast<int64_t>(present.bytes.size()), *block};
  *bytes = block->data();
  return static_cast<ssize_t>(block->size());
}

absl::Status TarReader::Failure(std::string_view what) {
  // Its own reason says more than libarchive's about the bytes it got.
  if (!stream_status_.ok()) return stream_status_;
  const char* reason = archive_error_string(reader_.get());
  return Refused(absl::StrCat(AsAbsl(what), ": ", reason == nullptr ? "not a tar" : reason));
}

absl::StatusOr<const TarEntry*> TarReader::NextEntry() {
  if (!opened_) {
    opened_ = true;
    if (archive_read_open(reader_.get(), this, nullptr, Give, nullptr) != ARCHIVE_OK) {
      return Failure("the stream is no tar");
    }
  }
  previous_name_ = entry_.name;
  archive_entry* entry = nullptr;
  const int result = archive_read_next_header(reader_.get(), &entry);
  if (result == ARCHIVE_EOF) {
    RETURN_IF_ERROR(Drain());
    return nullptr;
  }
  if (result != ARCHIVE_OK) {
    const char* name = entry == nullptr ? nullptr : archive_entry_pathname(entry);
    if (name != nullptr) return Failure(absl::StrCat("entry ", Quoted(name)));
    return Failure(previous_name_.empty() ? "the first entry"
                                          : absl::StrCat("after entry ", Quoted(previous_name_)));
  }
  RETURN_IF_ERROR(Fill(entry));
  return &entry_;
}

absl::Status TarReader::Fill(archive_entry* entry) {
  const char* name = archive_entry_pathname(entry);
  if (name == nullptr || *name == '\0') {
    return Refused(
        absl::StrCat("after entry ", Quoted(previous_name_), ": an entry without a name"));
  }
  entry_ = TarEntry{.name = name,
                    .type = archive_entry_filetype(entry),
                    .permissions = archive_entry_mode(entry) & 07777,
                    .uid = archive_entry_uid(entry),
                    .gid = archive_entry_gid(entry),
                    .size = archive_entry_size(entry),
                    .mtime = TimeOf(entry),
                    .device = archive_entry_rdev(entry)};
  if (const char* target = archive_entry_hardlink(entry); target != nullptr) {
    entry_.type = 0;
    entry_.target = target;
  } else if (entry_.type == S_IFLNK) {
    const char* link = archive_entry_symlink(entry);
    entry_.target = link == nullptr ? "" : link;
  }
  if (entry_.size < 0) return Refused(absl::StrCat("entry ", Quoted(name), ": a negative size"));
  archive_entry_xattr_reset(entry);
  const char* key;
  const void* value;
  size_t size;
  while (archive_entry_xattr_next(entry, &key, &value, &size) == ARCHIVE_OK) {
    if (key == nullptr || size > kMostAttributeBytes) {
      return Refused(absl::StrCat("entry ", Quoted(name), ": an attribute of ", size, " bytes"));
    }
    entry_.attributes.emplace_back(key, std::string(static_cast<const char*>(value), size));
  }
  return absl::OkStatus();
}

timespec TarReader::TimeOf(archive_entry* entry) {
  timespec time{archive_entry_mtime(entry), archive_entry_mtime_nsec(entry)};
  if (time.tv_nsec == 0) return time;
  // libarchive gives the digits before and after the point, so that -1.5 is -1 and half a second.
  const bool negative =
      time.tv_sec < 0 ||
      (time.tv_sec == 0 && HasNegativeMtime(Held(archive_read_header_position(reader_.get()))));
  if (negative) {
    time.tv_sec -= 1;
    time.tv_nsec = kNanosecondsPerSecond - time.tv_nsec;
  }
  return time;
}

std::string TarReader::Held(int64_t offset) const {
  std::string held;
  for (const Block& block : blocks_) {
    const int64_t end = block.offset + static_cast<int64_t>(block.bytes.size());
    const int64_t begin = std::max(offset, block.offset);
    // A header that began before what is in memory cannot be told from other bytes.
    if (held.empty() && begin != offset) continue;
    if (begin < end) held += block.bytes.substr(static_cast<size_t>(begin - block.offset));
  }
  return held;
}

absl::StatusOr<std::optional<TarData>> TarReader::NextData() {
  const void* bytes = nullptr;
  size_t size = 0;
  int64_t offset = 0;
  const int result = archive_read_data_block(reader_.get(), &bytes, &size, &offset);
  if (result == ARCHIVE_EOF) return std::nullopt;
  if (result != ARCHIVE_OK) return Failure(absl::StrCat("entry ", Quoted(entry_.name)));
  if (offset < 0 || offset > entry_.size || static_cast<int64_t>(size) > entry_.size - offset) {
    return Refused(absl::StrCat("entry ", Quoted(entry_.name), ": content beyond its size"));
  }
  return TarData{offset, {static_cast<const char*>(bytes), size}};
}

// After the end of the archive only its padding may follow; reading it to the end also completes
// the digest.
absl::Status TarReader::Drain() {
  const Block& present = blocks_[1];
  const int64_t position = archive_filter_bytes(reader_.get(), 0);
  std::string_view rest = present.bytes;
  rest.remove_prefix(static_cast<size_t>(
      std::clamp<int64_t>(position - present.offset, 0, static_cast<int64_t>(rest.size()))));
  while (true) {
    if (rest.find_first_not_of('\0') != std::string_view::npos) {
      return Refused(previous_name_.empty()
                         ? "other bytes follow the end of the tar"
                         : absl::StrCat("after entry ", Quoted(previous_name_),
                                        ": other bytes follow the end of the tar"));
    }
    if (rest.empty() && present.bytes.empty()) return absl::OkStatus();
    ASSIGN_OR_RETURN(rest, next_block_());
    if (rest.empty()) return absl::OkStatus();
  }
}

}  // namespace noded::layer
