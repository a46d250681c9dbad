#include "tests/integration/layer/tar_bytes.h"

#include <zlib.h>
#include <zstd.h>

#include <cstdio>
#include <cstring>

namespace noded::layer {
namespace {

constexpr size_t kBlock = 512;

void Pad(std::string* bytes) { bytes->resize((bytes->size() + kBlock - 1) / kBlock * kBlock); }

void Put(std::string* header, size_t at, const std::string& text) {
  header->replace(at, text.size(), text);
}

std::string Octal(uint64_t value, int digits) {
  char text[32];
  std::snprintf(text, sizeof text, "%0*llo", digits, static_cast<unsigned long long>(value));
  return text;
}

std::string Header(const TarFile& file, size_t size, const char* magic) {
  std::string header(kBlock, '\0');
  Put(&header, 0, file.name.substr(0, 100));
  Put(&header, 100, Octal(file.mode, 7));
  Put(&header, 108, Octal(file.uid, 7));
  Put(&header, 116, Octal(file.gid, 7));
  Put(&header, 124, Octal(size, 11));
  // Negative times are pax's; here they are none.
  Put(&header, 136, Octal(file.mtime < 0 ? 0 : static_cast<uint64_t>(file.mtime), 11));
  header[156] = file.type;
  Put(&header, 157, file.target.substr(0, 100));
  Put(&header, 257, std::string(magic, 8));
  Put(&header, 329, Octal(file.major, 7));
  Put(&header, 337, Octal(file.minor, 7));
  Put(&header, 148, "        ");
  unsigned sum = 0;
  for (unsigned char c : header) sum += c;
  Put(&header, 148, Octal(sum, 6) + std::string("\0 ", 2));
  return header;
}

std::string Record(const std::string& key, const std::string& value) {
  const size_t rest = key.size() + value.size() + 3;
  size_t length = rest;
  while (std::to_string(length).size() + rest != length) {
    length = std::to_string(length).size() + rest;
  }
  return std::to_string(length) + " " + key + "=" + value + "\n";
}

}  // namespace

std::string TarEntryBytes(const TarFile& file) {
  std::string bytes;
  if (!file.pax.empty()) {
    std::string records;
    for (const auto& [key, value] : file.pax) records += Record(key, value);
    bytes += Header({.name = "pax", .type = 'x'}, records.size(), "ustar\00000") + records;
    Pad(&bytes);
  }
  const size_t size = file.size >= 0 ? static_cast<size_t>(file.size) : file.content.size();
  bytes += Header(file, size, "ustar\00000") + file.content;
  Pad(&bytes);
  return bytes;
}

std::string GnuLongName(char type, const std::string& name) {
  std::string bytes = Header({.name = "././@LongLink", .type = type}, name.size() + 1, "ustar  ");
  bytes += name + '\0';
  Pad(&bytes);
  return bytes;
}

std::string TarBytes(const std::vector<TarFile>& files) {
  std::string bytes;
  for (const TarFile& file : files) bytes += TarEntryBytes(file);
  return bytes + std::string(2 * kBlock, '\0');
}

TarFile Directory(const std::string& name, unsigned mode) {
  return {.name = name, .type = '5', .mode = mode};
}
TarFile Symlink(const std::string& name, const std::string& target) {
  return {.name = name, .type = '2', .target = target, .mode = 0777};
}
TarFile HardLink(const std::string& name, const std::string& target) {
  return {.name = name, .type = '1', .target = target};
}
TarFile Device(const std::string& name, char type, unsigned major, unsigned minor) {
  return {.name = name, .type = type, .mode = 0600, .major = major, .minor = minor};
}

std::string Gzip(const std::string& bytes) {
  z_stream stream{};
  deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
  std::string out(deflateBound(&stream, bytes.size()) + 64, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

std::string Zstd(const std::string& bytes) {
  std::string out(ZSTD_compressBound(bytes.size()), '\0');
  out.resize(ZSTD_compress(out.data(), out.size(), bytes.data(), bytes.size(), 3));
  return out;
}

}  // namespace noded::layer
