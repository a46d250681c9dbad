// One request: who makes it, whether it is let in, how it is logged, and what a drain does with it.
#ifndef SERVER_CALL_H_
#define SERVER_CALL_H_

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "grpcpp/server_context.h"
#include "grpcpp/support/status.h"
#include "server/request_metrics.h"

namespace noded::server {

// Who a client is. Whoever may write to the Unix socket is its owner's equal; over TCP, a client is
// the subject of its certificate.
struct Identity {
  enum class Kind { kUnix, kLoopback, kCertificate, kUnknown };
  Kind kind = Kind::kUnknown;
  std::string name;  // of a certificate: its common name, else its first alternative name

  // For the log: "unix", "loopback", "cn=alice".
  std::string Text() const;
};

Identity IdentityOf(const grpc::ServerContextBase& context);

// Every request passes here before anything else is done for it. Everybody authenticated may do
// everything as yet; UNAUTHENTICATED for who is not. `method`: "ContainerService/Stop".
absl::Status Authorize(const Identity& identity, std::string_view method);

// A call that may last for long and whose client can go on elsewhere or later.
class Interruptible {
 public:
  virtual ~Interruptible() = default;
  // Ends the call with UNAVAILABLE. On any thread; also after the call's end.
  virtual void Interrupt() = 0;
};

// All calls of a server. Thread-safe. Outlives them.
class CallSet {
 public:
  // UNAVAILABLE once draining; then neither Leave nor Forget follows.
  absl::Status Enter();
  void Leave();
  // Between Enter and Leave. Interrupts at once when draining has begun meanwhile.
  void RememberLong(const void* key, std::weak_ptr<Interruptible> call);
  void ForgetLong(const void* key);

  // Refuses new calls, interrupts the long ones, waits until the others have ended or the time is
  // over. Returns how many are left.
  size_t Drain(absl::Duration most);

  // Of every call, also of those that were not let in.
  RequestMetrics& requests() { return requests_; }

 private:
  bool IsEmpty() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return count_ == 0; }

  RequestMetrics requests_;
  absl::Mutex mutex_;
  size_t count_ ABSL_GUARDED_BY(mutex_) = 0;
  bool draining_ ABSL_GUARDED_BY(mutex_) = false;
  std::unordered_map<const void*, std::weak_ptr<Interruptible>> long_ ABSL_GUARDED_BY(mutex_);
};

// Owned by the call's reactor; its end is the request's line in the log: method, container, who,
// duration, code. Never any content. Thread-compatible.
class Call {
 public:
  // `method` is a literal, `calls` outlives this.
  Call(CallSet* calls, const grpc::CallbackServerContext& context, std::string_view method);
  ~Call();
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  // OK, or why the call is not let in.
  const absl::Status& admission() const { return admission_; }
  void MayBeInterrupted(std::weak_ptr<Interruptible> call);
  void set_container(const std::string& container) { container_ = container; }
  void set_status(const grpc::Status& status) {
    code_ = status.error_code();
    error_ = status.error_message();
  }
  // What a client that is gone would have seen.
  absl::Status GoneStatus() const;

 private:
  CallSet* const calls_;
  const std::string_view method_;
  const absl::Time start_ = absl::Now();
  const absl::Time deadline_;
  const Identity identity_;
  absl::Status admission_;
  bool entered_ = false;
  std::string container_;
  grpc::StatusCode code_ = grpc::StatusCode::UNKNOWN;
  std::string error_;
};

}  // namespace noded::server

#endif  // SERVER_CALL_H_
