// The promise of every asynchronous call of the engine: its callback is called exactly once.
#ifndef NODE_ANSWER_H_
#define NODE_ANSWER_H_

#include <atomic>
#include <functional>
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace noded {

// Wraps a callback: the first call counts, and when the last copy is destroyed uncalled (an
// operation was dropped because the engine is being destroyed) it is called with UNAVAILABLE.
// Thread-safe.
template <typename T>
std::function<void(absl::StatusOr<T>)> AnswerOnce(std::function<void(absl::StatusOr<T>)> callback) {
  struct State {
    explicit State(std::function<void(absl::StatusOr<T>)> call) : callback(std::move(call)) {}
    ~State() {
      if (!called) callback(absl::UnavailableError("the agent is shutting down"));
    }
    std::function<void(absl::StatusOr<T>)> callback;
    std::atomic<bool> called = false;
  };
  auto state = std::make_shared<State>(std::move(callback));
  return [state](absl::StatusOr<T> result) {
    if (!state->called.exchange(true)) state->callback(std::move(result));
  };
}

}  // namespace noded

#endif  // NODE_ANSWER_H_
