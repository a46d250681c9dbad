#include "rootfs/layer/tar_writer.h"

#include <archive.h>
#include <archive_entry.h>
#include <sys/stat.h>

#include <cerrno>
#include <string>

#include "absl/strings/str_cat.h"
#include "node/base/status.h"
#include "rootfs/layer/refusal.h"

namespace noded::layer {
namespace {

constexpr int kBlockBytes = 256 << 10;
constexpr long kNanosecondsPerSecond = 1'000'000'000;

// libarchive writes the seconds, a point and the nanoseconds, so that a time before 1970 has to be
// told from the other side. "-0." is more than it can write: there the fraction is lost.
timespec AsWritten(timespec time) {
  if (time.tv_sec >= 0 || time.tv_nsec == 0) return time;
  if (time.tv_sec == -1) return {-1, 0};
  return {time.tv_sec + 1, kNanosecondsPerSecond - time.tv_nsec};
}

}  // namespace

void TarWriter::Free::operator()(archive* writer) const {
  // Its end is written by Finish alone.
  archive_write_fail(writer);
  archive_write_free(writer);
}
void TarWriter::Free::operator()(archive_entry* entry) const { archive_entry_free(entry); }

TarWriter::TarWriter(TarSink* sink)
    : sink_(sink), writer_(archive_write_new()), entry_(archive_entry_new()) {
  archive* writer = writer_.get();
  archive_write_set_format_pax(writer);
  archive_write_set_format_option(writer, "pax", "xattrheader", "SCHILY");
  archive_write_set_bytes_per_block(writer, kBlockBytes);
  archive_write_set_bytes_in_last_block(writer, 1);
  archive_write_open(writer, this, nullptr, Take, nullptr);
}

ssize_t TarWriter::Take(archive* writer, void* self, const void* bytes, size_t size) {
  auto* tar = static_cast<TarWriter*>(self);
  tar->sink_status_ = tar->sink_->Write({static_cast<const char*>(bytes), size});
  if (tar->sink_status_.ok()) return static_cast<ssize_t>(size);
  archive_set_error(writer, EIO, "the stream failed");
  return -1;
}

absl::Status TarWriter::Failure(std::string_view name) {
  if (!sink_status_.ok()) return sink_status_;
  const char* reason = archive_error_string(writer_.get());
  return absl::InternalError(
      absl::StrCat("pack ", Quoted(name), ": ", reason == nullptr ? "unknown" : reason));
}

absl::Status TarWriter::Begin(const TarEntry& entry,
                              const std::vector<std::pair<int64_t, int64_t>>& pieces) {
  ++entries_;
  archive_entry* out = entry_.get();
  archive_entry_clear(out);
  archive_entry_set_pathname(out, entry.name.c_str());
  // A hard link has the type of what it is a link to; any but a directory's does.
  archive_entry_set_filetype(out, entry.type == 0 ? S_IFREG : entry.type);
  archive_entry_set_perm(out, entry.permissions);
  archive_entry_set_uid(out, entry.uid);
  archive_entry_set_gid(out, entry.gid);
  const timespec mtime = AsWritten(entry.mtime);
  archive_entry_set_mtime(out, mtime.tv_sec, mtime.tv_nsec);
  archive_entry_set_size(out, entry.type == S_IFREG ? entry.size : 0);
  if (entry.type == 0) archive_entry_set_hardlink(out, entry.target.c_str());
  if (entry.type == S_IFLNK) archive_entry_set_symlink(out, entry.target.c_str());
  if (entry.type == S_IFCHR || entry.type == S_IFBLK) archive_entry_set_rdev(out, entry.device);
  for (const auto& [name, value] : entry.attributes) {
    archive_entry_xattr_add_entry(out, name.c_str(), value.data(), value.size());
  }
  for (const auto& [offset, length] : pieces) archive_entry_sparse_add_entry(out, offset, length);
  if (archive_write_header(writer_.get(), out) != ARCHIVE_OK) return Failure(entry.name);
  return absl::OkStatus();
}

absl::Status TarWriter::Write(std::string_view bytes) {
  while (!bytes.empty()) {
    const la_ssize_t size = archive_write_data(writer_.get(), bytes.data(), bytes.size());
    if (size < 0) return Failure("content");
    if (size == 0) break;
    bytes.remove_prefix(static_cast<size_t>(size));
  }
  return absl::OkStatus();
}

absl::Status TarWriter::Finish() {
  if (archive_write_close(writer_.get()) != ARCHIVE_OK) return Failure("the end");
  return sink_->Finish();
}

}  // namespace noded::layer
