// libs: cli
// config.json with credentials, which other programs write too: any text is refused or understood,
// and what is put in is found again.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "clients/cli/copy_path.h"
#include "clients/cli/registry_config.h"

namespace {

// Ends the run, as any broken promise should.
void Require(bool promise) {
  if (!promise) abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace noded::cli;
  absl::string_view text(reinterpret_cast<const char*>(data), size);
  (void)FindCredentials(text, "registry.lab:5000");
  if (auto added = AddCredentials(text, "registry.lab:5000", "me", "a:b"); added.ok()) {
    auto found = FindCredentials(*added, "registry.lab:5000");
    Require(found.ok() && found->has_value() && (*found)->password() == "a:b");
    auto without = DropCredentials(*added, "registry.lab:5000");
    Require(without.ok() && without->has_value());
    Require(!FindCredentials(**without, "registry.lab:5000")->has_value());
  }
  Require(RegistryOfReference(text).size() <= size + 1);
  const CopySide side = SideOf(text);
  Require(side.container.empty() || side.path[0] == '/');
  const CopyPath path = CopyPathOf(text);
  Require(path.path.size() <= size && (!path.only_contents || path.is_directory));
  return 0;
}
