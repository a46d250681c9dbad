#include "node/launch/paths.h"

#include <vector>

namespace noded::launch {
namespace {

// The components between slashes, empty ones left out.
std::vector<std::string_view> Components(std::string_view path) {
  std::vector<std::string_view> components;
  while (!path.empty()) {
    size_t slash = path.find('/');
    std::string_view component = path.substr(0, slash);
    if (!component.empty()) components.push_back(component);
    if (slash == std::string_view::npos) break;
    path.remove_prefix(slash + 1);
  }
  return components;
}

}  // namespace

std::string CleanPath(std::string_view path) {
  std::string clean;
  for (std::string_view component : Components(path)) {
    if (component == ".") continue;
    clean += '/';
    clean += component;
  }
  return clean.empty() ? "/" : clean;
}

bool HasDotDot(std::string_view path) {
  for (std::string_view component : Components(path)) {
    if (component == "..") return true;
  }
  return false;
}

bool IsAtOrBelow(std::string_view path, std::string_view ancestor) {
  if (ancestor == "/") return true;
  if (!path.starts_with(ancestor)) return false;
  return path.size() == ancestor.size() || path[ancestor.size()] == '/';
}

}  // namespace noded::launch
