#include "server/log.h"

#include <atomic>
#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "grpc/support/log.h"
#include "node/base/string_view.h"
#include "server/status.h"
#include "spdlog/async.h"
#include "spdlog/sinks/stdout_sinks.h"
#include "spdlog/spdlog.h"

namespace noded::server {
namespace {

// spdlog allocates its queue at once, some 400 bytes a slot.
constexpr size_t kQueuedLines = 1024;
constexpr size_t kMostValueBytes = 4096;

std::atomic<LogFormat> log_format{LogFormat::kText};
std::atomic<bool> log_started{false};

std::string_view LevelName(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return "debug";
    case LogLevel::kInfo:
      return "info";
    case LogLevel::kWarning:
      return "warn";
    case LogLevel::kError:
      return "error";
  }
  return "error";
}

spdlog::level::level_enum SpdlogLevel(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return spdlog::level::debug;
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarning:
      return spdlog::level::warn;
    case LogLevel::kError:
      return spdlog::level::err;
  }
  return spdlog::level::err;
}

// Quotes as JSON does, so that no byte of a client's string can forge a line of the log.
void AppendQuoted(std::string* line, std::string_view value) {
  line->push_back('"');
  for (const char c : HeaderText(value, kMostValueBytes)) {
    switch (c) {
      case '"':
        line->append("\\\"");
        break;
      case '\\':
        line->append("\\\\");
        break;
      case '\n':
        line->append("\\n");
        break;
      case '\t':
        line->append("\\t");
        break;
      default:
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
          absl::StrAppendFormat(line, "\\u%04x", static_cast<unsigned>(c));
        } else {
          line->push_back(c);
        }
    }
  }
  line->push_back('"');
}

bool IsBare(std::string_view value) {
  if (value.empty()) return false;
  for (const char c : value) {
    if (c <= ' ' || c > '~' || c == '"' || c == '=' || c == '\\') return false;
  }
  return true;
}

void AppendField(std::string* line, LogFormat format, std::string_view key,
                 std::string_view value) {
  if (format == LogFormat::kJson) {
    line->append(line->empty() ? "{" : ",");
    AppendQuoted(line, key);
    line->push_back(':');
    AppendQuoted(line, value);
    return;
  }
  if (!line->empty()) line->push_back(' ');
  line->append(key).push_back('=');
  if (IsBare(value)) {
    line->append(value.substr(0, kMostValueBytes));
  } else {
    AppendQuoted(line, value);
  }
}

// gRPC speaks through this of what it refuses by itself: a failed handshake, a port in use.
void TakeGrpcLine(gpr_log_func_args* args) {
  const LogLevel level =
      args->severity == GPR_LOG_SEVERITY_ERROR ? LogLevel::kWarning : LogLevel::kDebug;
  Log(level, args->message, {{"source", "grpc"}});
}

}  // namespace

void StartLog(LogLevel level, LogFormat format) {
  log_format = format;
  spdlog::init_thread_pool(kQueuedLines, 1);
  auto logger = std::make_shared<spdlog::async_logger>(
      "noded", std::make_shared<spdlog::sinks::stderr_sink_mt>(), spdlog::thread_pool(),
      spdlog::async_overflow_policy::overrun_oldest);
  logger->set_level(SpdlogLevel(level));
  logger->set_pattern("%v");
  logger->flush_on(spdlog::level::debug);
  spdlog::set_default_logger(std::move(logger));
  log_started = true;
  gpr_set_log_function(TakeGrpcLine);
}

void StopLog() {
  log_started = false;
  spdlog::shutdown();
}

void Log(LogLevel level, std::string_view message, const std::vector<LogField>& fields) {
  if (!log_started) return;
  spdlog::logger* const logger = spdlog::default_logger_raw();
  if (!logger->should_log(SpdlogLevel(level))) return;
  const std::string line = RenderLogLine(log_format, absl::Now(), level, message, fields);
  logger->log(SpdlogLevel(level), spdlog::string_view_t(line.data(), line.size()));
}

std::string RenderLogLine(LogFormat format, absl::Time time, LogLevel level,
                          std::string_view message, const std::vector<LogField>& fields) {
  std::string line;
  AppendField(&line, format, "time",
              absl::FormatTime("%Y-%m-%dT%H:%M:%E6SZ", time, absl::UTCTimeZone()));
  AppendField(&line, format, "level", LevelName(level));
  AppendField(&line, format, "msg", message);
  for (const LogField& field : fields) AppendField(&line, format, field.key, field.value);
  if (format == LogFormat::kJson) line.push_back('}');
  return line;
}

}  // namespace noded::server
