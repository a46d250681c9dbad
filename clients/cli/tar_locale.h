// The character set in which libarchive sees names of files.
#ifndef CLIENTS_CLI_TAR_LOCALE_H_
#define CLIENTS_CLI_TAR_LOCALE_H_

#include <locale.h>

namespace noded::cli {

// For this thread and as long as it lives names are UTF-8, or bytes where they are not. Without it
// libarchive would see the C locale, in which it writes "?" for all that is not ASCII. A locale of
// the user's choice is not asked: names are the container's.
class TarLocale {
 public:
  TarLocale() : utf8_(newlocale(LC_CTYPE_MASK, "C.UTF-8", nullptr)) {
    if (utf8_ != nullptr) before_ = uselocale(utf8_);
  }
  ~TarLocale() {
    if (utf8_ == nullptr) return;
    uselocale(before_);
    freelocale(utf8_);
  }
  TarLocale(const TarLocale&) = delete;
  TarLocale& operator=(const TarLocale&) = delete;

 private:
  locale_t utf8_;
  locale_t before_ = nullptr;
};

}  // namespace noded::cli

#endif  // CLIENTS_CLI_TAR_LOCALE_H_
