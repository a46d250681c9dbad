#include "clients/cli/detach_keys.h"

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace noded::cli {

absl::StatusOr<std::string> ParseDetachKeys(absl::string_view text) {
  std::string keys;
  if (text.empty()) return keys;
  for (absl::string_view key : absl::StrSplit(text, ',')) {
    absl::string_view name = key;
    bool control = absl::ConsumePrefix(&name, "ctrl-");
    bool known = name.size() == 1 && absl::ascii_isprint(name[0]);
    if (known && control) {
      char c = absl::ascii_toupper(name[0]);
      known = c >= '@' && c <= '_';
      keys += static_cast<char>(c & 0x1f);
    } else if (known) {
      keys += name[0];
    }
    if (!known) {
      return absl::InvalidArgumentError(absl::StrCat(
          "\"", key, "\" is no key; the form is a letter or ctrl-LETTER, with commas"));
    }
  }
  return keys;
}

bool DetachFilter::Feed(std::string& typed) {
  if (keys_.empty()) return false;
  std::string passed;
  for (char c : typed) {
    if (c == keys_[matched_]) {
      if (++matched_ == keys_.size()) {
        typed = std::move(passed);
        return true;
      }
      continue;
    }
    // Not the sequence after all. What was held back goes on, less a shorter beginning of it that
    // is still possible: after p p q of the sequence p q the first p is sent and the rest matches.
    std::string held = keys_.substr(0, matched_) + c;
    matched_ = 0;
    for (size_t keep = std::min(held.size(), keys_.size() - 1); keep > 0; --keep) {
      if (held.compare(held.size() - keep, keep, keys_, 0, keep) == 0) {
        matched_ = keep;
        break;
      }
    }
    passed.append(held, 0, held.size() - matched_);
  }
  typed = std::move(passed);
  return false;
}

}  // namespace noded::cli
