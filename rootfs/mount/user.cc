#include "rootfs/mount/user.h"

#include <algorithm>
#include <cerrno>
#include <optional>

namespace noded::mount {
namespace {

// Digits only, and never 2^32-1, which set*id(2) take for "unchanged": a container must not keep
// root that way.
std::optional<uint32_t> ParseId(std::string_view text) {
  if (text.empty() || text.size() > 10) return std::nullopt;
  uint64_t value = 0;
  for (char c : text) {
    if (c < '0' || c > '9') return std::nullopt;
    value = value * 10 + static_cast<uint64_t>(c - '0');
  }
  if (value >= UINT32_MAX) return std::nullopt;
  return static_cast<uint32_t>(value);
}

bool IsNumber(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

std::string_view CutUntil(std::string_view* rest, char separator) {
  size_t end = rest->find(separator);
  std::string_view part = rest->substr(0, end);
  rest->remove_prefix(end == std::string_view::npos ? rest->size() : end + 1);
  return part;
}

struct PasswdEntry {
  std::string_view name;
  uint32_t uid, gid;
  std::string_view home;
};

// name:password:uid:gid:gecos:home:shell
std::optional<PasswdEntry> ParsePasswdLine(std::string_view line) {
  PasswdEntry entry;
  entry.name = CutUntil(&line, ':');
  CutUntil(&line, ':');
  std::optional<uint32_t> uid = ParseId(CutUntil(&line, ':'));
  std::optional<uint32_t> gid = ParseId(CutUntil(&line, ':'));
  if (entry.name.empty() || !uid || !gid) return std::nullopt;
  entry.uid = *uid;
  entry.gid = *gid;
  CutUntil(&line, ':');
  entry.home = CutUntil(&line, ':');
  return entry;
}

std::optional<PasswdEntry> FindUser(std::string_view passwd, std::string_view name,
                                    std::optional<uint32_t> uid) {
  while (!passwd.empty()) {
    std::optional<PasswdEntry> entry = ParsePasswdLine(CutUntil(&passwd, '\n'));
    if (entry && (uid ? entry->uid == *uid : entry->name == name)) return entry;
  }
  return std::nullopt;
}

struct GroupEntry {
  std::string_view name;
  uint32_t gid;
  std::string_view members;
};

// name:password:gid:member,member
std::optional<GroupEntry> ParseGroupLine(std::string_view line) {
  GroupEntry entry;
  entry.name = CutUntil(&line, ':');
  CutUntil(&line, ':');
  std::optional<uint32_t> gid = ParseId(CutUntil(&line, ':'));
  if (entry.name.empty() || !gid) return std::nullopt;
  entry.gid = *gid;
  entry.members = CutUntil(&line, ':');
  return entry;
}

bool HasMember(std::string_view members, std::string_view name) {
  while (!members.empty()) {
    if (CutUntil(&members, ',') == name) return true;
  }
  return false;
}

Result FindGroup(std::string_view group, std::string_view wanted, uint32_t* gid) {
  if (IsNumber(wanted)) {
    std::optional<uint32_t> id = ParseId(wanted);
    if (!id) return Failed(ERANGE, std::string(wanted));
    *gid = *id;
    return {};
  }
  while (!group.empty()) {
    std::optional<GroupEntry> entry = ParseGroupLine(CutUntil(&group, '\n'));
    if (entry && entry->name == wanted) {
      *gid = entry->gid;
      return {};
    }
  }
  return Failed(0, std::string(wanted), "in /etc/group");
}

void AddGroup(std::vector<uint32_t>* groups, uint32_t gid) {
  if (groups->size() < kMaxGroups) groups->push_back(gid);
}

void AddGroupsOf(std::string_view name, std::string_view group, std::vector<uint32_t>* groups) {
  while (!group.empty()) {
    std::optional<GroupEntry> entry = ParseGroupLine(CutUntil(&group, '\n'));
    if (entry && HasMember(entry->members, name)) AddGroup(groups, entry->gid);
  }
}

}  // namespace

Result ResolveUser(const ::node::shim::v1::UserPlan& plan, std::string_view passwd,
                   std::string_view group, User* out) {
  std::string_view rest = plan.name();
  std::string_view name = CutUntil(&rest, ':');
  const std::string_view group_name = rest;
  std::optional<uint32_t> uid;
  if (plan.name().empty()) {
    uid = plan.uid();
  } else if (name.empty()) {
    uid = 0;  // ":group"
  } else if (IsNumber(name)) {
    uid = ParseId(name);
    if (!uid) return Failed(ERANGE, std::string(name));
  }
  std::optional<PasswdEntry> entry = FindUser(passwd, name, uid);
  if (!entry && !uid) {
    return Failed(0, std::string(name), "in /etc/passwd");
  }
  out->uid = entry ? entry->uid : *uid;
  out->gid = entry ? entry->gid : 0;
  if (entry && !entry->home.empty()) out->home = std::string(entry->home);
  if (!group_name.empty()) {
    if (Result found = FindGroup(group, group_name, &out->gid); !found.ok()) return found;
  } else if (plan.name().empty() && plan.has_gid()) {
    out->gid = plan.gid();
  } else if (entry) {
    AddGroupsOf(entry->name, group, &out->groups);
  }
  for (const std::string& additional : plan.additional_groups()) {
    uint32_t gid;
    if (Result found = FindGroup(group, additional, &gid); !found.ok()) return found;
    AddGroup(&out->groups, gid);
  }
  // The group itself as well: else a process that takes another group by a set-group-id program
  // loses it, and with it whatever the group is forbidden (CVE-2022-36109).
  AddGroup(&out->groups, out->gid);
  // Sorted once at the end: a search at each addition would be quadratic in a file that is not
  // ours.
  std::sort(out->groups.begin(), out->groups.end());
  out->groups.erase(std::unique(out->groups.begin(), out->groups.end()), out->groups.end());
  if (out->uid == UINT32_MAX || out->gid == UINT32_MAX) return Failed(ERANGE, "4294967295");
  return {};
}

}  // namespace noded::mount
