// One caller's dealings with one host: addresses below its API, authorization, redirects, and the
// patience to try again.
#ifndef ROOTFS_REGISTRY_SESSION_H_
#define ROOTFS_REGISTRY_SESSION_H_

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "node/base/cancel.h"
#include "rootfs/registry/authorizer.h"
#include "rootfs/registry/http.h"
#include "rootfs/registry/registry_client.h"

namespace noded::registry {

// Hosts on loopback that turned out to speak plain http. Thread-safe.
class PlainHosts {
 public:
  void Add(const Url& url);
  bool Has(const Url& url) const;

 private:
  mutable absl::Mutex mutex_;
  std::set<std::string> authorities_ ABSL_GUARDED_BY(mutex_);
};

// What all sessions of a client share; outlives them.
struct Connections {
  const ClientOptions& options;
  HttpPool pool;
  Authorizer authorizer;
  PlainHosts plain;
};

// How long a request is tried again. Single-threaded.
class Retries {
 public:
  // `last`: there is no other host to go on with, so this one is worth waiting for.
  Retries(const ClientOptions& options, const Cancel& cancel, bool last)
      : options_(options), cancel_(cancel), last_(last) {}

  // Whether to try again after such an end. Has waited then: not at all after a try that brought
  // something, else longer each time, or as long as the host said. Returns early when cancelled.
  bool Again(const Exchange& exchange);
  // The try brought something.
  void Progress() { spent_ = 0; }

 private:
  void Wait(absl::Duration delay) const;

  const ClientOptions& options_;
  const Cancel& cancel_;
  const bool last_;
  int spent_ = 0;
};

// Seconds or a date (RFC 9110, 10.2.3). Zero when it is neither. Pure.
absl::Duration ParseRetryAfter(std::string_view text, absl::Time now);

// Single-threaded.
class Session {
 public:
  // `grant.api` is the host's. All is borrowed but grant and host.
  Session(Connections& connections, Host host, Grant grant, const Cancel& cancel, bool last);

  // `path` begins below the API: "/library/busybox/manifests/latest".
  Url At(std::string_view path) const;
  Retries NewRetries() const { return Retries(connections_.options, cancel_, last_); }

  // One exchange: with authorization, which is renewed once, along redirects, to `request.url`,
  // which is of this host or where it sent us. An answer that is 401 is a failure (kFinal).
  Exchange Send(HttpRequest request, const BodySink& sink = {});
  // The same, tried again as NewRetries() has it.
  Exchange SendPatiently(const HttpRequest& request);

  // Why `exchange` is not what was hoped for, as a status: a failure, or an answer by its status.
  absl::Status Refusal(std::string_view what, const Exchange& exchange) const;
  std::string Name() const { return grant_.api.Authority(); }
  const Cancel& cancel() const { return cancel_; }

 private:
  // Redirects are followed by hand, because what goes along depends on where they lead.
  Exchange Follow(HttpRequest request, const std::string& authorization, const BodySink& sink);
  // One request as it is; finds out that a host on loopback speaks plain http.
  Exchange Exchanged(HttpRequest& request, const std::string& authorization, const BodySink& sink);
  absl::Status NextHop(const HttpAnswer& answer, HttpRequest& request) const;

  Connections& connections_;
  Host host_;
  Grant grant_;
  const Cancel& cancel_;
  const bool last_;
};

}  // namespace noded::registry

#endif  // ROOTFS_REGISTRY_SESSION_H_
