// Mutual TLS over a real port, with certificates made here.
#include "server/tls.h"

#include <arpa/inet.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "node/base/unique_fd.h"
#include "tests/unit/server/fake_engine.h"

namespace noded::server {
namespace {

using ::testing::HasSubstr;

struct Certified {
  std::shared_ptr<EVP_PKEY> key;
  std::shared_ptr<X509> certificate;
};

void AddExtension(X509* certificate, X509* issuer, int id, const char* value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, id, value);
  X509_add_ext(certificate, extension, -1);
  X509_EXTENSION_free(extension);
}

// A certificate for `name`, signed by `issuer` or, without one, by itself.
Certified Certify(const std::string& name, const Certified* issuer) {
  Certified made;
  made.key.reset(EVP_EC_gen("P-256"), EVP_PKEY_free);
  made.certificate.reset(X509_new(), X509_free);
  X509* certificate = made.certificate.get();
  static long serial = 1;
  X509_set_version(certificate, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate), serial++);
  X509_gmtime_adj(X509_getm_notBefore(certificate), -3600);
  X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
  X509_set_pubkey(certificate, made.key.get());
  X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_UTF8,
                             reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0);
  const Certified& signer = issuer == nullptr ? made : *issuer;
  X509_set_issuer_name(certificate, X509_get_subject_name(signer.certificate.get()));
  if (issuer == nullptr) {
    AddExtension(certificate, certificate, NID_basic_constraints, "critical,CA:TRUE");
  } else {
    AddExtension(certificate, signer.certificate.get(), NID_subject_alt_name,
                 "DNS:localhost,IP:127.0.0.1");
  }
  X509_sign(certificate, signer.key.get(), EVP_sha256());
  return made;
}

std::string Pem(const std::function<void(BIO*)>& write) {
  BIO* bio = BIO_new(BIO_s_mem());
  write(bio);
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  std::string pem(data, size);
  BIO_free(bio);
  return pem;
}
std::string CertificatePem(const Certified& certified) {
  return Pem([&](BIO* bio) { PEM_write_bio_X509(bio, certified.certificate.get()); });
}
std::string KeyPem(const Certified& certified) {
  return Pem([&](BIO* bio) {
    PEM_write_bio_PrivateKey(bio, certified.key.get(), nullptr, nullptr, 0, nullptr, nullptr);
  });
}

class TlsTest : public ::testing::Test {
 protected:
  TlsTest() {
    std::string directory = ::testing::TempDir() + "noded-tls-XXXXXX";
    directory_ = ::mkdtemp(directory.data());
    files_ = {.certificate = Write("server.pem", CertificatePem(server_)),
              .key = Write("server.key", KeyPem(server_)),
              .ca = Write("ca.pem", CertificatePem(ca_))};
  }
  ~TlsTest() override { std::filesystem::remove_all(directory_); }

  std::string Write(const std::string& name, const std::string& text) const {
    std::ofstream(directory_ + "/" + name) << text;
    return directory_ + "/" + name;
  }

  void Serve() {
    auto server = ApiServer::Start({{.host = "127.0.0.1", .port = 0}}, files_, &engine_);
    ASSERT_TRUE(server.ok()) << server.status();
    api_ = *std::move(server);
    address_ = api_->addresses()[0];
  }

  grpc::Status GetInfo(const std::shared_ptr<grpc::ChannelCredentials>& credentials) const {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    const auto stub =
        node::v1::NodeService::NewStub(grpc::CreateCustomChannel(address_, credentials, arguments));
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(5));
    node::v1::GetInfoResponse response;
    return stub->GetInfo(&context, {}, &response);
  }
  std::shared_ptr<grpc::ChannelCredentials> ClientCredentials(const Certified* client) const {
    grpc::SslCredentialsOptions options;
    options.pem_root_certs = CertificatePem(ca_);
    if (client != nullptr) {
      options.pem_cert_chain = CertificatePem(*client);
      options.pem_private_key = KeyPem(*client);
    }
    return grpc::SslCredentials(options);
  }

  // The version agreed on by a client of OpenSSL that offers `least` to `most`; "" when refused.
  std::string Handshake(int least, int most) const {
    const std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context(
        SSL_CTX_new(TLS_client_method()), SSL_CTX_free);
    SSL_CTX_set_min_proto_version(context.get(), least);
    SSL_CTX_set_max_proto_version(context.get(), most);
    SSL_CTX_use_certificate(context.get(), client_.certificate.get());
    SSL_CTX_use_PrivateKey(context.get(), client_.key.get());
    const unsigned char kAlpn[] = {2, 'h', '2'};
    SSL_CTX_set_alpn_protos(context.get(), kAlpn, sizeof(kAlpn));
    const UniqueFd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address = {.sin_family = AF_INET};
    address.sin_port = htons(std::stoi(address_.substr(address_.rfind(':') + 1)));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::connect(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    const std::unique_ptr<SSL, decltype(&SSL_free)> ssl(SSL_new(context.get()), SSL_free);
    SSL_set_fd(ssl.get(), socket.get());
    return SSL_connect(ssl.get()) == 1 ? SSL_get_version(ssl.get()) : "";
  }

  const Certified ca_ = Certify("test ca", nullptr);
  const Certified server_ = Certify("server", &ca_);
  const Certified client_ = Certify("alice", &ca_);
  std::string directory_, address_;
  TlsFiles files_;
  FakeEngine engine_;
  std::unique_ptr<ApiServer> api_;
};

TEST_F(TlsTest, LetsInWhoHasACertificateOfTheCa) {
  Serve();
  const grpc::Status status = GetInfo(ClientCredentials(&client_));
  EXPECT_TRUE(status.ok()) << status.error_message();
}

TEST_F(TlsTest, RefusesEverybodyElse) {
  Serve();
  EXPECT_FALSE(GetInfo(ClientCredentials(nullptr)).ok()) << "no certificate";
  const Certified other_ca = Certify("other ca", nullptr);
  const Certified stranger = Certify("alice", &other_ca);
  EXPECT_FALSE(GetInfo(ClientCredentials(&stranger)).ok()) << "another CA's certificate";
  EXPECT_FALSE(GetInfo(grpc::InsecureChannelCredentials()).ok()) << "plain text";
}

TEST_F(TlsTest, SpeaksOnly13) {
  Serve();
  EXPECT_EQ(Handshake(TLS1_VERSION, TLS1_3_VERSION), "TLSv1.3");
  EXPECT_EQ(Handshake(TLS1_3_VERSION, TLS1_3_VERSION), "TLSv1.3");
  EXPECT_EQ(Handshake(TLS1_2_VERSION, TLS1_2_VERSION), "");
  EXPECT_EQ(Handshake(TLS1_VERSION, TLS1_2_VERSION), "");
}

TEST_F(TlsTest, LeavesContextsOfOtherLibrariesAlone) {
  ASSERT_TRUE(RequireTls13().ok());
  const std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context(SSL_CTX_new(TLS_client_method()),
                                                                  SSL_CTX_free);
  EXPECT_EQ(SSL_CTX_get_options(context.get()) & SSL_OP_NO_TLSv1_2, 0u);
}

TEST_F(TlsTest, SaysWhichFileIsWrong) {
  const struct {
    const char* what;
    TlsFiles files;
    std::string says;
  } kCases[] = {
      {"missing", {directory_ + "/none", files_.key, files_.ca}, "/none"},
      {"no certificate",
       {files_.key, files_.key, files_.ca},
       "server.key holds no PEM certificate"},
      {"no key", {files_.certificate, files_.ca, files_.ca}, "ca.pem holds no PEM private key"},
      {"no CA", {files_.certificate, files_.key, Write("empty", "")}, "empty holds no PEM"},
      {"another's key",
       {files_.certificate, Write("other.key", KeyPem(client_)), files_.ca},
       "does not belong to the certificate"},
  };
  for (const auto& c : kCases) {
    const auto credentials = MakeTlsCredentials(c.files);
    EXPECT_EQ(credentials.status().code(), absl::StatusCode::kFailedPrecondition) << c.what;
    EXPECT_THAT(std::string(credentials.status().message()), HasSubstr(c.says)) << c.what;
  }
}

TEST_F(TlsTest, TwoServersDoNotShareAPort) {
  Serve();
  const int port = std::stoi(address_.substr(address_.rfind(':') + 1));
  const auto second = ApiServer::Start({{.host = "127.0.0.1", .port = port}}, files_, &engine_);
  EXPECT_EQ(second.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(second.status().message()), HasSubstr(address_));
}

}  // namespace
}  // namespace noded::server
