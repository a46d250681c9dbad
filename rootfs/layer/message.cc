#include "rootfs/layer/message.h"

#include <algorithm>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "node/base/status.h"
#include "node/base/string_view.h"

namespace noded::layer {

absl::StatusOr<Message> Message::Parse(std::string_view line) {
  const std::vector<absl::string_view> words = absl::StrSplit(AsAbsl(line), '\t');
  Message message;
  if (words.size() % 2 != 0) return absl::InvalidArgumentError("message: a key without a value");
  for (size_t i = 0; i < words.size(); i += 2) {
    std::string value;
    if (!absl::CUnescape(words[i + 1], &value)) {
      return absl::InvalidArgumentError(absl::StrCat("message: the value of ", words[i]));
    }
    message.fields_.emplace_back(std::string(words[i]), std::move(value));
  }
  return message;
}

std::string Message::ToLine() const {
  std::string line;
  for (const auto& [key, value] : fields_) {
    // Hexadecimal and octal escapes both end where CUnescape ends them; \t and \n are escaped.
    absl::StrAppend(&line, line.empty() ? "" : "\t", key, "\t", absl::CEscape(value));
  }
  return line + "\n";
}

void Message::Add(std::string_view key, std::string_view value) {
  fields_.emplace_back(std::string(key), std::string(value));
}

void Message::Add(std::string_view key, int64_t value) {
  Add(key, std::string_view(absl::StrCat(value)));
}

bool Message::Has(std::string_view key) const {
  return std::any_of(fields_.begin(), fields_.end(),
                     [key](const auto& field) { return field.first == key; });
}

std::string Message::Text(std::string_view key) const {
  for (const auto& field : fields_) {
    if (field.first == key) return field.second;
  }
  return "";
}

int64_t Message::Number(std::string_view key) const {
  int64_t number = 0;
  return absl::SimpleAtoi(Text(key), &number) ? number : 0;
}

std::vector<std::string> Message::All(std::string_view key) const {
  std::vector<std::string> values;
  for (const auto& field : fields_) {
    if (field.first == key) values.push_back(field.second);
  }
  return values;
}

Message Message::OfError(const absl::Status& status) {
  Message message;
  message.Add("error", AsStd(status.message()));
  message.Add("code", static_cast<int64_t>(status.code()));
  message.Add("reason", ReasonOf(status).value_or(""));
  return message;
}

absl::Status Message::Error() const {
  if (!Has("error")) return absl::OkStatus();
  const auto code = static_cast<absl::StatusCode>(Number("code"));
  absl::Status status(code == absl::StatusCode::kOk ? absl::StatusCode::kInternal : code,
                      Text("error"));
  const std::string reason = Text("reason");
  return reason.empty() ? status : WithReason(std::move(status), reason);
}

}  // namespace noded::layer
