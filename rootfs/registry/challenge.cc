#include "rootfs/registry/challenge.h"

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "node/base/string_view.h"

namespace noded::registry {
namespace {

constexpr std::string_view kBlanks = " \t";

// RFC 9110, 5.6.2.
bool IsTokenByte(char c) {
  return absl::ascii_isalnum(c) || std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string::npos;
}

// Reads a header from left to right; each Take says whether it found what it is named for.
class Reader {
 public:
  explicit Reader(std::string_view text) : rest_(text) {}

  bool AtEnd() const { return rest_.empty(); }
  void Skip(std::string_view bytes) {
    rest_.remove_prefix(std::min(rest_.find_first_not_of(bytes), rest_.size()));
  }
  bool Take(char c) {
    if (rest_.empty() || rest_.front() != c) return false;
    rest_.remove_prefix(1);
    return true;
  }
  bool TakeToken(std::string& token) {
    size_t end = 0;
    while (end < rest_.size() && IsTokenByte(rest_[end])) ++end;
    token = std::string(rest_.substr(0, end));
    rest_.remove_prefix(end);
    return end > 0;
  }
  // What some write without quotes though the grammar wants them: an address.
  bool TakeBare(std::string& value) {
    if (!rest_.empty() && rest_.front() == '=') return false;  // the end of a token68
    const size_t end = std::min(rest_.find_first_of(" \t,"), rest_.size());
    value = std::string(rest_.substr(0, end));
    rest_.remove_prefix(end);
    return end > 0;
  }
  // A string that does not end goes to the end of the header.
  bool TakeQuoted(std::string& value) {
    if (!Take('"')) return false;
    value.clear();
    while (!AtEnd() && !Take('"')) {
      if (rest_.front() == '\\' && rest_.size() > 1) rest_.remove_prefix(1);
      value += rest_.front();
      rest_.remove_prefix(1);
    }
    return true;
  }
  // The "token68" after a scheme, or what nobody understands: up to the next comma.
  void SkipToComma() { rest_.remove_prefix(std::min(rest_.find(','), rest_.size())); }

 private:
  std::string_view rest_;
};

}  // namespace

std::vector<Challenge> ParseChallenges(std::string_view header) {
  std::vector<Challenge> challenges;
  Reader reader(header);
  for (reader.Skip(" \t,"); !reader.AtEnd(); reader.Skip(" \t,")) {
    std::string word, value;
    if (!reader.TakeToken(word)) {
      reader.SkipToComma();
      continue;
    }
    // "name = value" is a parameter of the scheme before it; a word without '=' is a new scheme.
    reader.Skip(kBlanks);
    if (!reader.Take('=')) {
      if (challenges.size() == kMaxChallenges) break;
      challenges.push_back({.scheme = absl::AsciiStrToLower(word)});
      continue;
    }
    reader.Skip(kBlanks);
    if (!reader.TakeQuoted(value) && !reader.TakeBare(value)) {
      reader.SkipToComma();
      continue;
    }
    if (challenges.empty() || challenges.back().parameters.size() == kMaxChallenges) continue;
    challenges.back().parameters.emplace(absl::AsciiStrToLower(word), std::move(value));
  }
  return challenges;
}

absl::Status CheckRealm(const Url& api, const Url& realm) {
  if (api.scheme == "https" && realm.scheme == "http" && !IsLoopback(realm.host))
    return absl::FailedPreconditionError(
        absl::StrCat("registry ", api.Authority(), " wants its token asked for over plain http at ",
                     realm.Authority(), ", which would show the password"));
  return absl::OkStatus();
}

}  // namespace noded::registry
