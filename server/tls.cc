#include "server/tls.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "absl/strings/str_cat.h"
#include "node/base/file.h"
#include "node/base/status.h"

namespace noded::server {
namespace {

constexpr size_t kMostPemBytes = 1 << 20;

template <typename T, void (*Free)(T*)>
struct Freed {
  void operator()(T* object) const { Free(object); }
};
using BioPtr = std::unique_ptr<BIO, Freed<BIO, BIO_free_all>>;
using CertificatePtr = std::unique_ptr<X509, Freed<X509, X509_free>>;
using KeyPtr = std::unique_ptr<EVP_PKEY, Freed<EVP_PKEY, EVP_PKEY_free>>;
using ContextPtr = std::unique_ptr<SSL_CTX, Freed<SSL_CTX, SSL_CTX_free>>;

// gRPC sets 1.2 as the minimum of each context it makes, has no setting of its own for it, and so
// overrides MinProtocol of OpenSSL's configuration. The options that switch a version off are
// another thing, which gRPC leaves alone: they are set here while OpenSSL makes the context. gRPC
// uses the method for both roles and any version; contexts of other libraries (clients of
// registries) use others and are not touched.
void SwitchOldVersionsOff(void* parent, void*, CRYPTO_EX_DATA*, int, long, void*) {
  auto* context = static_cast<SSL_CTX*>(parent);
  if (SSL_CTX_get_ssl_method(context) != TLS_method()) return;
  SSL_CTX_set_options(context, SSL_OP_NO_TLSv1 | SSL_OP_NO_TLSv1_1 | SSL_OP_NO_TLSv1_2);
}

absl::StatusOr<std::string> ReadPem(const std::string& path) {
  auto pem = ReadFileAt(AT_FDCWD, path, kMostPemBytes);
  if (!pem.ok()) {
    return absl::FailedPreconditionError(absl::StrCat("read TLS file: ", pem.status().message()));
  }
  return pem;
}

BioPtr Reader(const std::string& pem) {
  return BioPtr(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
}

absl::StatusOr<CertificatePtr> FirstCertificate(const std::string& pem, const std::string& path) {
  CertificatePtr certificate(PEM_read_bio_X509(Reader(pem).get(), nullptr, nullptr, nullptr));
  ERR_clear_error();
  if (certificate == nullptr) {
    return absl::FailedPreconditionError(absl::StrCat(path, " holds no PEM certificate"));
  }
  return certificate;
}

absl::Status CheckKeyBelongs(const std::string& key_pem, const X509& certificate,
                             const TlsFiles& files) {
  // Without a callback OpenSSL would ask for a pass phrase on the terminal.
  const auto no_pass_phrase = [](char*, int, int, void*) { return 0; };
  const KeyPtr key(
      PEM_read_bio_PrivateKey(Reader(key_pem).get(), nullptr, no_pass_phrase, nullptr));
  const bool belongs = key != nullptr && X509_check_private_key(&certificate, key.get()) == 1;
  ERR_clear_error();
  if (key == nullptr) {
    return absl::FailedPreconditionError(
        absl::StrCat(files.key, " holds no PEM private key, or one with a pass phrase"));
  }
  if (!belongs) {
    return absl::FailedPreconditionError(absl::StrCat(
        "the key in ", files.key, " does not belong to the certificate in ", files.certificate));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status RequireTls13() {
  static const int index = CRYPTO_get_ex_new_index(CRYPTO_EX_INDEX_SSL_CTX, 0, nullptr,
                                                   SwitchOldVersionsOff, nullptr, nullptr);
  const ContextPtr probe(SSL_CTX_new(TLS_method()));
  if (index < 0 || probe == nullptr || !(SSL_CTX_get_options(probe.get()) & SSL_OP_NO_TLSv1_2)) {
    return absl::InternalError("make TLS 1.3 the oldest version: OpenSSL did not take the option");
  }
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<grpc::ServerCredentials>> MakeTlsCredentials(const TlsFiles& files) {
  ASSIGN_OR_RETURN(std::string certificate_pem, ReadPem(files.certificate));
  ASSIGN_OR_RETURN(std::string key_pem, ReadPem(files.key));
  ASSIGN_OR_RETURN(std::string ca_pem, ReadPem(files.ca));
  ASSIGN_OR_RETURN(const CertificatePtr certificate,
                   FirstCertificate(certificate_pem, files.certificate));
  RETURN_IF_ERROR(FirstCertificate(ca_pem, files.ca).status());
  RETURN_IF_ERROR(CheckKeyBelongs(key_pem, *certificate, files));

  grpc::SslServerCredentialsOptions options(
      GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
  options.pem_root_certs = std::move(ca_pem);
  options.pem_key_cert_pairs.push_back({std::move(key_pem), std::move(certificate_pem)});
  return grpc::SslServerCredentials(options);
}

}  // namespace noded::server
