// Signal names as kill(1) takes them.
#include <signal.h>

#include <cctype>
#include <optional>
#include <string>
#include <string_view>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "node/base/status.h"
#include "node/base/string_view.h"
#include "node/launch/plan.h"
#include "node/launch/quote.h"

namespace noded::launch {
namespace {

constexpr int kLastSignal = 64;
// As libc and every shell count them: the kernel's first two real-time signals belong to libc's
// threads.
constexpr int kFirstRealtime = 34;

// "RTMIN", "RTMIN+3", "RTMAX-1".
std::optional<int> RealtimeSignal(std::string_view name) {
  int base = 0, sign = 0;
  if (name.starts_with("RTMIN")) {
    base = kFirstRealtime, sign = '+';
  } else if (name.starts_with("RTMAX")) {
    base = kLastSignal, sign = '-';
  } else {
    return std::nullopt;
  }
  std::string_view rest = name.substr(5);
  if (rest.empty()) return base;
  int offset = 0;
  if (rest[0] != sign || rest.size() > 3 || !std::isdigit(static_cast<unsigned char>(rest[1])) ||
      !absl::SimpleAtoi(AsAbsl(rest.substr(1)), &offset)) {
    return std::nullopt;
  }
  int signal = sign == '+' ? base + offset : base - offset;
  if (signal < kFirstRealtime || signal > kLastSignal) return std::nullopt;
  return signal;
}

std::optional<int> NamedSignal(std::string_view name) {
  for (int signal = 1; signal < kFirstRealtime; ++signal) {
    // The abbreviations are compiled into libc, not looked up in a locale.
    const char* abbreviation = sigabbrev_np(signal);
    if (abbreviation != nullptr && name == abbreviation) return signal;
  }
  // Second names that libc does not tell.
  if (name == "IOT") return SIGABRT;
  if (name == "CLD") return SIGCHLD;
  if (name == "IO") return SIGIO;
  return RealtimeSignal(name);
}

bool AllDigits(std::string_view text) {
  for (char c : text) {
    if (!std::isdigit(static_cast<unsigned char>(c))) return false;
  }
  return !text.empty();
}

}  // namespace

absl::StatusOr<int> ParseSignal(const std::string& text, const std::string& field) {
  if (AllDigits(text)) {
    int number = 0;
    if (absl::SimpleAtoi(text, &number) && number >= 1 && number <= kLastSignal) return number;
    return InvalidField(field,
                        absl::StrCat("signal number ", Quote(text), " must be 1 to ", kLastSignal));
  }
  std::string upper = absl::AsciiStrToUpper(text);
  std::string_view name = upper;
  if (name.starts_with("SIG")) name.remove_prefix(3);
  if (std::optional<int> signal = NamedSignal(name)) return *signal;
  return InvalidField(
      field, absl::StrCat("unknown signal ", Quote(text),
                          "; must be a name like \"SIGTERM\" or \"TERM\", or a number of 1 to ",
                          kLastSignal));
}

}  // namespace noded::launch
