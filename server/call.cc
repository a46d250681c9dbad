#include "server/call.h"

#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "grpc/grpc_security_constants.h"
#include "node/base/string_view.h"
#include "server/log.h"
#include "server/status.h"

namespace noded::server {
namespace {

std::string FirstProperty(const grpc::AuthContext& context, const char* name) {
  const std::vector<grpc::string_ref> values = context.FindPropertyValues(name);
  return values.empty() ? "" : std::string(values[0].data(), values[0].size());
}

}  // namespace

std::string Identity::Text() const {
  switch (kind) {
    case Kind::kUnix:
      return "unix";
    case Kind::kLoopback:
      return "loopback";
    case Kind::kCertificate:
      return absl::StrCat("cn=", name);
    case Kind::kUnknown:
      break;
  }
  return "unknown";
}

Identity IdentityOf(const grpc::ServerContextBase& context) {
  const std::shared_ptr<const grpc::AuthContext> auth = context.auth_context();
  if (auth != nullptr && auth->IsPeerAuthenticated()) {
    std::string name = FirstProperty(*auth, GRPC_X509_CN_PROPERTY_NAME);
    if (name.empty()) name = FirstProperty(*auth, GRPC_X509_SAN_PROPERTY_NAME);
    return {Identity::Kind::kCertificate, std::move(name)};
  }
  // Plain TCP is served on loopback alone (CheckTransport), so what is not a Unix socket is that.
  const std::string peer = context.peer();
  if (absl::StartsWith(peer, "unix:")) return {Identity::Kind::kUnix, ""};
  if (absl::StartsWith(peer, "ipv4:127.") || absl::StartsWith(peer, "ipv6:%5B::1%5D") ||
      absl::StartsWith(peer, "ipv6:[::1]")) {
    return {Identity::Kind::kLoopback, ""};
  }
  return {};
}

absl::Status Authorize(const Identity& identity, std::string_view method) {
  if (identity.kind != Identity::Kind::kUnknown) return absl::OkStatus();
  return absl::UnauthenticatedError(absl::StrCat("call ", AsAbsl(method), ": who are you?"));
}

absl::Status CallSet::Enter() {
  const absl::MutexLock lock(&mutex_);
  if (draining_) return absl::UnavailableError("noded is shutting down");
  ++count_;
  return absl::OkStatus();
}

void CallSet::Leave() {
  const absl::MutexLock lock(&mutex_);
  --count_;
}

void CallSet::RememberLong(const void* key, std::weak_ptr<Interruptible> call) {
  {
    const absl::MutexLock lock(&mutex_);
    long_[key] = call;
    if (!draining_) return;
  }
  if (const auto alive = call.lock()) alive->Interrupt();
}

void CallSet::ForgetLong(const void* key) {
  const absl::MutexLock lock(&mutex_);
  long_.erase(key);
}

size_t CallSet::Drain(absl::Duration most) {
  std::vector<std::weak_ptr<Interruptible>> interrupted;
  {
    const absl::MutexLock lock(&mutex_);
    draining_ = true;
    for (const auto& [key, call] : long_) interrupted.push_back(call);
  }
  // Without the lock, because an interrupted call comes back to Leave.
  for (const auto& call : interrupted) {
    if (const auto alive = call.lock()) alive->Interrupt();
  }
  const absl::MutexLock lock(&mutex_);
  mutex_.AwaitWithTimeout(absl::Condition(this, &CallSet::IsEmpty), most);
  return count_;
}

Call::Call(CallSet* calls, const grpc::CallbackServerContext& context, std::string_view method)
    : calls_(calls),
      method_(method),
      deadline_(absl::FromChrono(context.deadline())),
      identity_(IdentityOf(context)) {
  calls_->requests().Begin();
  admission_ = Authorize(identity_, method);
  if (admission_.ok()) admission_ = calls_->Enter();
  entered_ = admission_.ok();
}

Call::~Call() {
  const absl::Duration duration = absl::Now() - start_;
  calls_->requests().End(method_, code_, duration);
  std::vector<LogField> fields = {{"method", std::string(method_)}};
  if (!container_.empty()) fields.push_back({"container", container_});
  fields.push_back({"client", identity_.Text()});
  fields.push_back({"duration_ms", absl::StrFormat("%.2f", absl::ToDoubleMilliseconds(duration))});
  fields.push_back({"code", std::string(CodeName(code_))});
  if (code_ != grpc::StatusCode::OK) fields.push_back({"error", error_});
  Log(LogLevel::kInfo, "request", fields);
  if (!entered_) return;
  calls_->ForgetLong(this);
  calls_->Leave();
}

void Call::MayBeInterrupted(std::weak_ptr<Interruptible> call) {
  if (entered_) calls_->RememberLong(this, std::move(call));
}

absl::Status Call::GoneStatus() const {
  return absl::Now() >= deadline_ ? absl::DeadlineExceededError("the caller's deadline has passed")
                                  : absl::CancelledError("the caller has gone away");
}

}  // namespace noded::server
