#include "rootfs/oci/digest.h"

#include <openssl/evp.h>

#include <algorithm>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "node/base/string_view.h"

namespace noded::oci {
namespace {

constexpr std::string_view kPrefix = "sha256:";
constexpr size_t kHexDigits = 64;

bool IsLowerHex(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); }

}  // namespace

absl::StatusOr<Digest> Digest::Parse(std::string_view text) {
  if (text.size() == kPrefix.size() + kHexDigits && text.starts_with(kPrefix) &&
      std::all_of(text.begin() + kPrefix.size(), text.end(), IsLowerHex)) {
    return Digest(std::string(text));
  }
  return absl::InvalidArgumentError(
      absl::StrCat("digest \"", absl::CHexEscape(AsAbsl(text.substr(0, 100))),
                   "\" must be \"sha256:\" and 64 lower-case hexadecimal digits"));
}

void Sha256::Free::operator()(evp_md_ctx_st* context) const { EVP_MD_CTX_free(context); }

Sha256::Sha256() : context_(EVP_MD_CTX_new()) {
  EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr);
}

void Sha256::Update(std::string_view bytes) {
  EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size());
}

Digest Sha256::Result() const {
  // Finished on a copy, because a finished context takes no more.
  const std::unique_ptr<evp_md_ctx_st, Free> copy(EVP_MD_CTX_new());
  EVP_MD_CTX_copy_ex(copy.get(), context_.get());
  unsigned char bytes[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  EVP_DigestFinal_ex(copy.get(), bytes, &size);
  return Digest(absl::StrCat(AsAbsl(kPrefix), absl::BytesToHexString(absl::string_view(
                                                  reinterpret_cast<char*>(bytes), size))));
}

Digest Sha256::Of(std::string_view bytes) {
  Sha256 sum;
  sum.Update(bytes);
  return sum.Result();
}

}  // namespace noded::oci
