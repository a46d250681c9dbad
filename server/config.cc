#include "server/config.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "node/base/status.h"

namespace noded::server {
namespace {

class Reader {
 public:
  Reader(std::string_view text, const std::string& name) : rest_(text), name_(name) {}

  absl::StatusOr<std::vector<ConfigEntry>> Read() {
    std::vector<ConfigEntry> entries;
    for (SkipBlank(); !rest_.empty(); SkipBlank()) {
      ConfigEntry entry{.line = line_};
      ASSIGN_OR_RETURN(entry.key, Key());
      for (const ConfigEntry& earlier : entries) {
        if (earlier.key == entry.key) {
          return Wrong(
              absl::StrCat("\"", entry.key, "\" stands in line ", earlier.line, " already"));
        }
      }
      SkipSpaces();
      if (!Take('=')) return Wrong(absl::StrCat("no '=' after \"", entry.key, "\""));
      SkipSpaces();
      ASSIGN_OR_RETURN(entry.values, Take('[') ? Array() : Single());
      SkipSpaces();
      SkipComment();
      if (!rest_.empty() && rest_[0] != '\n') return Wrong("more text after the value");
      entries.push_back(std::move(entry));
    }
    return entries;
  }

 private:
  absl::Status Wrong(const std::string& why) const {
    return absl::InvalidArgumentError(absl::StrCat(name_, ":", line_, ": ", why));
  }

  bool Take(char c) {
    if (rest_.empty() || rest_[0] != c) return false;
    if (c == '\n') ++line_;
    rest_.remove_prefix(1);
    return true;
  }

  void SkipSpaces() {
    while (Take(' ') || Take('\t') || Take('\r')) continue;
  }
  void SkipComment() {
    if (!rest_.empty() && rest_[0] == '#') {
      rest_.remove_prefix(std::min(rest_.find('\n'), rest_.size()));
    }
  }
  // Spaces, comments and ends of lines.
  void SkipBlank() {
    do {
      SkipSpaces();
      SkipComment();
    } while (Take('\n'));
  }

  // The longest start of what is left whose characters `belongs` accepts, taken off.
  template <typename Predicate>
  std::string TakeWhile(Predicate belongs) {
    const auto end = std::find_if_not(rest_.begin(), rest_.end(), belongs);
    std::string taken(rest_.begin(), end);
    rest_.remove_prefix(taken.size());
    return taken;
  }

  absl::StatusOr<std::string> Key() {
    if (rest_[0] == '[') return Wrong("there are no sections: write key = value");
    std::string key =
        TakeWhile([](char c) { return absl::ascii_isalnum(c) || c == '-' || c == '_'; });
    if (key.empty()) return Wrong("must be key = value");
    return key;
  }

  absl::StatusOr<std::string> Value() {
    if (Take('"')) return Quoted('"');
    if (Take('\'')) return Quoted('\'');
    std::string word = TakeWhile([](char c) {
      return absl::ascii_isalnum(c) || c == '-' || c == '_' || c == '.' || c == '+' || c == '/' ||
             c == ':';
    });
    if (word.empty()) return Wrong("a value must be \"quoted\", a word or a number");
    return word;
  }

  absl::StatusOr<std::string> Quoted(char quote) {
    std::string value;
    while (!Take(quote)) {
      if (rest_.empty() || rest_[0] == '\n') return Wrong("the string has no end");
      char c = rest_[0];
      if (absl::ascii_iscntrl(c) && c != '\t') return Wrong("a control character in a string");
      rest_.remove_prefix(1);
      if (c == '\\' && quote == '"') {
        if (rest_.empty() || (rest_[0] != '"' && rest_[0] != '\\')) {
          return Wrong("after a backslash only '\"' or another one may stand");
        }
        c = rest_[0];
        rest_.remove_prefix(1);
      }
      value.push_back(c);
    }
    return value;
  }

  absl::StatusOr<std::vector<std::string>> Single() {
    ASSIGN_OR_RETURN(std::string value, Value());
    return std::vector<std::string>{std::move(value)};
  }

  // After its '['. May go over several lines and end in a comma.
  absl::StatusOr<std::vector<std::string>> Array() {
    std::vector<std::string> values;
    SkipBlank();
    while (!Take(']')) {
      ASSIGN_OR_RETURN(std::string value, Value());
      values.push_back(std::move(value));
      SkipBlank();
      if (Take(',')) {
        SkipBlank();
      } else if (rest_.empty() || rest_[0] != ']') {
        return Wrong("an array needs ',' between values and ']' at its end");
      }
    }
    return values;
  }

  std::string_view rest_;
  const std::string& name_;
  int line_ = 1;
};

}  // namespace

absl::StatusOr<std::vector<ConfigEntry>> ReadConfig(std::string_view text,
                                                    const std::string& name) {
  return Reader(text, name).Read();
}

}  // namespace noded::server
