// libs: rootfs_layer
// A layer as a registry may send it: inflated and read as a tar, with everything that is decided
// from its bytes; only the files are not made.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "rootfs/layer/decoder.h"
#include "rootfs/layer/entry_name.h"
#include "rootfs/layer/tar_reader.h"

namespace {

constexpr size_t kMostBytes = 1 << 20;

void CheckNames(const noded::layer::TarEntry& entry) {
  if (entry.name.empty()) abort();
  for (const std::string* name : {&entry.name, &entry.target}) {
    for (const std::string& part : noded::layer::PathParts(*name)) {
      if (part.empty() || part == "." || part == ".." || part.find('/') != part.npos) abort();
      noded::layer::KindOfName(part);
    }
  }
}

void ReadEntries(const std::string& tar, size_t block) {
  std::string_view rest = tar;
  noded::layer::TarReader reader([&rest, block]() -> absl::StatusOr<std::string_view> {
    const std::string_view given = rest.substr(0, block);
    rest.remove_prefix(given.size());
    return given;
  });
  while (true) {
    const auto entry = reader.NextEntry();
    if (!entry.ok() || *entry == nullptr) return;
    CheckNames(**entry);
    const int64_t size = (*entry)->size;
    while (true) {
      const auto data = reader.NextData();
      if (!data.ok()) return;
      if (!*data) break;
      if ((*data)->offset < 0 ||
          (*data)->offset + static_cast<int64_t>((*data)->bytes.size()) > size)
        abort();
    }
  }
}

}  // namespace

// Input: how it is packed and in which blocks it is read, a byte each; then the stream.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  const auto compression = static_cast<noded::oci::Compression>(data[0] % 3);
  const size_t block = data[1] + size_t{1};
  std::string_view stream(reinterpret_cast<const char*>(data) + 2, size - 2);
  const auto decoder = noded::layer::Decoder::Make(
      compression, data[0] & 0x80, [&stream](char* out, size_t capacity) -> absl::StatusOr<size_t> {
        const size_t some = std::min(capacity, stream.size());
        stream.copy(out, some);
        stream.remove_prefix(some);
        return some;
      });
  if (!decoder.ok()) return 0;
  std::string tar(kMostBytes, '\0');
  const auto filled = (*decoder)->Fill(tar.data(), tar.size());
  if (!filled.ok()) return 0;
  tar.resize(*filled);
  ReadEntries(tar, block * 64);
  return 0;
}
