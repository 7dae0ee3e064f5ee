#include "server/setup/setup.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>

#include "fakes/certificate_builder.hpp"
#include "fakes/folder.hpp"
#include "server/config/config.hpp"
#include "tls/chain.hpp"
#include "tls/identity.hpp"
#include "tls/issue.hpp"
#include "tls/peer_certificate.hpp"

namespace {

using namespace comity;
using namespace comity::setup;

unsigned mode_of(const std::filesystem::path& path) {
  struct stat at{};
  EXPECT_EQ(::stat(path.c_str(), &at), 0) << path;
  return at.st_mode & 07777U;
}

class Setup : public ::testing::Test {
protected:
  Setup() {
    wish_.domain = "a.example.org";
    wish_.prefix = folder_.path();
    wish_.places = places{folder_.path()};
  }

  /// Files of a certificate at these places below the prefix.
  certificate_place place(const std::string& certificate, const std::string& key, const std::string& domain,
                          long until = 86400) {
    const auto made = fakes::write_certificate(folder_.path(), {.domain = domain, .until = until});
    certificate_place p{.by = "test", .certificate = folder_.path() / certificate, .private_key = folder_.path() / key};
    for (const auto& [from, to] :
         {std::pair{made.certificate_file, p.certificate}, {made.private_key_file, p.private_key}}) {
      std::filesystem::create_directories(to.parent_path());
      std::filesystem::rename(from, to);
    }
    return p;
  }

  [[nodiscard]] bool said(const outcome& made, std::string_view what) const {
    return std::ranges::any_of(made.said, [&](const auto& line) { return line.contains(what); });
  }
  [[nodiscard]] const config::host_settings& host(const outcome& made) const { return made.settings.hosts.at(0); }

  fakes::folder folder_;
  wishes wish_;
};

TEST_F(Setup, MakesAnAuthorityAndACertificateWhereThereIsNone) {
  const auto made = prepare(wish_);
  ASSERT_TRUE(made) << made.error();
  EXPECT_EQ(host(*made).domain, "a.example.org");
  EXPECT_EQ(made->settings.listeners.size(), 4U);
  EXPECT_EQ(mode_of(wish_.places.configuration), 0644U);
  EXPECT_EQ(mode_of(wish_.places.data), 0700U);
  EXPECT_EQ(mode_of(wish_.places.authority_key()), 0600U);
  EXPECT_EQ(mode_of(host(*made).private_key), 0600U);
  EXPECT_TRUE(said(*made, "made a certificate for a.example.org"));

  const auto roots = tls::trust_store::load({.authorities = wish_.places.authority(), .revocations = {}});
  ASSERT_TRUE(roots);
  const auto served = tls::served_credentials(*made->certificates, "a.example.org");
  const auto verdict = tls::judge_chain(served, **roots, {});
  EXPECT_TRUE(verdict.ok()) << verdict.text;
  EXPECT_TRUE(tls::judge_chain(served, **roots, {.role = tls::peer_role::client}).ok()) << "G13";
}

TEST_F(Setup, ChangesNothingWhenItIsRunAgain) {
  const auto first = prepare(wish_);
  ASSERT_TRUE(first) << first.error();
  const auto before = read_file(wish_.places.configuration);
  const auto again = prepare(wish_);
  ASSERT_TRUE(again) << again.error();
  EXPECT_EQ(read_file(wish_.places.configuration), before);
  EXPECT_TRUE(said(*again, "serves a.example.org already: left as it is"));
  EXPECT_EQ(tls::certificates(*again->certificates)[0].sha256, tls::certificates(*first->certificates)[0].sha256);
}

TEST_F(Setup, GoesOnWhereItBrokeOff) {
  const auto first = prepare(wish_);
  ASSERT_TRUE(first);
  std::filesystem::remove(wish_.places.configuration);
  const auto again = prepare(wish_);
  ASSERT_TRUE(again) << again.error();
  EXPECT_TRUE(said(*again, "uses the certificate that is there"));
  EXPECT_EQ(tls::certificates(*again->certificates)[0].sha256, tls::certificates(*first->certificates)[0].sha256);
  std::filesystem::remove(host(*again).private_key);
  std::filesystem::remove(wish_.places.configuration);
  const auto anew = prepare(wish_);
  ASSERT_TRUE(anew) << anew.error();
  EXPECT_NE(tls::certificates(*anew->certificates)[0].sha256, tls::certificates(*first->certificates)[0].sha256);
  EXPECT_EQ(tls::certificates(*anew->certificates)[0].issuer, tls::certificates(*first->certificates)[0].issuer);
}

TEST_F(Setup, ReplacesAnothersConfigurationWhenForcedAlone) {
  ASSERT_TRUE(prepare(wish_));
  const auto before = read_file(wish_.places.configuration);
  wish_.domain = "b.example.org";
  const auto refused = prepare(wish_);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error(), wish_.places.configuration.string() +
                                 " is there and does not serve b.example.org; add a [[host]] to it, or replace it with "
                                 "--force");
  EXPECT_EQ(read_file(wish_.places.configuration), before);
  wish_.force = true;
  const auto forced = prepare(wish_);
  ASSERT_TRUE(forced) << forced.error();
  EXPECT_EQ(host(*forced).domain, "b.example.org");
  EXPECT_EQ(read_file(wish_.places.configuration.string() + ".before"), before);
}

TEST_F(Setup, SaysWhatIsWrongWithAConfigurationThatIsThere) {
  ASSERT_TRUE(make_folder(wish_.places.folder(), 0755, std::nullopt));
  ASSERT_TRUE(write_file(wish_.places.configuration, "[serve]\n", 0644, std::nullopt));
  const auto refused = prepare(wish_);
  ASSERT_FALSE(refused);
  EXPECT_TRUE(refused.error().contains(":1:2: ")) << refused.error();
  EXPECT_TRUE(refused.error().ends_with("or replace it with --force"));
}

TEST_F(Setup, TakesTheCertificateOfCertbot) {
  const auto there = place("etc/letsencrypt/live/a.example.org/fullchain.pem",
                           "etc/letsencrypt/live/a.example.org/privkey.pem", "a.example.org");
  const auto made = prepare(wish_);
  ASSERT_TRUE(made) << made.error();
  EXPECT_TRUE(said(*made, "the certificate of certbot, " + there.certificate.string()));
  EXPECT_FALSE(std::filesystem::exists(wish_.places.authority()));
}

TEST_F(Setup, TakesTheCertificateOfLego) {
  place("var/lib/lego/certificates/a.example.org.crt", "var/lib/lego/certificates/a.example.org.key", "a.example.org");
  const auto made = prepare(wish_);
  ASSERT_TRUE(made) << made.error();
  EXPECT_TRUE(said(*made, "the certificate of lego, "));
}

TEST_F(Setup, TakesTheCertificateOfCaddy) {
  const std::string at =
      "var/lib/caddy/.local/share/caddy/certificates/acme-v02.api.letsencrypt.org-directory/"
      "a.example.org/a.example.org";
  place(at + ".crt", at + ".key", "a.example.org");
  const auto made = prepare(wish_);
  ASSERT_TRUE(made) << made.error();
  EXPECT_TRUE(said(*made, "the certificate of Caddy, "));
}

TEST_F(Setup, LeavesACertificateAloneThatIsNotFit) {
  const auto expired = place("etc/letsencrypt/live/a.example.org/fullchain.pem",
                             "etc/letsencrypt/live/a.example.org/privkey.pem", "a.example.org", -60);
  place("etc/lego/certificates/a.example.org.crt", "etc/lego/certificates/a.example.org.key", "other.example.org");
  const auto made = prepare(wish_);
  ASSERT_TRUE(made) << made.error();
  EXPECT_TRUE(said(*made, "leaves the certificate of certbot alone: " + expired.certificate.string() + " "));
  EXPECT_TRUE(said(*made, "is for DNS:other.example.org; it has to be for a.example.org"));
  EXPECT_TRUE(said(*made, "made a certificate for a.example.org"));
}

TEST_F(Setup, LooksForNoneWhereALocalAuthorityIsWanted) {
  place("etc/letsencrypt/live/a.example.org/fullchain.pem", "etc/letsencrypt/live/a.example.org/privkey.pem",
        "a.example.org");
  wish_.local_authority = true;
  EXPECT_TRUE(said(*prepare(wish_), "made a certificate for a.example.org"));
}

TEST_F(Setup, RefusesACertificateThatIsNamedAndNotFit) {
  wish_.own = place("mine.crt", "mine.key", "a.example.org");
  std::filesystem::permissions(wish_.own->private_key, static_cast<std::filesystem::perms>(0644));
  const auto refused = prepare(wish_);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error(), wish_.own->private_key.string() +
                                 " may be read by group or others; make it readable by its owner alone (chmod 600)");
  EXPECT_FALSE(std::filesystem::exists(wish_.places.configuration));
}

TEST_F(Setup, LeavesNothingHalfWritten) {
  ASSERT_TRUE(make_folder(folder_.path() / "x", 0700, std::nullopt));
  const auto file = folder_.path() / "x/file";
  ASSERT_TRUE(write_file(file, "one", 0640, std::nullopt));
  EXPECT_EQ(mode_of(file), 0640U);
  ASSERT_TRUE(write_file(file, "two", 0600, std::nullopt));
  EXPECT_EQ(mode_of(file), 0600U);
  EXPECT_EQ(read_file(file), "two");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator{folder_.path() / "x"}, {}), 1);
  EXPECT_EQ(write_file(folder_.path() / "none/file", "x", 0600, std::nullopt).error(),
            "cannot write " + (folder_.path() / "none/file.new").string() + ": No such file or directory");
}

TEST(ConfigurationText, IsTakenByTheDaemonWhateverThePathsHold) {
  const auto text = configuration_text({.domain = "a.example.org",
                                        .certificate = "/x/a \"b\\c.crt",
                                        .private_key = "/x/k",
                                        .data = "/d",
                                        .socket = "/s",
                                        .validates = false});
  const auto loaded = config::load_text(text, "/etc/comity/comity.toml");
  ASSERT_TRUE(loaded) << to_string(loaded.error().at(0));
  EXPECT_EQ(loaded->hosts.at(0).certificate, "/x/a \"b\\c.crt");
  EXPECT_TRUE(loaded->dns.trust_anchors.empty());
  EXPECT_EQ(loaded->listeners.size(), 4U);
  EXPECT_FALSE(loaded->server.run_as_root);
}

TEST(ConfigurationText, LetsRootServeWhereThereIsNobodyElse) {
  const auto text = configuration_text({.domain = "a.example.org",
                                        .certificate = "/c",
                                        .private_key = "/k",
                                        .data = "/d",
                                        .socket = "/s",
                                        .as_root = true});
  const auto loaded = config::load_text(text, "/etc/comity/comity.toml");
  ASSERT_TRUE(loaded) << to_string(loaded.error().at(0));
  EXPECT_TRUE(loaded->server.run_as_root);
}

TEST(Issue, SaysWhatIsWrongWithAnAuthority) {
  const auto one = tls::make_authority("one", std::chrono::days{2});
  const auto other = tls::make_authority("other", std::chrono::days{2});
  EXPECT_TRUE(tls::issue(one, "a.example", std::chrono::days{1}));
  EXPECT_EQ(
      tls::issue({.certificate = one.certificate, .private_key = other.private_key}, "a.example", std::chrono::days{1})
          .error(),
      "the authority's certificate and key are not PEM, or do not belong together");
  EXPECT_FALSE(tls::issue({.certificate = "x", .private_key = one.private_key}, "a.example", std::chrono::days{1}));
}

}  // namespace
