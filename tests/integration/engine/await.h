// The engine's callbacks as calls that wait, so that a test reads from top to bottom.
#ifndef TESTS_INTEGRATION_ENGINE_AWAIT_H_
#define TESTS_INTEGRATION_ENGINE_AWAIT_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "node/streams.h"
#include "tests/patience.h"

namespace noded::test {

inline absl::Duration AnswerPatience() { return Patience(absl::Seconds(60)); }

// Starts something that calls back, and waits for it. DEADLINE_EXCEEDED after a minute (on a host),
// so that a lost callback fails a test instead of hanging it.
template <typename T>
absl::StatusOr<T> Await(const std::function<void(std::function<void(absl::StatusOr<T>)>)>& begin) {
  struct State {
    absl::Notification answered;
    absl::StatusOr<T> result = absl::UnknownError("not answered");
  };
  auto state = std::make_shared<State>();
  begin([state](absl::StatusOr<T> result) {
    state->result = std::move(result);
    state->answered.Notify();
  });
  if (!state->answered.WaitForNotificationWithTimeout(AnswerPatience())) {
    return absl::DeadlineExceededError("the test waited a minute for an answer");
  }
  return std::move(state->result);
}

// The next message of a stream; nullopt: its end.
template <typename Response>
absl::StatusOr<std::optional<Response>> Next(ResponseStream<Response>& stream) {
  return Await<std::optional<Response>>([&](auto ready) { stream.Next(std::move(ready)); });
}

template <typename Request, typename Response>
absl::Status Send(DuplexStream<Request, Response>& stream, Request request) {
  absl::StatusOr<bool> taken = Await<bool>([&](auto done) {
    stream.Send(std::move(request), [done](absl::Status status) {
      if (status.ok()) {
        done(true);
      } else {
        done(status);
      }
    });
  });
  return taken.status();
}

}  // namespace noded::test

#endif  // TESTS_INTEGRATION_ENGINE_AWAIT_H_
