// One HTTP exchange at a time over libcurl, with connections kept between them. It follows no
// redirect and knows no authorization: whoever calls decides where which header goes.
#ifndef ROOTFS_REGISTRY_HTTP_H_
#define ROOTFS_REGISTRY_HTTP_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "node/base/cancel.h"
#include "rootfs/registry/hosts.h"
#include "rootfs/registry/url.h"

namespace noded::registry {

struct HttpRequest {
  std::string method = "GET";  // or HEAD, POST, PUT, DELETE
  Url url;
  std::vector<std::string> headers;  // "Name: value"
  TlsFiles tls;
  // Of POST and PUT: `body`, or where `body_fd` is not -1 that many bytes of it from offset 0.
  std::string_view body;
  int body_fd = -1;
  int64_t body_fd_bytes = 0;
  std::function<void(int64_t bytes)> sent;  // how many have been sent so far
  size_t max_body = 64 << 10;               // of the answer, unless it goes to a sink
};

struct HttpAnswer {
  Url from;  // of the request
  int status = 0;
  // By name in lower case. Several of one name are joined by ", ".
  std::map<std::string, std::string> headers;
  std::string body;  // of one that is no success, no more than its beginning

  bool success() const { return status >= 200 && status < 300; }
  // Empty when it is not there.
  std::string Header(const std::string& name) const;
};

enum class Failure {
  kNone,
  kUnreachable,  // no connection: nothing was sent
  kNoTls,        // what answered does not speak TLS
  kStalled,      // nothing came for too long
  kBroken,       // ended before the answer was whole
  kFinal,        // the same request would fail the same way
};

struct Exchange {
  Failure failure = Failure::kNone;
  absl::Status status;  // OK exactly without a failure
  HttpAnswer answer;    // with kBroken and kFinal as far as it came
};

// Takes the body of an answer that is a success, as it comes. An error ends the exchange (kFinal)
// and is its status.
using BodySink = std::function<absl::Status(const HttpAnswer& answer, std::string_view bytes)>;

struct HttpPatience {
  absl::Duration connect, stall, commit;  // as in ClientOptions
};

// Thread-safe. One connection at a time for each exchange under way, and a few idle ones.
class HttpPool {
 public:
  HttpPool(std::string user_agent, HttpPatience patience);
  ~HttpPool();

  // Looks at `cancel` every 100 ms (kFinal, CANCELLED). `sink` may be empty.
  Exchange Perform(const HttpRequest& request, const Cancel& cancel, const BodySink& sink = {});

 private:
  struct Line;  // a multi handle, which holds the connections, and an easy one
  std::unique_ptr<Line> Take(const Url& url);
  void GiveBack(std::unique_ptr<Line> line);

  const std::string user_agent_;
  const HttpPatience patience_;
  absl::Mutex mutex_;
  std::vector<std::unique_ptr<Line>> idle_ ABSL_GUARDED_BY(mutex_);  // the last used at the end
};

}  // namespace noded::registry

#endif  // ROOTFS_REGISTRY_HTTP_H_
