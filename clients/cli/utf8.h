// Whether text is UTF-8, which all strings of the API must be. Pure.
#ifndef CLIENTS_CLI_UTF8_H_
#define CLIENTS_CLI_UTF8_H_

#include "absl/strings/string_view.h"

namespace noded::cli {

// By RFC 3629: shortest forms only, no surrogates, up to U+10FFFF.
bool IsUtf8(absl::string_view text);

}  // namespace noded::cli

#endif  // CLIENTS_CLI_UTF8_H_
