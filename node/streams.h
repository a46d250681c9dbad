// What the engine gives to a streaming RPC: messages pulled one at a time, so that back-pressure
// reaches from a slow client to the source, and no thread waits.
#ifndef NODE_STREAMS_H_
#define NODE_STREAMS_H_

#include <functional>
#include <memory>
#include <optional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace noded {

// Thread-safe. Shared between its reader and what feeds it.
template <typename Response>
class ResponseStream {
 public:
  // A message; nullopt: the orderly end; or why it broke. After either of the last two nothing more
  // comes.
  using Ready = std::function<void(absl::StatusOr<std::optional<Response>>)>;

  virtual ~ResponseStream() = default;
  // Asks for the next message. `ready` is called exactly once, on any thread, possibly before Next
  // returns. At most one Next may be outstanding.
  virtual void Next(Ready ready) = 0;
  // The client went away: an outstanding Next is answered with CANCELLED, and what the stream held
  // is released (an exec'd process that is not detached is ended). Idempotent; also after the end.
  virtual void Cancel() = 0;
};

template <typename Request, typename Response>
class DuplexStream : public ResponseStream<Response> {
 public:
  using Taken = std::function<void(absl::Status)>;
  // Passes one message of the client on. `taken` is called exactly once, when the next may be sent;
  // an error is the reason why no more are wanted (the same that Next tells). At most one Send may
  // be outstanding.
  virtual void Send(Request request, Taken taken) = 0;
  // The client has half-closed: no more Sends.
  virtual void CloseSend() = 0;
};

}  // namespace noded

#endif  // NODE_STREAMS_H_
