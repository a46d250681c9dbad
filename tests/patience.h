// How long tests wait for what comes at once on a host, stretched on a slow machine: the virtual
// machine of tests/vm, whose processor is emulated, sets NODED_TEST_TIME_FACTOR.
#ifndef TESTS_PATIENCE_H_
#define TESTS_PATIENCE_H_

#include <cstdlib>

#include "absl/strings/numbers.h"
#include "absl/time/time.h"

namespace noded::test {

inline absl::Duration Patience(absl::Duration on_a_host) {
  static const int factor = [] {
    const char* text = std::getenv("NODED_TEST_TIME_FACTOR");
    int parsed = 0;
    return text != nullptr && absl::SimpleAtoi(text, &parsed) && parsed >= 1 ? parsed : 1;
  }();
  return factor * on_a_host;
}

}  // namespace noded::test

#endif  // TESTS_PATIENCE_H_
