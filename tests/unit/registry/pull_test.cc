#include "rootfs/registry/pull.h"

#include <gtest/gtest.h>

namespace noded::registry {
namespace {

// Asked from byte 100 of 200 on: where the answer begins, or -1 for damage.
int64_t Begin(int status, std::map<std::string, std::string> headers) {
  const auto begin = BeginOfAnswer({.status = status, .headers = std::move(headers)}, 100, 200);
  if (begin.ok()) return *begin;
  EXPECT_EQ(begin.status().code(), absl::StatusCode::kDataLoss);
  return -1;
}

TEST(BeginOfAnswer, RangesAsAskedOrIgnored) {
  EXPECT_EQ(Begin(206, {{"content-range", "bytes 100-199/200"}}), 100);
  EXPECT_EQ(Begin(206, {{"content-range", "bytes 100-199/*"}}), 100);
  EXPECT_EQ(Begin(206, {{"content-range", "bytes 100-149/200"}}), 100) << "the rest is asked again";
  EXPECT_EQ(Begin(200, {{"content-length", "200"}}), 0);
  EXPECT_EQ(Begin(200, {}), 0) << "chunked";
}

TEST(BeginOfAnswer, OtherSizesAndRangesAreDamage) {
  EXPECT_EQ(Begin(206, {}), -1);
  EXPECT_EQ(Begin(206, {{"content-range", "bytes 0-199/200"}}), -1);
  EXPECT_EQ(Begin(206, {{"content-range", "bytes 101-199/200"}}), -1);
  EXPECT_EQ(Begin(206, {{"content-range", "bytes 100-200/201"}}), -1);
  EXPECT_EQ(Begin(206, {{"content-range", "items 100-199/200"}}), -1);
  EXPECT_EQ(Begin(206, {{"content-range", "bytes */200"}}), -1);
  EXPECT_EQ(Begin(200, {{"content-length", "199"}}), -1);
  EXPECT_EQ(Begin(200, {{"content-length", "201"}}), -1);
}

}  // namespace
}  // namespace noded::registry
