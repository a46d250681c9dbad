// A client's value inside a message. Pure and thread-safe.
#ifndef NODE_LAUNCH_QUOTE_H_
#define NODE_LAUNCH_QUOTE_H_

#include <string>
#include <string_view>

namespace noded::launch {

// In quotes, with what is not printable escaped, cut after 80 bytes: a message ends in a terminal
// and in a log line.
std::string Quote(std::string_view value);

}  // namespace noded::launch

#endif  // NODE_LAUNCH_QUOTE_H_
