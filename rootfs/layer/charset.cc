// libarchive's conversions of names between character sets, which must not be made: a name is the
// bytes that the tar has. In the C locale libarchive asks iconv for each pax name that is not
// ASCII, and glibc answers by reading gconv-modules and loading shared objects by name, after the
// change of root from the layer just unpacked. libarchive is linked statically, and the linker
// gives it these
// (--wrap) instead of iconv, so that there is no code to call; the rest of the program keeps its
// own.
#include <iconv.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

extern "C" {

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
