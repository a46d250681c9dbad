#include "rootfs/image/changes.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "node/base/status.h"

namespace noded::image {
namespace {

using Words = std::vector<std::string>;

// A JSON list of strings; nullopt: it is none.
std::optional<Words> JsonWords(const std::string& text) {
  const nlohmann::json json = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_array()) return std::nullopt;
  Words words;
  for (const nlohmann::json& word : json) {
    if (!word.is_string()) return std::nullopt;
    words.push_back(word.get<std::string>());
  }
  return words;
}

Words CommandWords(const std::string& text) {
  if (std::optional<Words> words = JsonWords(text)) return *words;
  return {"/bin/sh", "-c", text};
}

// Words as a shell would part them: quotes hold blanks together, a backslash takes what follows as
// it is. nullopt: a quote is not closed.
std::optional<Words> QuotedWords(const std::string& text) {
  Words words;
  std::string word;
  bool in_word = false;
  char quote = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '\\' && quote != '\'' && i + 1 < text.size()) {
      word += text[++i];
      in_word = true;
    } else if (quote != 0) {
      if (c == quote) {
        quote = 0;
      } else {
        word += c;
      }
    } else if (c == '"' || c == '\'') {
      quote = c;
      in_word = true;
    } else if (absl::ascii_isspace(static_cast<unsigned char>(c))) {
      if (in_word) words.push_back(std::move(word));
      word.clear();
      in_word = false;
    } else {
      word += c;
      in_word = true;
    }
  }
  if (quote != 0) return std::nullopt;
  if (in_word) words.push_back(std::move(word));
  return words;
}

using Pairs = std::vector<std::pair<std::string, std::string>>;

// "A=b C=d", or the old form "A the rest". nullopt: neither.
std::optional<Pairs> PairsOf(const std::string& text) {
  std::optional<Words> words = QuotedWords(text);
  if (!words || words->empty()) return std::nullopt;
  if ((*words)[0].find('=') == std::string::npos) {
    const size_t blank = text.find_first_of(" \t");
    if (blank == std::string::npos) return std::nullopt;
    return Pairs{{text.substr(0, blank),
                  std::string(absl::StripLeadingAsciiWhitespace(text.substr(blank)))}};
  }
  Pairs pairs;
  for (const std::string& word : *words) {
    const size_t equals = word.find('=');
    if (equals == std::string::npos || equals == 0) return std::nullopt;
    pairs.emplace_back(word.substr(0, equals), word.substr(equals + 1));
  }
  return pairs;
}

void SetVariable(const std::string& name, const std::string& value, Words& env) {
  const std::string start = absl::StrCat(name, "=");
  for (std::string& entry : env) {
    if (absl::StartsWith(entry, start)) {
      entry = start + value;
      return;
    }
  }
  env.push_back(start + value);
}

void Insert(std::string value, Words& sorted) {
  const auto at = std::lower_bound(sorted.begin(), sorted.end(), value);
  if (at == sorted.end() || *at != value) sorted.insert(at, std::move(value));
}

constexpr char kPairRule[] = "must be NAME=value, and values with blanks in quotes";

// Empty: done; else what is wrong.
std::string Apply(const std::string& instruction, const std::string& rest, oci::RunConfig& config) {
  if (rest.empty()) return "says nothing";
  if (instruction == "CMD") {
    config.cmd = CommandWords(rest);
  } else if (instruction == "ENTRYPOINT") {
    config.entrypoint = CommandWords(rest);
    // It was written for the other entrypoint, as in a Dockerfile.
    config.cmd.clear();
  } else if (instruction == "ENV" || instruction == "LABEL") {
    const std::optional<Pairs> pairs = PairsOf(rest);
    if (!pairs) return kPairRule;
    for (const auto& [name, value] : *pairs) {
      if (instruction == "ENV") {
        SetVariable(name, value, config.env);
      } else {
        config.labels[name] = value;
      }
    }
  } else if (instruction == "EXPOSE") {
    for (const auto& port : absl::StrSplit(rest, absl::ByAnyChar(" \t"), absl::SkipEmpty())) {
      std::string text(port);
      if (text.find('/') == std::string::npos) text += "/tcp";
      Insert(std::move(text), config.exposed_ports);
    }
  } else if (instruction == "VOLUME") {
    std::optional<Words> words = JsonWords(rest);
    if (!words) words = QuotedWords(rest);
    if (!words) return "has a quote that is not closed";
    for (std::string& path : *words) Insert(std::move(path), config.volumes);
  } else if (instruction == "USER") {
    config.user = rest;
  } else if (instruction == "WORKDIR") {
    config.working_directory =
        rest[0] == '/' ? rest : absl::StrCat(config.working_directory, "/", rest);
  } else if (instruction == "STOPSIGNAL") {
    config.stop_signal = rest;
  } else if (instruction == "ONBUILD") {
    config.on_build.push_back(rest);
  } else {
    return absl::StrCat("\"", instruction,
                        "\" must be one of CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, ONBUILD, "
                        "STOPSIGNAL, USER, VOLUME, WORKDIR");
  }
  return "";
}

}  // namespace

absl::Status ApplyChanges(const google::protobuf::RepeatedPtrField<std::string>& changes,
                          oci::RunConfig& config) {
  Violations violations;
  bool has_cmd = false;
  for (int i = 0; i < changes.size(); ++i) {
    const std::string line(absl::StripAsciiWhitespace(changes[i]));
    const size_t blank = line.find_first_of(" \t");
    const std::string instruction = absl::AsciiStrToUpper(line.substr(0, blank));
    const std::string rest(
        absl::StripAsciiWhitespace(blank == std::string::npos ? "" : line.substr(blank)));
    // A CMD of the same call stays, whichever comes first.
    const Words cmd = config.cmd;
    const std::string problem = Apply(instruction, rest, config);
    if (!problem.empty()) violations.Add(absl::StrCat("changes[", i, "]"), problem);
    if (instruction == "CMD") has_cmd = true;
    if (instruction == "ENTRYPOINT" && has_cmd) config.cmd = cmd;
  }
  return violations.ToStatus();
}

}  // namespace noded::image
