#include "cgroup/values.h"

#include <algorithm>
#include <charconv>
#include <cmath>

namespace noded::cgroup {
namespace {

bool IsSpace(char c) { return c == ' ' || c == '\n' || c == '\t'; }

// The next word, taken off the front of `rest`; empty at the end.
std::string_view TakeWord(std::string_view& rest) {
  while (!rest.empty() && IsSpace(rest.front())) rest.remove_prefix(1);
  size_t size = 0;
  while (size < rest.size() && !IsSpace(rest[size])) ++size;
  std::string_view word = rest.substr(0, size);
  rest.remove_prefix(size);
  return word;
}

template <typename Number>
std::optional<Number> WholeNumber(std::string_view word) {
  Number value{};
  auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
  if (error != std::errc() || end != word.data() + word.size()) return std::nullopt;
  return value;
}

struct Range {
  int first = 0, last = 0;
};

// Empty for what is no list.
std::vector<Range> ParseRanges(std::string_view list) {
  std::vector<Range> ranges;
  while (true) {
    size_t comma = list.find(',');
    std::string_view part = list.substr(0, comma);
    size_t dash = part.find('-');
    auto first = WholeNumber<int>(part.substr(0, dash));
    auto last = dash == std::string_view::npos ? first : WholeNumber<int>(part.substr(dash + 1));
    if (!first || !last || *first > *last) return {};
    ranges.push_back({*first, *last});
    if (comma == std::string_view::npos) return ranges;
    list.remove_prefix(comma + 1);
  }
}

}  // namespace

bool ListIsWithin(std::string_view list, std::string_view allowed) {
  std::vector<Range> wanted = ParseRanges(TrimEnd(list)), have = ParseRanges(TrimEnd(allowed));
  std::sort(have.begin(), have.end(), [](Range a, Range b) { return a.first < b.first; });
  return !wanted.empty() && std::all_of(wanted.begin(), wanted.end(), [&](Range range) {
    // The next number that has not been found; neighbours of a list may touch ("0-1,2").
    int next = range.first;
    for (const Range& one : have) {
      if (one.first <= next && next <= one.last) next = one.last + 1;
      if (next > range.last) return true;
    }
    return false;
  });
}

std::string_view TrimEnd(std::string_view content) {
  while (!content.empty() && IsSpace(content.back())) content.remove_suffix(1);
  return content;
}

std::optional<uint64_t> ParseNumber(std::string_view content) {
  return WholeNumber<uint64_t>(TrimEnd(content));
}

std::optional<uint64_t> ParseKeyed(std::string_view content, std::string_view key) {
  while (!content.empty()) {
    size_t end = content.find('\n');
    std::string_view line = content.substr(0, end);
    content.remove_prefix(end == std::string_view::npos ? content.size() : end + 1);
    if (line.size() > key.size() && line.starts_with(key) && line[key.size()] == ' ') {
      return WholeNumber<uint64_t>(line.substr(key.size() + 1));
    }
  }
  return std::nullopt;
}

std::vector<pid_t> ParsePids(std::string_view content) {
  std::vector<pid_t> pids;
  for (std::string_view word = TakeWord(content); !word.empty(); word = TakeWord(content)) {
    auto pid = WholeNumber<pid_t>(word);
    if (pid && *pid > 0) pids.push_back(*pid);
  }
  return pids;
}

std::vector<std::string> ParseWords(std::string_view content) {
  std::vector<std::string> words;
  for (std::string_view word = TakeWord(content); !word.empty(); word = TakeWord(content)) {
    words.emplace_back(word);
  }
  return words;
}

uint64_t CpuWeight(uint64_t shares) {
  double log = std::log2(static_cast<double>(std::clamp<uint64_t>(shares, 2, 262144)));
  double exponent = (log * log + 125 * log) / 612 - 7.0 / 34;
  return std::clamp<uint64_t>(static_cast<uint64_t>(std::llround(std::pow(10, exponent))), 1,
                              10000);
}

}  // namespace noded::cgroup
