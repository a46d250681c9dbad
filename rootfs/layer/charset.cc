// libarchive's conversions of names between character sets, which must not be made: a name is the
// bytes that the tar has. libarchive takes pax names for UTF-8, composes their accents, and in the
// C locale asks iconv for each that is not ASCII; and glibc answers by reading gconv-modules and
// loading shared objects by name, after the change of root from the layer just unpacked. libarchive
// is linked statically, and the linker gives its objects these functions (--wrap) instead of the
// ones that they ask for, so that there is nothing to be called; the rest of the program keeps its
// own.
#include <iconv.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>

extern "C" {

struct archive_mstring;
struct archive_string_conv;

// libarchive's own, which takes a text as it is when there is no conversion.
int __real_archive_mstring_copy_mbs_len_l(archive_mstring*, const char*, size_t,
                                          archive_string_conv*);
int __wrap_archive_mstring_copy_mbs_len_l(archive_mstring* out, const char* text, size_t size,
                                          archive_string_conv*) {
  return __real_archive_mstring_copy_mbs_len_l(out, text, size, nullptr);
}

iconv_t __wrap_iconv_open(const char*, const char*) { return reinterpret_cast<iconv_t>(1); }

int __wrap_iconv_close(iconv_t) { return 0; }

size_t __wrap_iconv(iconv_t, char** in, size_t* in_left, char** out, size_t* out_left) {
  if (in == nullptr || *in == nullptr) return 0;
  const size_t size = std::min(*in_left, *out_left);
  std::memcpy(*out, *in, size);
  *in += size;
  *out += size;
  *in_left -= size;
  *out_left -= size;
  if (*in_left == 0) return 0;
  errno = E2BIG;
  return static_cast<size_t>(-1);
}

}  // extern "C"
