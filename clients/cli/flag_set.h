// The flags of one command: declared, parsed, and shown as its help. A thin face of CLI11, which
// compiles slowly and is therefore seen by flag_set.cc alone. Single-threaded. What a flag fills
// must outlive Parse.
#ifndef CLIENTS_CLI_FLAG_SET_H_
#define CLIENTS_CLI_FLAG_SET_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace noded::cli {

// Where flags may stand.
enum class FlagPlacement {
  kAnywhere,         // also after positionals: `rm web -f`
  kBeforeArguments,  // up to the first positional: `run --rootfs /x sh -c date` hands -c to sh
};

class FlagSet {
 public:
  // Called once for each occurrence, in the order of the command line.
  using OnValue = std::function<absl::Status(const std::string& value)>;

  explicit FlagSet(FlagPlacement placement);
  ~FlagSet();
  FlagSet(const FlagSet&) = delete;
  FlagSet& operator=(const FlagSet&) = delete;

  // Heads the flags that are declared after it in the help.
  void Group(absl::string_view title);
  // `names` as in "-m,--memory". Also --name=false. `help` is one line in lower case.
  void Switch(absl::string_view names, bool* value, absl::string_view help);
  // As Switch, where "not given" is a third answer.
  void Switch(absl::string_view names, std::optional<bool>* value, absl::string_view help);
  // A flag with a value; `metavar` names it in the help.
  void Value(absl::string_view names, absl::string_view metavar, absl::string_view help,
             OnValue set);
  // Value whose last occurrence is kept as it is.
  void Text(absl::string_view names, absl::string_view metavar, std::string* value,
            absl::string_view help);

  // Fills what the flags point to and returns the positionals. INVALID_ARGUMENT names the flag.
  absl::StatusOr<std::vector<std::string>> Parse(const std::vector<std::string>& args);
  // The lines of help of all flags, in the order of declaration.
  std::string Help() const;

 private:
  struct Line {
    std::string left;   // "  -m, --memory SIZE"; of a group its title
    std::string right;  // help; empty for a group
  };
  class App;

  void AddLine(absl::string_view names, absl::string_view metavar, absl::string_view help);

  std::unique_ptr<App> app_;
  std::vector<Line> lines_;
  absl::Status error_;  // the first value that was refused
};

}  // namespace noded::cli

#endif  // CLIENTS_CLI_FLAG_SET_H_
