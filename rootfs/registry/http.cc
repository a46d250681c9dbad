#include "rootfs/registry/http.h"

#include <curl/curl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <mutex>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "node/base/status.h"
#include "node/base/string_view.h"
#include "rootfs/registry/quote.h"

namespace noded::registry {
namespace {

constexpr size_t kMaxHeaderBytes = 64 << 10;
constexpr size_t kMaxIdleLines = 4;
constexpr absl::Duration kMaxIdleTime = absl::Minutes(1);
constexpr int kLookMilliseconds = 100;
// What one read of a connection brings at most: larger ones are fewer calls of the sink.
constexpr long kReceiveBytes = 256 << 10;

struct FreeMulti {
  void operator()(CURLM* multi) const { curl_multi_cleanup(multi); }
};
struct FreeEasy {
  void operator()(CURL* easy) const { curl_easy_cleanup(easy); }
};
struct FreeList {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};

// What the callbacks of one exchange share. They run on the caller's thread, in curl_multi_perform.
class Transfer {
 public:
  Transfer(const HttpRequest& request, const BodySink& sink) : request_(request), sink_(sink) {}

  void Configure(CURL* easy, const HttpPatience& patience);
  Exchange Result(CURL* easy, CURLcode code);

  // OK, or what it has waited for too long.
  absl::Status Check(const HttpPatience& patience) const;

 private:
  static size_t OnHeader(char* bytes, size_t, size_t count, void* self);
  static size_t OnBody(char* bytes, size_t, size_t count, void* self);
  static size_t OnRead(char* bytes, size_t size, size_t count, void* self);
  static int OnSeek(void* self, curl_off_t offset, int origin);

  bool TakeHeader(std::string_view line);
  bool TakeBody(std::string_view bytes);
  size_t GiveBody(char* bytes, size_t count);
  void ConfigureMethod(CURL* easy);
  void ConfigureTls(CURL* easy);
  Failure FailureOf(CURL* easy, CURLcode code) const;

  const HttpRequest& request_;
  const BodySink& sink_;
  HttpAnswer answer_;
  const absl::Time begin_ = absl::Now();
  size_t header_bytes_ = 0;
  int64_t body_bytes_ = 0, sent_ = 0;
  // Of ours, when a callback ended the exchange.
  absl::Status stopped_;
  // An error's body was cut short; the answer counts all the same.
  bool enough_ = false;
  absl::Time last_activity_ = begin_;
  std::unique_ptr<curl_slist, FreeList> headers_;
  char error_[CURL_ERROR_SIZE] = "";
};

bool Transfer::TakeHeader(std::string_view line) {
  last_activity_ = absl::Now();
  // The status line begins anew after an answer that was only "100 Continue".
  if (absl::StartsWith(AsAbsl(line), "HTTP/")) {
    answer_.headers.clear();
    header_bytes_ = 0;
    const size_t blank = std::min(line.find(' '), line.size());
    if (!absl::SimpleAtoi(AsAbsl(line.substr(blank).substr(0, 4)), &answer_.status))
      answer_.status = 0;
  }
  header_bytes_ += line.size();
  if (header_bytes_ > kMaxHeaderBytes) {
    stopped_ = absl::ResourceExhaustedError(
        absl::StrCat("answer has over ", kMaxHeaderBytes, " bytes of headers"));
    return false;
  }
  const size_t colon = line.find(':');
  if (colon == line.npos) return true;
  std::string& value = answer_.headers[absl::AsciiStrToLower(AsAbsl(line.substr(0, colon)))];
  const absl::string_view text = absl::StripAsciiWhitespace(AsAbsl(line.substr(colon + 1)));
  absl::StrAppend(&value, value.empty() ? "" : ", ", text);
  return true;
}

bool Transfer::TakeBody(std::string_view bytes) {
  if (answer_.success() && sink_ != nullptr) {
    stopped_ = sink_(answer_, bytes);
    last_activity_ = absl::Now();  // the sink's own time is not the connection's
    return stopped_.ok();
  }
  last_activity_ = absl::Now();
  const size_t room = request_.max_body - answer_.body.size();
  answer_.body.append(bytes.substr(0, room));
  if (bytes.size() <= room) return true;
  if (answer_.success())
    stopped_ = WithReason(
        absl::ResourceExhaustedError(absl::StrCat("answer has over ", request_.max_body, " bytes")),
        reason::kLimitReached);
  enough_ = !answer_.success();
  return false;
}

size_t Transfer::OnHeader(char* bytes, size_t, size_t count, void* self) {
  return static_cast<Transfer*>(self)->TakeHeader({bytes, count}) ? count : 0;
}

size_t Transfer::OnBody(char* bytes, size_t, size_t count, void* self) {
  auto* transfer = static_cast<Transfer*>(self);
  return transfer->TakeBody({bytes, count}) ? count : CURL_WRITEFUNC_ERROR;
}

size_t Transfer::GiveBody(char* bytes, size_t count) {
  last_activity_ = absl::Now();
  count = std::min<uint64_t>(count, body_bytes_ - sent_);
  if (request_.body_fd < 0) {
    memcpy(bytes, request_.body.data() + sent_, count);
  } else if (count > 0) {
    ssize_t got;
    do got = pread(request_.body_fd, bytes, count, sent_);
    while (got < 0 && errno == EINTR);
    if (got <= 0) {
      stopped_ = got < 0 ? ErrnoStatus(errno, "read what is to be uploaded")
                         : absl::DataLossError(absl::StrCat("what is to be uploaded has ", sent_,
                                                            " bytes instead of ", body_bytes_));
      return CURL_READFUNC_ABORT;
    }
    count = got;
  }
  sent_ += count;
  if (request_.sent != nullptr) request_.sent(sent_);
  return count;
}

size_t Transfer::OnRead(char* bytes, size_t size, size_t count, void* self) {
  return static_cast<Transfer*>(self)->GiveBody(bytes, size * count);
}

int Transfer::OnSeek(void* self, curl_off_t offset, int origin) {
  if (origin != SEEK_SET || offset < 0) return CURL_SEEKFUNC_CANTSEEK;
  static_cast<Transfer*>(self)->sent_ = offset;
  return CURL_SEEKFUNC_OK;
}

void Transfer::ConfigureMethod(CURL* easy) {
  const std::string& method = request_.method;
  if (method == "HEAD") {
    curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
  } else if (method == "POST") {
    curl_easy_setopt(easy, CURLOPT_POST, 1L);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, request_.body.data() ? request_.body.data() : "");
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, curl_off_t(request_.body.size()));
  } else if (method == "PUT") {
    body_bytes_ = request_.body_fd < 0 ? request_.body.size() : request_.body_fd_bytes;
    curl_easy_setopt(easy, CURLOPT_UPLOAD, 1L);
    curl_easy_setopt(easy, CURLOPT_INFILESIZE_LARGE, curl_off_t(body_bytes_));
    curl_easy_setopt(easy, CURLOPT_READFUNCTION, &OnRead);
    curl_easy_setopt(easy, CURLOPT_READDATA, this);
    curl_easy_setopt(easy, CURLOPT_SEEKFUNCTION, &OnSeek);
    curl_easy_setopt(easy, CURLOPT_SEEKDATA, this);
  } else if (method != "GET") {
    curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, method.c_str());
  }
}

void Transfer::ConfigureTls(CURL* easy) {
  const TlsFiles& tls = request_.tls;
  curl_easy_setopt(easy, CURLOPT_SSLVERSION, long{CURL_SSLVERSION_TLSv1_2});
  if (!tls.ca_file.empty()) {
    curl_easy_setopt(easy, CURLOPT_CAINFO, tls.ca_file.c_str());
    // Besides, not instead: a registry with an authority of its own may keep its blobs elsewhere.
    curl_easy_setopt(easy, CURLOPT_CAPATH, "/etc/ssl/certs");
  }
  if (!tls.certificate_file.empty()) {
    curl_easy_setopt(easy, CURLOPT_SSLCERT, tls.certificate_file.c_str());
    curl_easy_setopt(easy, CURLOPT_SSLKEY, tls.key_file.c_str());
  }
  if (tls.skip_verify) {
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 0L);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 0L);
  }
}

void Transfer::Configure(CURL* easy, const HttpPatience& patience) {
  curl_easy_setopt(easy, CURLOPT_URL, request_.url.ToString().c_str());
  curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);  // signals are the whole process's
  curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, long{CURL_HTTP_VERSION_2TLS});
  // Otherwise the end of a cancelled exchange waits for its name to be resolved; the thread that
  // does it then cleans up by itself (libcurl, lib/asyn-thread.c).
  curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
  curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
  curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, kReceiveBytes);
  curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);  // a proxy's are no answer
  curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS,
                   long{absl::ToInt64Milliseconds(patience.connect)});
  // Proxies are those of the environment; no proxy could reach this machine's loopback.
  if (IsLoopback(request_.url.host)) curl_easy_setopt(easy, CURLOPT_NOPROXY, "*");
  ConfigureMethod(easy);
  ConfigureTls(easy);
  for (const std::string& header : request_.headers) {
    curl_slist* longer = curl_slist_append(headers_.get(), header.c_str());
    if (longer == nullptr) continue;
    (void)headers_.release();
    headers_.reset(longer);
  }
  curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers_.get());
  curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, &OnHeader);
  curl_easy_setopt(easy, CURLOPT_HEADERDATA, this);
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, &OnBody);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, this);
  curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, error_);
}

absl::Status Transfer::Check(const HttpPatience& patience) const {
  const absl::Time now = absl::Now();
  const bool all_sent = body_bytes_ > 0 && sent_ == body_bytes_;
  const absl::Duration silence = all_sent ? patience.commit : patience.stall;
  if (now - last_activity_ > silence)
    return absl::UnavailableError(absl::StrCat("no byte for ", absl::FormatDuration(silence)));
  // A short answer that comes byte by byte would hold us for ever.
  const bool is_short = sink_ == nullptr && body_bytes_ == 0;
  if (is_short && now - begin_ > patience.commit)
    return absl::UnavailableError(
        absl::StrCat("no whole answer for ", absl::FormatDuration(patience.commit)));
  return absl::OkStatus();
}

Failure Transfer::FailureOf(CURL* easy, CURLcode code) const {
  switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_CONNECT:
    case CURLE_OPERATION_TIMEDOUT:  // of the connection: other limits are ours
      return Failure::kUnreachable;
    case CURLE_SSL_CONNECT_ERROR:
      // What OpenSSL makes of an answer in plain HTTP.
      return absl::StrContains(error_, "wrong version number") ||
                     absl::StrContains(error_, "packet length too long") ||
                     absl::StrContains(error_, "http request")
                 ? Failure::kNoTls
                 : Failure::kBroken;
    case CURLE_PARTIAL_FILE:
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
    case CURLE_GOT_NOTHING:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
    case CURLE_SEND_FAIL_REWIND:
    case CURLE_UPLOAD_FAILED:
      return Failure::kBroken;
    default:
      return Failure::kFinal;  // certificates, malformed answers, memory
  }
}

Exchange Transfer::Result(CURL* easy, CURLcode code) {
  Exchange exchange;
  exchange.answer = std::move(answer_);
  exchange.answer.from = request_.url;
  if (!stopped_.ok()) {
    exchange.failure = Failure::kFinal;
    exchange.status = stopped_;
    return exchange;
  }
  if (code == CURLE_OK || enough_) return exchange;
  exchange.failure = FailureOf(easy, code);
  long error = 0;
  curl_easy_getinfo(easy, CURLINFO_OS_ERRNO, &error);
  std::string why = error_[0] != '\0' ? error_ : curl_easy_strerror(code);
  if (exchange.failure == Failure::kUnreachable && error != 0) why = ErrnoText(error);
  exchange.status = WithReason(exchange.failure == Failure::kFinal
                                   ? absl::FailedPreconditionError(AsAbsl(Quoted(why)))
                                   : absl::UnavailableError(AsAbsl(Quoted(why))),
                               reason::kRegistryUnreachable);
  return exchange;
}

Exchange Ended(Failure failure, absl::Status status) {
  Exchange exchange;
  exchange.failure = failure;
  exchange.status = std::move(status);
  return exchange;
}

}  // namespace

std::string HttpAnswer::Header(const std::string& name) const {
  const auto found = headers.find(name);
  return found == headers.end() ? "" : found->second;
}

struct HttpPool::Line {
  // The easy handle goes first: it is the multi handle's guest.
  std::unique_ptr<CURLM, FreeMulti> multi{curl_multi_init()};
  std::unique_ptr<CURL, FreeEasy> easy{curl_easy_init()};
  Url last;
  absl::Time since;
};

HttpPool::HttpPool(std::string user_agent, HttpPatience patience)
    : user_agent_(std::move(user_agent)), patience_(patience) {
  static std::once_flag once;
  std::call_once(once, [] { curl_global_init(CURL_GLOBAL_DEFAULT); });
}

HttpPool::~HttpPool() = default;

// One that was connected to the same place if there is, else a new one: a line for another place
// would keep its connection beside the new one.
std::unique_ptr<HttpPool::Line> HttpPool::Take(const Url& url) {
  std::vector<std::unique_ptr<Line>> stale;  // closed without the lock: a close may send
  absl::MutexLock lock(&mutex_);
  const absl::Time oldest = absl::Now() - kMaxIdleTime;
  const auto split = std::stable_partition(idle_.begin(), idle_.end(),
                                           [&](const auto& line) { return line->since >= oldest; });
  std::move(split, idle_.end(), std::back_inserter(stale));
  idle_.erase(split, idle_.end());
  const auto found = std::find_if(idle_.rbegin(), idle_.rend(),
                                  [&](const auto& line) { return line->last.SameOrigin(url); });
  if (found == idle_.rend()) return std::make_unique<Line>();
  std::unique_ptr<Line> line = std::move(*found);
  idle_.erase(std::next(found).base());
  return line;
}

void HttpPool::GiveBack(std::unique_ptr<Line> line) {
  std::unique_ptr<Line> oldest;
  absl::MutexLock lock(&mutex_);
  idle_.push_back(std::move(line));
  if (idle_.size() <= kMaxIdleLines) return;
  oldest = std::move(idle_.front());
  idle_.erase(idle_.begin());
}

Exchange HttpPool::Perform(const HttpRequest& request, const Cancel& cancel, const BodySink& sink) {
  if (cancel.Cancelled()) return Ended(Failure::kFinal, absl::CancelledError("cancelled"));
  std::unique_ptr<Line> line = Take(request.url);
  CURL* easy = line->easy.get();
  CURLM* multi = line->multi.get();
  if (easy == nullptr || multi == nullptr)
    return Ended(Failure::kFinal, absl::ResourceExhaustedError("no memory for a connection"));
  curl_easy_reset(easy);  // options, not connections
  curl_easy_setopt(easy, CURLOPT_USERAGENT, user_agent_.c_str());
  Transfer transfer(request, sink);
  transfer.Configure(easy, patience_);
  curl_multi_add_handle(multi, easy);
  Exchange exchange;
  for (;;) {
    int running = 0, left = 0;
    curl_multi_perform(multi, &running);
    if (const CURLMsg* message = curl_multi_info_read(multi, &left); message != nullptr) {
      exchange = transfer.Result(easy, message->data.result);
      break;
    }
    if (cancel.Cancelled()) {
      exchange = Ended(Failure::kFinal, absl::CancelledError("cancelled"));
      break;
    }
    if (absl::Status status = transfer.Check(patience_); !status.ok()) {
      exchange = Ended(Failure::kStalled, WithReason(status, reason::kRegistryUnreachable));
      break;
    }
    curl_multi_poll(multi, nullptr, 0, kLookMilliseconds, nullptr);
  }
  curl_multi_remove_handle(multi, easy);
  line->last = request.url;
  line->since = absl::Now();
  GiveBack(std::move(line));
  return exchange;
}

}  // namespace noded::registry
