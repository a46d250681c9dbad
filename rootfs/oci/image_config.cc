#include "rootfs/oci/image_config.h"

#include "absl/strings/str_cat.h"
#include "nlohmann/json.hpp"
#include "node/base/status.h"
#include "rootfs/oci/json.h"
#include "rootfs/oci/platform.h"

namespace noded::oci {
namespace {

using Json = nlohmann::json;

constexpr JsonLimits kLimits{kMaxConfigBytes, 200'000};

// Docker's StrSlice: an array of words, or one string for a single word (as very old images have).
std::vector<std::string> ReadWords(const JsonValue& value) {
  if (value.IsString()) return {value.String()};
  return value.Strings();
}

std::optional<Healthcheck> ReadHealthcheck(const JsonValue& value) {
  if (!value.present()) return std::nullopt;
  Healthcheck check;
  check.test = value["Test"].Strings();
  auto duration = [&value](const char* key) {
    const int64_t nanoseconds = value[key].Int();
    if (nanoseconds < 0) value[key].Fail("must not be negative");
    return absl::Nanoseconds(nanoseconds);
  };
  check.interval = duration("Interval");
  check.timeout = duration("Timeout");
  check.start_period = duration("StartPeriod");
  const int64_t retries = value["Retries"].Int();
  if (retries < 0 || retries > 1'000'000) value["Retries"].Fail("must be 0 to 1000000");
  check.retries = static_cast<int>(retries);
  return check;
}

RunConfig ReadRunConfig(const JsonValue& value) {
  RunConfig config;
  config.user = value["User"].String();
  config.working_directory = value["WorkingDir"].String();
  config.stop_signal = value["StopSignal"].String();
  config.env = value["Env"].Strings();
  config.entrypoint = ReadWords(value["Entrypoint"]);
  config.cmd = ReadWords(value["Cmd"]);
  config.shell = ReadWords(value["Shell"]);
  config.on_build = value["OnBuild"].Strings();
  config.exposed_ports = value["ExposedPorts"].Keys();
  config.volumes = value["Volumes"].Keys();
  config.labels = value["Labels"].StringMap();
  config.healthcheck = ReadHealthcheck(value["Healthcheck"]);
  return config;
}

HistoryEntry ReadHistoryEntry(const JsonValue& value) {
  HistoryEntry entry;
  entry.created = value["created"].Time();
  entry.created_by = value["created_by"].String();
  entry.author = value["author"].String();
  entry.comment = value["comment"].String();
  entry.empty_layer = value["empty_layer"].Bool();
  return entry;
}

std::vector<Digest> ReadDiffIds(const JsonValue& rootfs) {
  std::vector<Digest> diff_ids;
  if (const JsonValue type = rootfs["type"]; type.present() && type.String() != "layers") {
    type.Fail("must be \"layers\"");
  }
  const JsonValue list = rootfs["diff_ids"];
  const std::vector<JsonValue> elements = list.Elements();
  if (elements.size() > kMaxLayers) {
    list.Fail(absl::StrCat(elements.size(), " layers, at most ", kMaxLayers, " are taken"));
    return diff_ids;
  }
  for (const JsonValue& element : elements) diff_ids.push_back(element.Digest());
  return diff_ids;
}

std::string TimeText(absl::Time time) {
  return absl::FormatTime("%E4Y-%m-%d%ET%H:%M:%E*SZ", time, absl::UTCTimeZone());
}

// Left out when empty, as Docker and the specification's own types do.
void Put(Json& json, const char* key, const std::string& text) {
  if (!text.empty()) json[key] = text;
}
void Put(Json& json, const char* key, const std::vector<std::string>& words) {
  if (!words.empty()) json[key] = words;
}
// A set, which both write as a map to empty objects.
void PutSet(Json& json, const char* key, const std::vector<std::string>& names) {
  for (const std::string& name : names) json[key][name] = Json::object();
}

Json RunConfigJson(const RunConfig& config) {
  Json json = Json::object();
  Put(json, "User", config.user);
  Put(json, "WorkingDir", config.working_directory);
  Put(json, "StopSignal", config.stop_signal);
  Put(json, "Env", config.env);
  Put(json, "Entrypoint", config.entrypoint);
  Put(json, "Cmd", config.cmd);
  Put(json, "Shell", config.shell);
  Put(json, "OnBuild", config.on_build);
  PutSet(json, "ExposedPorts", config.exposed_ports);
  PutSet(json, "Volumes", config.volumes);
  if (!config.labels.empty()) json["Labels"] = config.labels;
  if (const auto& check = config.healthcheck) {
    json["Healthcheck"] = {{"Test", check->test},
                           {"Interval", absl::ToInt64Nanoseconds(check->interval)},
                           {"Timeout", absl::ToInt64Nanoseconds(check->timeout)},
                           {"StartPeriod", absl::ToInt64Nanoseconds(check->start_period)},
                           {"Retries", check->retries}};
  }
  return json;
}

Json HistoryJson(const HistoryEntry& entry) {
  Json json = Json::object();
  if (entry.created) json["created"] = TimeText(*entry.created);
  Put(json, "created_by", entry.created_by);
  Put(json, "author", entry.author);
  Put(json, "comment", entry.comment);
  if (entry.empty_layer) json["empty_layer"] = true;
  return json;
}

}  // namespace

absl::StatusOr<ImageConfig> ParseImageConfig(std::string_view json) {
  JsonDocument document("image configuration", json, kLimits);
  RETURN_IF_ERROR(document.status());
  const JsonValue root = document.root();
  ImageConfig config;
  config.created = root["created"].Time();
  config.author = root["author"].String();
  config.platform =
      Normalized({root["os"].String(), root["architecture"].String(), root["variant"].String()});
  config.config = ReadRunConfig(root["config"]);
  config.diff_ids = ReadDiffIds(root["rootfs"]);
  for (const JsonValue& entry : root["history"].Elements()) {
    config.history.push_back(ReadHistoryEntry(entry));
  }
  RETURN_IF_ERROR(document.status());
  return config;
}

std::string ToJson(const ImageConfig& config) {
  Json diff_ids = Json::array();
  for (const Digest& diff_id : config.diff_ids) diff_ids.push_back(diff_id.text());
  Json json = {{"architecture", config.platform.architecture},
               {"os", config.platform.os},
               {"config", RunConfigJson(config.config)},
               {"rootfs", {{"type", "layers"}, {"diff_ids", std::move(diff_ids)}}}};
  Put(json, "variant", config.platform.variant);
  Put(json, "author", config.author);
  if (config.created) json["created"] = TimeText(*config.created);
  for (const HistoryEntry& entry : config.history) json["history"].push_back(HistoryJson(entry));
  return Dump(json);
}

std::vector<Digest> ChainIds(const std::vector<Digest>& diff_ids) {
  std::vector<Digest> chain_ids;
  for (const Digest& diff_id : diff_ids) {
    chain_ids.push_back(
        chain_ids.empty() ? diff_id
                          : Sha256::Of(absl::StrCat(chain_ids.back().text(), " ", diff_id.text())));
  }
  return chain_ids;
}

}  // namespace noded::oci
