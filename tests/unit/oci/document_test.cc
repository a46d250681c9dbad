#include "rootfs/oci/document.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "node/base/string_view.h"

namespace noded::oci {
namespace {

using ::testing::HasSubstr;

// "<a>" stands for a digest of its own.
std::string Fill(std::string text) {
  for (char letter = 'a'; letter <= 'h'; ++letter) {
    const std::string name(1, letter);
    text = absl::StrReplaceAll(text, {{absl::StrCat("<", name, ">"), Sha256::Of(name).text()}});
  }
  return text;
}
Digest Of(const char* letter) { return Sha256::Of(letter); }

// As `docker push` writes it.
constexpr char kSchema2[] = R"({
   "schemaVersion": 2,
   "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
   "config": {
      "mediaType": "application/vnd.docker.container.image.v1+json",
      "size": 1457,
      "digest": "<a>"
   },
   "layers": [
      {
         "mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip",
         "size": 770898,
         "digest": "<b>"
      },
      {
         "mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip",
         "size": 32,
         "digest": "<c>"
      }
   ]
})";

// As umoci and older buildah write it: no media type inside; null annotations.
constexpr char kOciPlain[] = R"({"schemaVersion":2,
  "config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"<a>","size":405},
  "layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar+zstd","digest":"<b>","size":9,
             "annotations":{"title":"base"}}],
  "annotations":null})";

// As `docker buildx build --provenance` pushes it.
constexpr char kIndex[] = R"({
  "schemaVersion": 2,
  "mediaType": "application/vnd.oci.image.index.v1+json",
  "manifests": [
    {"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": "<a>", "size": 673,
     "platform": {"architecture": "amd64", "os": "linux"}},
    {"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": "<b>", "size": 674,
     "platform": {"architecture": "arm", "os": "linux", "variant": "v5"}},
    {"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": "<c>", "size": 675,
     "platform": {"architecture": "arm", "os": "linux", "variant": "v6"}},
    {"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": "<d>", "size": 676,
     "platform": {"architecture": "arm64", "os": "linux", "variant": "v8"}},
    {"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": "<e>", "size": 566,
     "annotations": {"vnd.docker.reference.digest": "<a>",
                     "vnd.docker.reference.type": "attestation-manifest"},
     "platform": {"architecture": "unknown", "os": "unknown"}}
  ]
})";

Manifest ReadManifest(std::string_view json, std::string_view type) {
  auto read = ParseDocument(json, type);
  EXPECT_TRUE(read.ok()) << read.status();
  return read.ok() ? std::get<Manifest>(*read) : Manifest();
}
Index ReadIndex(std::string_view json, std::string_view type) {
  auto read = ParseDocument(json, type);
  EXPECT_TRUE(read.ok()) << read.status();
  return read.ok() ? std::get<Index>(*read) : Index();
}
std::string ErrorOf(std::string json, std::string_view type) {
  const auto read = ParseDocument(Fill(std::move(json)), type);
  return read.ok() ? "it is taken" : std::string(read.status().message());
}

TEST(DocumentTest, DockerSchema2) {
  const Manifest manifest = ReadManifest(Fill(kSchema2), kDockerManifest);
  EXPECT_EQ(manifest.media_type, kDockerManifest);
  EXPECT_EQ(manifest.config, (Descriptor{std::string(kDockerConfig), Of("a"), 1457}));
  ASSERT_EQ(manifest.layers.size(), 2u);
  EXPECT_EQ(manifest.layers[0], (Descriptor{std::string(kDockerLayerGzip), Of("b"), 770898}));
  EXPECT_EQ(manifest.layers[1].size, 32);
}

TEST(DocumentTest, OciWithoutMediaTypeInside) {
  const Manifest manifest =
      ReadManifest(Fill(kOciPlain), "application/vnd.oci.image.manifest.v1+json; charset=utf-8");
  EXPECT_EQ(manifest.media_type, kOciManifest);
  EXPECT_EQ(manifest.layers[0].annotations.at("title"), "base");
  EXPECT_TRUE(manifest.annotations.empty());
}

TEST(DocumentTest, IndexWithAttestations) {
  const Index index = ReadIndex(Fill(kIndex), kOciIndex);
  ASSERT_EQ(index.manifests.size(), 5u);
  EXPECT_EQ(index.manifests[3].platform, (Platform{"linux", "arm64", ""})) << "v8 is understood";
  EXPECT_EQ(index.manifests[4].platform->os, "unknown");
}

TEST(DocumentTest, WhatIsWrittenIsReadBack) {
  const Manifest manifest = ReadManifest(Fill(kOciPlain), kOciManifest);
  const Manifest again = ReadManifest(ToJson(manifest), kOciManifest);
  EXPECT_EQ(again.config, manifest.config);
  EXPECT_EQ(again.layers, manifest.layers);
  const Index index = ReadIndex(Fill(kIndex), kOciIndex);
  EXPECT_EQ(ReadIndex(ToJson(index), kOciIndex).manifests, index.manifests);
  EXPECT_EQ(*MediaTypeOf(ToJson(index)), kOciIndex);
}

TEST(DocumentTest, MediaTypeIsFoundByMembers) {
  EXPECT_EQ(*MediaTypeOf(Fill(kSchema2)), kDockerManifest);
  EXPECT_EQ(*MediaTypeOf(Fill(kOciPlain)), kOciManifest);
  EXPECT_EQ(*MediaTypeOf(R"({"manifests":[]})"), kOciIndex);
  EXPECT_FALSE(MediaTypeOf(R"({"imageLayoutVersion":"1.0.0"})").ok());
  EXPECT_FALSE(MediaTypeOf("\x1f\x8b\x08").ok());
}

// CVE-2021-41190: one digest, two readings.
TEST(DocumentTest, DoubleDocumentsAreRefused) {
  const std::string both = R"({"schemaVersion":2,"mediaType":")" + std::string(kOciManifest) +
                           R"(","manifests":[],"config":{"mediaType":"x","digest":"<a>","size":1},
                              "layers":[]})";
  EXPECT_THAT(ErrorOf(both, kOciManifest), HasSubstr("both a manifest and an index"));
  EXPECT_THAT(ErrorOf(both, kOciIndex), HasSubstr("both a manifest and an index"));
  EXPECT_THAT(ErrorOf(kSchema2, kOciManifest),
              HasSubstr("mediaType: is \"application/vnd.docker.distribution.manifest.v2+json\", "
                        "but it came as"));
  EXPECT_THAT(ErrorOf(kOciPlain, kOciIndex), HasSubstr("came as an index"));
  EXPECT_THAT(ErrorOf(R"({"manifests":[]})", kOciManifest), HasSubstr("came as a manifest"));
  EXPECT_THAT(
      ErrorOf(absl::StrCat(R"({"mediaType":")", AsAbsl(kOciIndex), R"(","layers":[]})"), kOciIndex),
      HasSubstr("an index's type"));
}

TEST(DocumentTest, Schema1IsNamed) {
  for (const char* type : {"application/vnd.docker.distribution.manifest.v1+prettyjws",
                           "application/vnd.docker.distribution.manifest.v1+json"}) {
    const auto read = ParseDocument("{}", type);
    EXPECT_EQ(read.status().code(), absl::StatusCode::kUnimplemented);
    EXPECT_THAT(std::string(read.status().message()), HasSubstr("schema 1"));
  }
  EXPECT_THAT(ErrorOf(R"({"schemaVersion":1,"fsLayers":[]})", kDockerManifest),
              HasSubstr("schema 1"));
  EXPECT_EQ(ParseDocument("{}", "text/html").status().code(), absl::StatusCode::kUnimplemented);
}

TEST(DocumentTest, ErrorsNameThePlace) {
  auto manifest = [](std::string_view config, std::string_view layers) {
    return absl::StrCat(R"({"schemaVersion":2,"config":)", AsAbsl(config), R"(,"layers":)",
                        AsAbsl(layers), "}");
  };
  const std::string good = R"({"mediaType":"x","digest":"<a>","size":1})";
  EXPECT_EQ(ErrorOf(manifest(good, "[" + good + "]"), kOciManifest), "it is taken");
  EXPECT_EQ(ErrorOf(manifest(good, "null"), kOciManifest), "it is taken") << "no layers";
  const std::pair<std::string, std::string> bad[] = {
      {manifest(good, "[" + good + R"(,{"digest":"sha256:12","size":1}])"),
       "image manifest: layers[1].digest: digest \"sha256:12\""},
      {manifest(good, R"([{"digest":"<a>","size":-1}])"), "layers[0].size: must not be negative"},
      {manifest(good, R"([{"digest":"<a>","size":1.5}])"), "layers[0].size: must be a whole"},
      {manifest(good, R"([{"digest":"<a>","size":18446744073709551615}])"), "layers[0].size"},
      {manifest(good, R"([{"digest":"<a>","size":"1"}])"), "layers[0].size"},
      {manifest(good, R"([{"digest":7,"size":1}])"), "layers[0].digest: must be a string"},
      {manifest(good, "[null]"), "layers[0]: must be given"},
      {manifest(good, "[[]]"), "layers[0]: must be an object"},
      {manifest(good, "{}"), "layers: must be an array"},
      {manifest("null", "[]"), "config: must be given"},
      {manifest(R"({"digest":"<a>","size":99999999})", "[]"), "config.size: at most"},
      {R"({"schemaVersion":3,"config":{},"layers":[]})", "schemaVersion: must be 2"},
      {"[]", "must be a JSON object"},
      {R"({"a":"\xff"})", "is no JSON"},
      {"{\"a\":\"\xff\"}", "is no JSON"},
      {"{} x", "is no JSON"},
      {"", "is no JSON"},
  };
  for (const auto& [json, error] : bad) {
    EXPECT_THAT(ErrorOf(json, kOciManifest), HasSubstr(error)) << json;
  }
}

TEST(DocumentTest, SizesAreBounded) {
  std::string layers;
  for (size_t i = 0; i <= kMaxLayers; ++i) {
    absl::StrAppend(&layers, i == 0 ? "" : ",", R"({"mediaType":"x","digest":"<a>","size":1})");
  }
  const std::string config = R"({"mediaType":"x","digest":"<a>","size":1})";
  EXPECT_THAT(
      ErrorOf(absl::StrCat(R"({"config":)", config, R"(,"layers":[)", layers, "]}"), kOciManifest),
      HasSubstr("layers: 501 layers, at most 500"));
  EXPECT_THAT(ErrorOf(std::string(kMaxManifestBytes + 1, ' '), kOciManifest),
              HasSubstr("bytes, at most 4194304"));
  EXPECT_THAT(ErrorOf(absl::StrCat(R"({"a":)", std::string(100, '['), std::string(100, ']'), "}"),
                      kOciManifest),
              HasSubstr("levels deep"));
  std::string many = "{\"a\":[0";
  for (int i = 0; i < 100'000; ++i) many += ",0";
  EXPECT_THAT(ErrorOf(many + "]}", kOciManifest), HasSubstr("more than 100000 values"));
}

TEST(DocumentTest, IndexOfALayoutMayBeLarger) {
  Index index{std::string(kOciIndex)};
  for (int i = 0; i < 20'000; ++i) {
    index.manifests.push_back({std::string(kOciManifest), Of("a"), 1, {{"n", absl::StrCat(i)}}});
  }
  const std::string json = ToJson(index);
  EXPECT_EQ(ParseLayoutIndex(json)->manifests.size(), 20'000u);
  EXPECT_FALSE(ParseDocument(json, kOciIndex).ok());
}

TEST(PlatformTest, Spelling) {
  auto normal = [](std::string_view text) {
    const absl::StatusOr<Platform> platform = ParsePlatform(text);
    return platform.ok() ? ToString(*platform) : std::string(platform.status().message());
  };
  EXPECT_EQ(normal("linux/amd64"), "linux/amd64");
  EXPECT_EQ(normal("linux/x86_64"), "linux/amd64");
  EXPECT_EQ(normal("linux/amd64/v1"), "linux/amd64");
  EXPECT_EQ(normal("linux/amd64/v3"), "linux/amd64/v3");
  EXPECT_EQ(normal("linux/aarch64"), "linux/arm64");
  EXPECT_EQ(normal("linux/arm64/v8"), "linux/arm64");
  EXPECT_EQ(normal("linux/arm"), "linux/arm/v7");
  EXPECT_EQ(normal("linux/arm/6"), "linux/arm/v6");
  EXPECT_EQ(normal("linux/s390x"), "linux/s390x");
  for (const char* text : {"", "linux", "linux/", "/amd64", "linux/a b", "linux/arm/v7/x"}) {
    EXPECT_EQ(ParsePlatform(text).status().code(), absl::StatusCode::kInvalidArgument) << text;
    EXPECT_THAT(normal(text), HasSubstr("must be os/architecture"));
  }
  EXPECT_EQ(HostPlatform().os, "linux");
  EXPECT_EQ(ToString(HostPlatform()), normal(ToString(HostPlatform())));
}

TEST(PlatformTest, TheBestThatRunsIsChosen) {
  const Index index = ReadIndex(Fill(kIndex), kOciIndex);
  auto chosen = [&](std::string_view platform) {
    const auto descriptor = ChoosePlatform(index, *ParsePlatform(platform));
    return descriptor.ok() ? descriptor->digest.text() : std::string(descriptor.status().message());
  };
  EXPECT_EQ(chosen("linux/amd64"), Of("a").text());
  EXPECT_EQ(chosen("linux/amd64/v3"), Of("a").text());
  EXPECT_EQ(chosen("linux/arm/v7"), Of("c").text()) << "the highest below";
  EXPECT_EQ(chosen("linux/arm/v5"), Of("b").text());
  EXPECT_EQ(chosen("linux/arm64"), Of("d").text());
  EXPECT_THAT(chosen("linux/arm/v4"), HasSubstr("no image for platform linux/arm/v4"));
  EXPECT_EQ(chosen("linux/riscv64"),
            "no image for platform linux/riscv64; there are linux/amd64, linux/arm/v5, "
            "linux/arm/v6, linux/arm64");
  EXPECT_EQ(ChoosePlatform(index, {"unknown", "unknown", ""}).status().code(),
            absl::StatusCode::kNotFound);
}

TEST(PlatformTest, OneThatDoesNotSayIsTakenWhenItIsAlone) {
  Index index{std::string(kOciIndex), {{std::string(kOciManifest), Of("a"), 1}}};
  EXPECT_EQ(ChoosePlatform(index, HostPlatform())->digest, Of("a"));
  index.manifests.push_back({std::string(kOciManifest), Of("b"), 1});
  EXPECT_EQ(ChoosePlatform(index, HostPlatform()).status().code(), absl::StatusCode::kNotFound);
}

TEST(LayerTypeTest, Compressions) {
  EXPECT_EQ(*CompressionOf(kOciLayer), Compression::kNone);
  EXPECT_EQ(*CompressionOf(kDockerLayer), Compression::kNone);
  EXPECT_EQ(*CompressionOf(kOciLayerGzip), Compression::kGzip);
  EXPECT_EQ(*CompressionOf(kDockerLayerGzip), Compression::kGzip);
  EXPECT_EQ(*CompressionOf(kOciLayerZstd), Compression::kZstd);
  const std::pair<const char*, const char*> refused[] = {
      {"application/vnd.oci.image.layer.v1.tar+gzip+encrypted", "encrypted"},
      {"application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", "may not hold"},
      {"application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", "may not hold"},
      {"application/vnd.cncf.helm.chart.content.v1.tar+gzip", "no layer"},
  };
  for (const auto& [type, why] : refused) {
    EXPECT_EQ(CompressionOf(type).status().code(), absl::StatusCode::kUnimplemented);
    EXPECT_THAT(std::string(CompressionOf(type).status().message()), HasSubstr(why));
  }
}

}  // namespace
}  // namespace noded::oci
