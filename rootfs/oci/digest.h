// Digests: what contents are called and checked by (OCI image-spec, descriptor.md). Only sha256,
// the one that registries use. Pure; values.
#ifndef ROOTFS_OCI_DIGEST_H_
#define ROOTFS_OCI_DIGEST_H_

#include <memory>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

struct evp_md_ctx_st;  // EVP_MD_CTX

namespace noded::oci {

// "sha256:<64 lower-case hexadecimal digits>"; never anything else, so that `hex()` is safe as a
// file name.
class Digest {
 public:
  // INVALID_ARGUMENT with the text and the rule.
  static absl::StatusOr<Digest> Parse(std::string_view text);

  // Empty only when made by the default constructor: "not known".
  Digest() = default;
  const std::string& text() const { return text_; }
  std::string hex() const { return text_.empty() ? "" : text_.substr(7); }
  bool empty() const { return text_.empty(); }
  // clang-tidy 14 sees a 0 in the comparison that the compiler writes.
  auto operator<=>(const Digest&) const = default;  // NOLINT(modernize-use-nullptr)

 private:
  friend class Sha256;
  explicit Digest(std::string text) : text_(std::move(text)) {}
  std::string text_;
};

// A digest of bytes as they come. Thread-compatible.
class Sha256 {
 public:
  Sha256();
  void Update(std::string_view bytes);
  // Of all bytes so far; more may follow.
  Digest Result() const;

  static Digest Of(std::string_view bytes);

 private:
  struct Free {
    void operator()(evp_md_ctx_st* context) const;
  };
  std::unique_ptr<evp_md_ctx_st, Free> context_;
};

}  // namespace noded::oci

#endif  // ROOTFS_OCI_DIGEST_H_
