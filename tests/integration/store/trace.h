// A child process that is watched, and killed, at the system calls by which it changes files.
#ifndef TESTS_INTEGRATION_STORE_TRACE_H_
#define TESTS_INTEGRATION_STORE_TRACE_H_

#include <functional>
#include <string>
#include <vector>

namespace noded::store {

struct Traced {
  // It came to its end, with this status.
  bool ended = false;
  int status = 0;
  // Names of the calls that it began, until it ended or was killed: "fsync", "renameat".
  std::vector<std::string> calls;
};

// Runs `body` in a child of fork(2), which ends with what it returns. Kills it, all its threads,
// just before it does the `kill_at`th such call, counted from 1; 0: never. The caller has no
// threads.
Traced Trace(const std::function<int()>& body, size_t kill_at);

}  // namespace noded::store

#endif  // TESTS_INTEGRATION_STORE_TRACE_H_
