// The configuration file: a small part of TOML, read strictly, so that each mistake has its line.
//
//   # comment
//   log-level = "debug"            # strings in "..." (with \" and \\) or '...'
//   insecure = true                # or a bare word or number
//   listen = ["unix:///run/noded/noded.sock", "127.0.0.1:7000"]
#ifndef SERVER_CONFIG_H_
#define SERVER_CONFIG_H_

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace noded::server {

struct ConfigEntry {
  std::string key;
  std::vector<std::string> values;  // one, or those of the array
  int line = 0;                     // from 1; where the key stands
};

// Entries in the order of the file, each key once. INVALID_ARGUMENT: "<name>:<line>: <why>". Pure;
// thread-safe.
absl::StatusOr<std::vector<ConfigEntry>> ReadConfig(std::string_view text, const std::string& name);

}  // namespace noded::server

#endif  // SERVER_CONFIG_H_
