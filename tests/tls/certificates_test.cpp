// What server_context::load takes and refuses, and in which words.
#include <gmock/gmock.h>
#include <sys/stat.h>

#include <fstream>

#include "fakes/certificate_builder.hpp"
#include "fakes/tls_dialogue.hpp"

namespace comity::tls {
namespace {

using std::chrono::system_clock;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::SizeIs;
using ::testing::StartsWith;

class Certificates : public ::testing::Test {
protected:
  host_certificate made(const fakes::certificate_plan& plan) { return fakes::write_certificate(folder_.path(), plan); }
  static std::vector<certificate_fault> faults(const std::vector<host_certificate>& hosts) {
    auto loaded = server_context::load(hosts, protocol_version::tls_1_2);
    return loaded ? std::vector<certificate_fault>{} : std::move(loaded.error());
  }
  static auto fault(bool in_key, const std::string& text, std::size_t index = 0) {
    return AllOf(Field(&certificate_fault::index, index), Field(&certificate_fault::in_key, in_key),
                 Field(&certificate_fault::what, HasSubstr(text)));
  }
  static std::string bytes_of(const std::filesystem::path& file) {
    std::ifstream in{file};
    return {std::istreambuf_iterator<char>{in}, {}};
  }
  static void write(const std::filesystem::path& file, std::string_view bytes) { std::ofstream{file} << bytes; }

  fakes::folder folder_;
};

TEST_F(Certificates, AreDescribedAsTheyAre) {
  const auto before = system_clock::now();
  const auto table = server_context::load({made({.domain = "a.example",
                                                 .from = -3600,
                                                 .until = 86400,
                                                 .more_names = {"conference.a.example", "*.a.example"},
                                                 .by_authority = true})},
                                          protocol_version::tls_1_2);
  ASSERT_TRUE(table);
  ASSERT_THAT(certificates(**table), SizeIs(1));
  const auto& c = certificates(**table)[0];
  EXPECT_EQ("a.example", c.domain);
  EXPECT_EQ("CN=a.example", c.subject);
  EXPECT_EQ("CN=Intermediate", c.issuer);
  EXPECT_THAT(c.dns_names, ElementsAre("a.example", "conference.a.example", "*.a.example"));
  EXPECT_THAT(c.sha256, SizeIs(64));
  EXPECT_NEAR(std::chrono::duration<double>(c.not_before - before).count(), -3600, 10);
  EXPECT_NEAR(std::chrono::duration<double>(c.not_after - before).count(), 86400, 10);
}

TEST_F(Certificates, ShortRsaKeysAreRefused) {  // F04, RFC 9325 §4.5
  EXPECT_THAT(faults({made({.domain = "a", .rsa_bits = 2047})}), ElementsAre(fault(false, "RSA key of 2047 bits")));
  EXPECT_THAT(faults({made({.domain = "a", .rsa_bits = 2048})}), SizeIs(0));
  EXPECT_THAT(faults({made({.domain = "a", .rsa_bits = 2049})}), SizeIs(0));
}

TEST_F(Certificates, SmallCurvesAreRefused) {  // F04
  EXPECT_THAT(faults({made({.domain = "a", .curve = "P-192"})}), ElementsAre(fault(false, "EC key of 192 bits")));
  EXPECT_THAT(faults({made({.domain = "a", .curve = "P-224"})}), SizeIs(0));
  EXPECT_THAT(faults({made({.domain = "a", .curve = "P-384"})}), SizeIs(0));
}

TEST_F(Certificates, Sha1IsRefused) {  // F04
  EXPECT_THAT(faults({made({.domain = "a", .sha1 = true})}), ElementsAre(fault(false, "is signed with SHA1")));
}

TEST_F(Certificates, OutsideTheirTimeAreRefused) {
  EXPECT_THAT(faults({made({.domain = "a", .from = -7200, .until = -3600})}), ElementsAre(fault(false, "expired at ")));
  EXPECT_THAT(faults({made({.domain = "a", .from = 3600, .until = 7200})}),
              ElementsAre(fault(false, "is not valid before ")));
}

TEST_F(Certificates, AKeyOfAnotherIsRefused) {
  auto host = made({.domain = "a"});
  host.private_key_file = made({.domain = "b"}).private_key_file;
  EXPECT_THAT(faults({host}), ElementsAre(fault(true, "does not belong to the certificate")));
}

TEST_F(Certificates, AKeyThatOthersMayReadIsRefused) {
  const auto host = made({.domain = "a"});
  for (const mode_t mode : {0640U, 0604U, 0620U, 0602U}) {
    ASSERT_EQ(0, ::chmod(host.private_key_file.c_str(), mode));
    EXPECT_THAT(faults({host}), ElementsAre(fault(true, "chmod 600"))) << std::oct << mode;
  }
  for (const mode_t mode : {0600U, 0400U}) {
    ASSERT_EQ(0, ::chmod(host.private_key_file.c_str(), mode));
    EXPECT_THAT(faults({host}), SizeIs(0)) << std::oct << mode;
  }
}

TEST_F(Certificates, FilesThatAreNotThereAreNamedAsSuch) {
  EXPECT_THAT(faults({{"a", folder_.path() / "no.crt", folder_.path() / "no.key"}}),
              ElementsAre(fault(false, "cannot be read: No such file"), fault(true, "cannot be read: No such file")));
}

TEST_F(Certificates, FilesThatHoldSomethingElseAreRefused) {
  const auto host = made({.domain = "a"});
  for (const auto* bytes : {"", "garbage\n", "-----BEGIN CERTIFICATE-----\n"}) {
    write(host.certificate_file, bytes);
    EXPECT_THAT(faults({host}), ElementsAre(fault(false, "holds no certificate"))) << bytes;
  }
  const auto other = made({.domain = "b"});
  write(other.private_key_file, bytes_of(other.certificate_file));
  EXPECT_THAT(faults({other}), ElementsAre(fault(true, "holds no private key")));
}

TEST_F(Certificates, ADamagedChainIsRefused) {
  const auto host = made({.domain = "a", .by_authority = true});
  const auto whole = bytes_of(host.certificate_file);
  write(host.certificate_file, whole.substr(0, whole.size() - 60));
  EXPECT_THAT(faults({host}), ElementsAre(fault(false, "is damaged behind its first 1 ")));
  write(host.certificate_file, whole + "\n# a remark\n");
  EXPECT_THAT(faults({host}), SizeIs(0));
}

TEST_F(Certificates, AllFaultsAreToldAtOnceWithTheirHost) {
  auto strange = made({.domain = "c", .rsa_bits = 1024, .sha1 = true, .from = -7200, .until = -3600});
  strange.private_key_file = made({.domain = "d"}).private_key_file;
  EXPECT_THAT(faults({made({.domain = "a", .sha1 = true}), made({.domain = "b"}), strange}),
              ElementsAre(fault(false, "SHA1", 0), fault(false, "expired", 2), fault(false, "1024 bits", 2),
                          fault(false, "SHA1", 2), fault(true, "does not belong", 2)));
}

TEST_F(Certificates, OfHostsThatAreAtFaultStayWhenTheRestIsRenewed) {
  const auto first =
      server_context::load({made({.domain = "a.example"}), made({.domain = "b.example"})}, protocol_version::tls_1_2);
  ASSERT_TRUE(first);
  const auto good = made({.domain = "a.example"});
  const auto bad = made({.domain = "b.example", .from = -7200, .until = -3600});
  const auto sha256 = [](const auto& table, std::size_t at) { return certificates(*table)[at].sha256; };
  // In whatever order they come: the first host stays the first.
  const auto second = server_context::renew({bad, good}, protocol_version::tls_1_2, **first);
  EXPECT_THAT(second.faults, ElementsAre(fault(false, "expired at ", 0)));
  ASSERT_THAT(certificates(*second.table), SizeIs(2));
  EXPECT_EQ("a.example", certificates(*second.table)[0].domain);
  EXPECT_NE(sha256(second.table, 0), sha256(*first, 0));
  EXPECT_EQ(sha256(second.table, 1), sha256(*first, 1));
  // What nobody gives stays too, and a host that was not served is not served by this.
  const auto third = server_context::renew({made({.domain = "c.example"})}, protocol_version::tls_1_2, *second.table);
  EXPECT_THAT(third.faults, SizeIs(0));
  ASSERT_THAT(certificates(*third.table), SizeIs(2));
  EXPECT_EQ(sha256(third.table, 0), sha256(second.table, 0));
}

TEST_F(Certificates, TellWhetherTheyNameTheirHost) {  // RFC 6120 §13.7.1.2
  const auto names = [&](const fakes::certificate_plan& plan) {
    const auto table = server_context::load({made(plan)}, protocol_version::tls_1_2);
    return table && certificates(**table)[0].names_domain;
  };
  EXPECT_TRUE(names({.domain = "a.example"}));
  EXPECT_TRUE(names({.domain = "a.b.example", .names = {{"DNS:*.b.example"}}}));
  EXPECT_TRUE(names({.domain = "a.example", .names = {{"SRV:_xmpp-client.a.example"}}}));
  EXPECT_TRUE(names({.domain = "a.example", .names = {{"XMPP:a.example"}}}));
  EXPECT_FALSE(names({.domain = "a.example", .names = {{"DNS:b.example"}}}));
}

TEST_F(Certificates, LoadingChangesNothingInForce) {
  server_context context;
  auto first = server_context::load({made({.domain = "a"})}, protocol_version::tls_1_2).value();
  context.swap(first);
  EXPECT_FALSE(server_context::load({made({.domain = "b", .sha1 = true})}, protocol_version::tls_1_2));
  EXPECT_EQ(first, context.current());
}

TEST(OpensslVersion, NamesTheLibrary) {
  EXPECT_THAT(openssl_version(), StartsWith("OpenSSL 3."));
}

}  // namespace
}  // namespace comity::tls
