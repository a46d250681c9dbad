// What a registry says, made fit for a message: short, and of printable ASCII only, because it goes
// to terminals and logs. Pure.
#ifndef ROOTFS_REGISTRY_QUOTE_H_
#define ROOTFS_REGISTRY_QUOTE_H_

#include <string>
#include <string_view>

namespace noded::registry {

// At most some 300 bytes; blanks for control characters, "?" for what is not ASCII.
std::string Quoted(std::string_view text);

// Of the body of an error: "CODE: message; …" of the distribution spec's JSON, the text of a token
// server's, else the beginning of the body as it is. Empty when it says nothing.
std::string QuotedError(std::string_view body);

}  // namespace noded::registry

#endif  // ROOTFS_REGISTRY_QUOTE_H_
