#include "rootfs/layer/job.h"

#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace noded::layer {
namespace {

void AddTree(const Tree& tree, Message* message) {
  message->Add("directory", int64_t{tree.directory >= 0});
  message->Add("upper", int64_t{tree.upper >= 0});
  message->Add("work", int64_t{tree.work >= 0});
  message->Add("lowers", static_cast<int64_t>(tree.lowers.size()));
}

Tree ParseTree(const Message& message) {
  Tree tree;
  int next = kFirstTreeFd;
  if (message.Number("directory") != 0) tree.directory = next++;
  if (message.Number("upper") != 0) tree.upper = next++;
  if (message.Number("work") != 0) tree.work = next++;
  for (int64_t i = 0; i < message.Number("lowers"); ++i) tree.lowers.push_back(next++);
  return tree;
}

void AddIds(const IdMap& ids, Message* message) {
  for (const IdRange& range : ids) {
    message->Add(
        "ids", std::string_view(absl::StrCat(range.inside, " ", range.outside, " ", range.count)));
  }
}

absl::StatusOr<IdMap> ParseIds(const Message& message) {
  IdMap ids;
  for (const std::string& text : message.All("ids")) {
    const std::vector<std::string> words = absl::StrSplit(text, ' ');
    IdRange range;
    if (words.size() != 3 || !absl::SimpleAtoi(words[0], &range.inside) ||
        !absl::SimpleAtoi(words[1], &range.outside) || !absl::SimpleAtoi(words[2], &range.count)) {
      return absl::InvalidArgumentError(absl::StrCat("job: ids \"", text, "\""));
    }
    ids.push_back(range);
  }
  return ids;
}

// Without a digest when it is none: the child is not trusted further than needed.
oci::Digest ParseDigest(const Message& message, std::string_view key) {
  const absl::StatusOr<oci::Digest> digest = oci::Digest::Parse(message.Text(key));
  return digest.ok() ? *digest : oci::Digest();
}

absl::StatusOr<UnpackOptions> ParseUnpack(const Message& message) {
  UnpackOptions options;
  options.tree = ParseTree(message);
  options.stream = kStreamFd;
  options.mode = static_cast<UnpackMode>(message.Number("mode"));
  options.compression = static_cast<oci::Compression>(message.Number("compression"));
  options.detect_compression = message.Number("detect") != 0;
  options.limits = {message.Number("max_bytes"), message.Number("max_entries")};
  options.path = message.Text("path");
  if (message.Has("uid")) {
    options.owner = Owner{static_cast<uint32_t>(message.Number("uid")),
                          static_cast<uint32_t>(message.Number("gid"))};
  }
  options.overwrite_type = message.Number("overwrite_type") != 0;
  auto ids = ParseIds(message);
  if (!ids.ok()) return ids.status();
  options.ids = *std::move(ids);
  return options;
}

absl::StatusOr<PackOptions> ParsePack(const Message& message) {
  PackOptions options;
  options.tree = ParseTree(message);
  options.output = kStreamFd;
  options.path = message.Text("path");
  options.follow_link = message.Number("follow_link") != 0;
  options.as_layer = message.Number("as_layer") != 0;
  options.without_mounts = message.Number("without_mounts") != 0;
  options.gzip = message.Number("gzip") != 0;
  if (message.Has("latest_mtime")) {
    options.latest_mtime = absl::FromUnixNanos(message.Number("latest_mtime"));
  }
  options.exclude = message.All("exclude");
  auto ids = ParseIds(message);
  if (!ids.ok()) return ids.status();
  options.ids = *std::move(ids);
  return options;
}

}  // namespace

std::vector<int> DescriptorsOf(const Tree& tree) {
  std::vector<int> fds;
  for (int fd : {tree.directory, tree.upper, tree.work}) {
    if (fd >= 0) fds.push_back(fd);
  }
  fds.insert(fds.end(), tree.lowers.begin(), tree.lowers.end());
  return fds;
}

Message ToMessage(const UnpackOptions& options) {
  Message message;
  message.Add("job", "unpack");
  AddTree(options.tree, &message);
  message.Add("mode", static_cast<int64_t>(options.mode));
  message.Add("compression", static_cast<int64_t>(options.compression));
  message.Add("detect", int64_t{options.detect_compression});
  message.Add("max_bytes", options.limits.max_bytes);
  message.Add("max_entries", options.limits.max_entries);
  message.Add("path", std::string_view(options.path));
  if (options.owner) {
    message.Add("uid", int64_t{options.owner->uid});
    message.Add("gid", int64_t{options.owner->gid});
  }
  message.Add("overwrite_type", int64_t{options.overwrite_type});
  AddIds(options.ids, &message);
  return message;
}

Message ToMessage(const PackOptions& options) {
  Message message;
  message.Add("job", "pack");
  AddTree(options.tree, &message);
  message.Add("path", std::string_view(options.path));
  message.Add("follow_link", int64_t{options.follow_link});
  message.Add("as_layer", int64_t{options.as_layer});
  message.Add("without_mounts", int64_t{options.without_mounts});
  message.Add("gzip", int64_t{options.gzip});
  if (options.latest_mtime) message.Add("latest_mtime", absl::ToUnixNanos(*options.latest_mtime));
  for (const std::string& path : options.exclude) message.Add("exclude", std::string_view(path));
  AddIds(options.ids, &message);
  return message;
}

absl::StatusOr<std::variant<UnpackOptions, PackOptions>> ParseJob(const Message& message) {
  if (message.Text("job") == "unpack") return ParseUnpack(message);
  if (message.Text("job") == "pack") return ParsePack(message);
  return absl::InvalidArgumentError("job: neither \"unpack\" nor \"pack\"");
}

Message ToMessage(const Unpacked& result) {
  Message message;
  message.Add("diff_id", std::string_view(result.diff_id.text()));
  message.Add("tar_bytes", result.tar_bytes);
  message.Add("file_bytes", result.file_bytes);
  message.Add("entries", result.entries);
  return message;
}

Unpacked ParseUnpacked(const Message& message) {
  return {.diff_id = ParseDigest(message, "diff_id"),
          .tar_bytes = message.Number("tar_bytes"),
          .file_bytes = message.Number("file_bytes"),
          .entries = message.Number("entries")};
}

Message ToMessage(const Packed& result) {
  Message message;
  message.Add("diff_id", std::string_view(result.diff_id.text()));
  message.Add("digest", std::string_view(result.digest.text()));
  message.Add("tar_bytes", result.tar_bytes);
  message.Add("size", result.size);
  message.Add("entries", result.entries);
  return message;
}

Packed ParsePacked(const Message& message) {
  return {.diff_id = ParseDigest(message, "diff_id"),
          .digest = ParseDigest(message, "digest"),
          .tar_bytes = message.Number("tar_bytes"),
          .size = message.Number("size"),
          .entries = message.Number("entries")};
}

Message ToMessage(const PackedStat& stat) {
  Message message;
  message.Add("name", std::string_view(stat.name));
  message.Add("mode", int64_t{stat.mode});
  message.Add("size_bytes", stat.size_bytes);
  const timespec mtime = absl::ToTimespec(stat.mtime);
  message.Add("mtime_seconds", int64_t{mtime.tv_sec});
  message.Add("mtime_nanoseconds", int64_t{mtime.tv_nsec});
  message.Add("link_target", std::string_view(stat.link_target));
  return message;
}

PackedStat ParsePackedStat(const Message& message) {
  return {.name = message.Text("name"),
          .mode = static_cast<uint32_t>(message.Number("mode")),
          .size_bytes = message.Number("size_bytes"),
          .mtime = absl::FromUnixSeconds(message.Number("mtime_seconds")) +
                   absl::Nanoseconds(message.Number("mtime_nanoseconds")),
          .link_target = message.Text("link_target")};
}

}  // namespace noded::layer
