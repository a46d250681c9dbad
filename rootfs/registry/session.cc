#include "rootfs/registry/session.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/time/clock.h"
#include "node/base/status.h"
#include "node/base/string_view.h"
#include "rootfs/registry/quote.h"

namespace noded::registry {
namespace {

constexpr int kMaxRedirects = 5;
constexpr size_t kMaxPlainHosts = 1024;

bool IsRedirect(int status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

bool MayPass(int status) { return status == 429 || (status >= 500 && status != 501); }

// Some hosts repeat the request in their errors.
void RemoveSecrets(HttpAnswer& answer, const std::string& authorization,
                   const Credentials& credentials) {
  if (answer.success()) return;
  const size_t blank = authorization.find(' ');
  if (blank != authorization.npos)
    answer.body =
        absl::StrReplaceAll(answer.body, {{authorization.substr(blank + 1), "[redacted]"}});
  answer.body = Redacted(std::move(answer.body), credentials);
}

void Fail(Exchange& exchange, Failure failure, absl::Status status) {
  exchange.failure = failure;
  exchange.status = std::move(status);
}

absl::StatusCode CodeOf(int status) {
  switch (status) {
    case 400:
    case 413:
    case 422:
      return absl::StatusCode::kInvalidArgument;
    case 401:
      return absl::StatusCode::kUnauthenticated;
    case 403:
      return absl::StatusCode::kPermissionDenied;
    case 404:
      return absl::StatusCode::kNotFound;
    case 416:
      return absl::StatusCode::kDataLoss;
    case 429:
      return absl::StatusCode::kResourceExhausted;
    default:
      return status >= 500 ? absl::StatusCode::kUnavailable : absl::StatusCode::kFailedPrecondition;
  }
}

std::string_view ReasonFor(absl::StatusCode code) {
  switch (code) {
    case absl::StatusCode::kUnauthenticated:
    case absl::StatusCode::kPermissionDenied:
      return reason::kRegistryDenied;
    case absl::StatusCode::kNotFound:
      return reason::kImageNotFound;
    case absl::StatusCode::kDataLoss:
      return reason::kContentDamaged;
    case absl::StatusCode::kResourceExhausted:
      return reason::kLimitReached;
    case absl::StatusCode::kUnavailable:
      return reason::kRegistryUnreachable;
    case absl::StatusCode::kInvalidArgument:
      return reason::kInvalidArgument;
    default:
      return reason::kNotSupported;
  }
}

// Known, and not allowed (RFC 6750, 3.1): no other credentials were asked for.
bool IsKnownButRefused(const HttpAnswer& answer, const Credentials& credentials) {
  return answer.status == 401 && !credentials.empty() &&
         absl::StrContains(answer.Header("www-authenticate"), "insufficient_scope");
}

}  // namespace

void PlainHosts::Add(const Url& url) {
  absl::MutexLock lock(&mutex_);
  if (authorities_.size() < kMaxPlainHosts)
    authorities_.insert(absl::StrCat(url.host, ":", url.port));
}

bool PlainHosts::Has(const Url& url) const {
  absl::MutexLock lock(&mutex_);
  return authorities_.contains(absl::StrCat(url.host, ":", url.port));
}

absl::Duration ParseRetryAfter(std::string_view text, absl::Time now) {
  int64_t seconds = 0;
  if (absl::SimpleAtoi(AsAbsl(text), &seconds))
    return absl::Seconds(std::clamp<int64_t>(seconds, 0, 1'000'000));
  absl::Time date;
  std::string ignored;
  if (absl::ParseTime("%a, %d %b %Y %H:%M:%S GMT", AsAbsl(text), absl::UTCTimeZone(), &date,
                      &ignored))
    return std::max(date - now, absl::ZeroDuration());
  return absl::ZeroDuration();
}

void Retries::Wait(absl::Duration delay) const {
  constexpr absl::Duration kLook = absl::Milliseconds(50);
  const absl::Time end = absl::Now() + delay;
  for (absl::Time now = absl::Now(); now < end && !cancel_.Cancelled(); now = absl::Now())
    absl::SleepFor(std::min(kLook, end - now));
}

bool Retries::Again(const Exchange& exchange) {
  int cost = 1;
  absl::Duration asked;
  switch (exchange.failure) {
    case Failure::kNone:
      if (!MayPass(exchange.answer.status) || !last_) return false;
      asked = ParseRetryAfter(exchange.answer.Header("retry-after"), absl::Now());
      if (asked > options_.longest_retry_after) return false;
      break;
    case Failure::kBroken:
      break;
    case Failure::kUnreachable:  // what is not there seldom comes within seconds
    case Failure::kStalled:      // has taken its time already
      cost = 2;
      break;
    default:
      return false;
  }
  const absl::Duration delay =
      spent_ == 0 ? absl::ZeroDuration()
                  : std::min(options_.first_delay * std::exp2(spent_ - 1), options_.longest_delay);
  spent_ += cost;
  // Of several hosts each gets a second chance, but the next one is the better one.
  if (spent_ >= (last_ ? options_.attempts : 2)) return false;
  // From half of it to one and a half: many that were cut off together do not come back together.
  const double jitter = 0.5 + static_cast<double>(absl::GetCurrentTimeNanos() % 1000) / 1000;
  Wait(std::max(delay * jitter, asked));
  return true;
}

Session::Session(Connections& connections, Host host, Grant grant, const Cancel& cancel, bool last)
    : connections_(connections),
      host_(std::move(host)),
      grant_(std::move(grant)),
      cancel_(cancel),
      last_(last) {
  if (host_.scheme_is_guessed && connections_.plain.Has(grant_.api)) grant_.api.scheme = "http";
}

Url Session::At(std::string_view path) const {
  Url url = grant_.api;
  absl::StrAppend(&url.path, AsAbsl(path));
  // Tells a mirror of several registries which one is meant, as containerd does.
  if (host_.mirror) url.query = absl::StrCat("ns=", host_.registry);
  return url;
}

Exchange Session::Exchanged(HttpRequest& request, const std::string& authorization,
                            const BodySink& sink) {
  const std::vector<std::string> headers = request.headers;
  const auto perform = [&] {
    const bool ours = request.url.SameOrigin(grant_.api);
    request.tls = FilesFor(grant_.tls, grant_.api, request.url);
    request.headers = headers;
    if (ours) {
      request.headers.insert(request.headers.end(), host_.headers.begin(), host_.headers.end());
      if (!authorization.empty()) request.headers.push_back("Authorization: " + authorization);
    }
    Exchange exchange = connections_.pool.Perform(request, cancel_, sink);
    request.headers = headers;
    return exchange;
  };
  Exchange exchange = perform();
  if (exchange.failure != Failure::kNoTls || !host_.scheme_is_guessed ||
      !IsLoopback(grant_.api.host) || !request.url.SameOrigin(grant_.api))
    return exchange;
  connections_.plain.Add(grant_.api);
  grant_.api.scheme = "http";
  request.url.scheme = "http";
  return perform();
}

absl::Status Session::NextHop(const HttpAnswer& answer, HttpRequest& request) const {
  auto next = ResolveLocation(request.url, answer.Header("location"));
  if (!next.ok()) return Annotate(next.status(), "redirect");
  RETURN_IF_ERROR(CheckRedirect(request.url, *next));
  // The others turn a PUT or POST into a GET.
  const bool reads = request.method == "GET" || request.method == "HEAD";
  if (!reads && answer.status != 307 && answer.status != 308)
    return absl::FailedPreconditionError(
        absl::StrCat("answer ", answer.status, " to ", request.method, " is not followed"));
  request.url = *std::move(next);
  return absl::OkStatus();
}

Exchange Session::Follow(HttpRequest request, const std::string& authorization,
                         const BodySink& sink) {
  for (int hop = 0;; ++hop) {
    Exchange exchange = Exchanged(request, authorization, sink);
    if (exchange.failure != Failure::kNone || !IsRedirect(exchange.answer.status)) return exchange;
    absl::Status status = hop < kMaxRedirects ? NextHop(exchange.answer, request)
                                              : absl::FailedPreconditionError(absl::StrCat(
                                                    "more than ", kMaxRedirects, " redirects"));
    if (!status.ok()) {
      Fail(exchange, Failure::kFinal, std::move(status));
      return exchange;
    }
  }
}

Exchange Session::Send(HttpRequest request, const BodySink& sink) {
  for (bool renewed = false;; renewed = true) {
    // What was addressed before the host turned out to be plain http.
    if (host_.scheme_is_guessed && request.url.host == grant_.api.host &&
        request.url.port == grant_.api.port)
      request.url.scheme = grant_.api.scheme;
    const std::string authorization = connections_.authorizer.Known(grant_);
    Exchange exchange = Follow(request, authorization, sink);
    RemoveSecrets(exchange.answer, authorization, grant_.credentials);
    const HttpAnswer& answer = exchange.answer;
    if (exchange.failure != Failure::kNone || answer.status != 401) return exchange;
    if (!authorization.empty()) connections_.authorizer.Forget(grant_, authorization);
    if (!answer.from.SameOrigin(grant_.api)) return exchange;
    // A second 401 follows an authorization that was just made, and a third would be no other.
    if (renewed) return exchange;
    auto obtained =
        connections_.authorizer.Obtain(grant_, answer.Header("www-authenticate"), cancel_);
    if (!obtained.ok()) {
      Fail(exchange, absl::IsUnavailable(obtained.status()) ? Failure::kStalled : Failure::kFinal,
           obtained.status());
      return exchange;
    }
  }
}

Exchange Session::SendPatiently(const HttpRequest& request) {
  Retries retries = NewRetries();
  for (;;) {
    Exchange exchange = Send(request);
    if (!retries.Again(exchange)) return exchange;
  }
}

absl::Status Session::Refusal(std::string_view what, const Exchange& exchange) const {
  const HttpAnswer& answer = exchange.answer;
  const std::string host = answer.from.host.empty() ? Name() : answer.from.Authority();
  const std::string where = absl::StrCat(AsAbsl(what), ": registry ", host);
  if (exchange.failure != Failure::kNone) return Annotate(exchange.status, where);
  const std::string said = QuotedError(answer.body);
  const absl::StatusCode code = IsKnownButRefused(answer, grant_.credentials)
                                    ? absl::StatusCode::kPermissionDenied
                                    : CodeOf(answer.status);
  const std::string patience = answer.Header("retry-after");
  return WithReason(
      absl::Status(code, absl::StrCat(where, " answered ", answer.status, said.empty() ? "" : ": ",
                                      said, patience.empty() ? "" : " (retry after ",
                                      Quoted(patience), patience.empty() ? "" : ")")),
      ReasonFor(code));
}

}  // namespace noded::registry
