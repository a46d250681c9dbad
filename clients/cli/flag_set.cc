#include "clients/cli/flag_set.h"

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace noded::cli {
namespace {

// CLI11 takes "--name=" for a flag without a value and swallows the next argument as its value. So
// an empty value travels as this byte, which no sensible value is.
constexpr char kEmptyValue[] = "\x01";

bool IsEmptyAssignment(absl::string_view arg) {
  return absl::StartsWith(arg, "--") && arg.size() > 3 && arg.find('=') == arg.size() - 1;
}

// "--memory" of "-m,--memory": how messages call a flag.
std::string LongName(absl::string_view names) {
  std::vector<std::string> all = absl::StrSplit(names, ',');
  return all.back();
}

}  // namespace

class FlagSet::App : public CLI::App {
 public:
  explicit App(FlagPlacement placement) : placement_(placement) {
    set_help_flag();
    if (placement == FlagPlacement::kBeforeArguments) {
      prefix_command();
    } else {
      allow_extras();
    }
  }

  // What CLI11 did not take: positionals, unless one looks like a flag that we do not have.
  absl::StatusOr<std::vector<std::string>> Positionals() const {
    std::vector<std::string> result;
    bool only_positionals = false;
    for (const auto& [kind, text] : missing_) {
      if (!only_positionals && kind == CLI::detail::Classifier::POSITIONAL_MARK) {
        only_positionals = true;
        continue;
      }
      if (kind == CLI::detail::Classifier::LONG || kind == CLI::detail::Classifier::SHORT) {
        return absl::InvalidArgumentError(absl::StrCat("unknown flag ", text));
      }
      result.push_back(text);
      if (absl::EndsWith(text, kEmptyValue) &&
          IsEmptyAssignment(absl::StripSuffix(text, kEmptyValue))) {
        result.back().pop_back();
      }
    }
    return result;
  }

 private:
  FlagPlacement placement_;
};

FlagSet::FlagSet(FlagPlacement placement) : app_(std::make_unique<App>(placement)) {}

FlagSet::~FlagSet() = default;

void FlagSet::Group(absl::string_view title) { lines_.push_back({std::string(title), ""}); }

void FlagSet::AddLine(absl::string_view names, absl::string_view metavar, absl::string_view help) {
  std::string left = absl::StartsWith(names, "--") ? "      " : "  ";
  absl::StrAppend(&left, absl::StrReplaceAll(names, {{",", ", "}}));
  if (!metavar.empty()) absl::StrAppend(&left, " ", metavar);
  lines_.push_back({std::move(left), std::string(help)});
}

void FlagSet::Switch(absl::string_view names, bool* value, absl::string_view help) {
  app_->add_flag(std::string(names), *value)->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  AddLine(names, "", help);
}

void FlagSet::Switch(absl::string_view names, std::optional<bool>* value, absl::string_view help) {
  app_->add_flag_function(std::string(names), [value](int64_t given) { *value = given > 0; })
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  AddLine(names, "", help);
}

void FlagSet::Value(absl::string_view names, absl::string_view metavar, absl::string_view help,
                    OnValue set) {
  auto on_results = [this, name = LongName(names),
                     set = std::move(set)](const CLI::results_t& results) {
    const std::string value = results.back() == kEmptyValue ? "" : results.back();
    absl::Status status = set(value);
    if (!status.ok() && error_.ok()) {
      error_ = absl::InvalidArgumentError(absl::StrCat(name, ": ", status.message()));
    }
    return true;
  };
  app_->add_option(std::string(names), CLI::callback_t(on_results))
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeLast)
      // Each occurrence at once, so that mounts and variables keep the order of the command line.
      ->trigger_on_parse();
  AddLine(names, metavar, help);
}

void FlagSet::Text(absl::string_view names, absl::string_view metavar, std::string* value,
                   absl::string_view help) {
  Value(names, metavar, help, [value](const std::string& text) {
    *value = text;
    return absl::OkStatus();
  });
}

absl::StatusOr<std::vector<std::string>> FlagSet::Parse(const std::vector<std::string>& args) {
  std::vector<std::string> reversed(args.rbegin(), args.rend());
  for (std::string& arg : reversed) {
    if (IsEmptyAssignment(arg)) arg += kEmptyValue;
  }
  try {
    app_->parse(std::move(reversed));
  } catch (const CLI::ArgumentMismatch& error) {
    std::string name = std::string(error.what());
    return absl::InvalidArgumentError(
        absl::StrCat(name.substr(0, name.find(':')), ": a value is needed"));
  } catch (const CLI::ParseError& error) {
    return absl::InvalidArgumentError(error.what());
  }
  if (!error_.ok()) return error_;
  return app_->Positionals();
}

std::string FlagSet::Help() const {
  constexpr size_t kColumn = 32;
  std::string text;
  for (const Line& line : lines_) {
    if (line.right.empty()) {
      absl::StrAppend(&text, "\n", line.left, ":\n");
      continue;
    }
    absl::StrAppend(&text, line.left);
    if (line.left.size() + 2 > kColumn) {
      absl::StrAppend(&text, "\n", std::string(kColumn, ' '));
    } else {
      absl::StrAppend(&text, std::string(kColumn - line.left.size(), ' '));
    }
    absl::StrAppend(&text, line.right, "\n");
  }
  return text;
}

}  // namespace noded::cli
