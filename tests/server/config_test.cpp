// The configuration: what is accepted, what is said about the rest, and the documents made from the table of options.
#include "server/config/config.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <sstream>

#include "kept.hpp"
#include "server/config/options.hpp"
#include "server/config/values.hpp"

namespace comity::config {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const std::filesystem::path source_directory{COMITY_SOURCE_DIR};

std::vector<std::filesystem::path> corpus(std::string_view folder) {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator{source_directory / "tests/config" / folder}) {
    if (entry.path().extension() == ".toml") {
      files.push_back(entry.path());
    }
  }
  std::ranges::sort(files);
  return files;
}

std::string test_name(const testing::TestParamInfo<std::filesystem::path>& info) {
  std::string name = info.param.stem().string();
  std::ranges::replace(name, '-', '_');
  return name;
}

std::string messages(const std::vector<fault>& faults) {
  std::string all;
  for (const auto& f : faults) {
    all += to_string(f) + '\n';
  }
  return all;
}

std::filesystem::path expectation(std::filesystem::path file) {
  return file.replace_extension(".expect");
}

settings loaded(const std::string& text, const std::filesystem::path& file = "/etc/comity/comity.toml") {
  auto result = load_text(text, file);
  EXPECT_TRUE(result) << messages(result.error());
  return result ? *result : settings{};
}

constexpr const char* one_host =
    "[[host]]\ndomain = \"example.org\"\ncertificate = \"c.crt\"\nprivate_key = \"c.key\"\n";

class BadFile : public testing::TestWithParam<std::filesystem::path> {};
INSTANTIATE_TEST_SUITE_P(Config, BadFile, testing::ValuesIn(corpus("bad")), test_name);

TEST_P(BadFile, IsRefusedWithEveryFaultInOrder) {
  const auto result = load_text(contents(GetParam()), GetParam().filename());
  ASSERT_FALSE(result);
  ASSERT_THAT(result.error(), testing::Not(IsEmpty()));
  EXPECT_TRUE(std::ranges::is_sorted(result.error(), {}, [](const fault& f) { return std::tuple{f.line, f.column}; }));
  for (const auto& f : result.error()) {
    EXPECT_THAT(f.text, HasSubstr("; ")) << "says no right way";
    EXPECT_TRUE(std::ranges::none_of(f.text, [](char c) { return static_cast<unsigned char>(c) < 0x20; })) << f.text;
    EXPECT_GE(f.line, 1);
    EXPECT_GE(f.column, 1);
  }
  expect_kept(expectation(GetParam()), messages(result.error()));
}

class GoodFile : public testing::TestWithParam<std::filesystem::path> {};
INSTANTIATE_TEST_SUITE_P(Config, GoodFile, testing::ValuesIn(corpus("good")), test_name);

TEST_P(GoodFile, YieldsTheValuesExpectedAndTheyLoadAgain) {
  const auto file = "/etc/comity" / GetParam().filename();
  const auto values = canonical(loaded(contents(GetParam()), file));
  expect_kept(expectation(GetParam()), values);
  EXPECT_EQ(canonical(loaded(values, file)), values);
  EXPECT_THAT(restart_needed(loaded(contents(GetParam()), file), loaded(values, file)), IsEmpty());
}

TEST(ConfigCorpus, HasEnoughOfBoth) {
  EXPECT_GE(corpus("bad").size(), 40U);
  EXPECT_GE(corpus("good").size(), 8U);
}

// INTERFACE, section Configuration: written out here once by hand, so that a slip in the table is seen.
TEST(ConfigDefaults, AreTheDocumentedOnes) {
  const auto s = loaded(one_host);
  EXPECT_EQ(s.server.data_directory, "/var/lib/comity");
  EXPECT_EQ(s.server.admin_socket, "/run/comity/admin.sock");
  EXPECT_EQ(s.server.threads, 0U);
  EXPECT_EQ(s.server.shutdown_timeout, 10s);
  EXPECT_EQ(s.log.level, log::level::info);
  EXPECT_EQ(s.log.format, log_format::text);
  EXPECT_EQ(s.storage.sqlite_file, "/var/lib/comity/comity.db");
  ASSERT_EQ(s.hosts.size(), 1U);
  EXPECT_EQ(s.hosts[0].certificate, "/etc/comity/c.crt");
  EXPECT_EQ(s.hosts[0].private_key, "/etc/comity/c.key");
  ASSERT_EQ(s.listeners.size(), 4U);
  EXPECT_EQ(s.listeners[0].address, (address{"::", 5222}));
  EXPECT_EQ(s.listeners[0].protocol, listen_protocol::c2s);
  EXPECT_EQ(s.listeners[0].tls, listen_tls::starttls);
  EXPECT_EQ(s.listeners[1].address, (address{"::", 5223}));
  EXPECT_EQ(s.listeners[1].tls, listen_tls::direct);
  EXPECT_EQ(s.listeners[2].address, (address{"::", 5269}));
  EXPECT_EQ(s.listeners[2].protocol, listen_protocol::s2s);
  EXPECT_EQ(s.listeners[2].tls, listen_tls::starttls);
  EXPECT_EQ(s.listeners[3].address, (address{"::", 5270}));
  EXPECT_EQ(s.listeners[3].protocol, listen_protocol::s2s);
  EXPECT_EQ(s.listeners[3].tls, listen_tls::direct);
  EXPECT_THAT(s.http.websocket_origins, ElementsAre("*"));
  EXPECT_THAT(s.http.trusted_proxies, IsEmpty());
  EXPECT_EQ(s.tls.minimum_version, tls_minimum::tls_1_2);
  EXPECT_EQ(s.tls.certificate_directory, "");
  EXPECT_EQ(s.tls.ca_file, "");
  EXPECT_EQ(s.tls.crl_file, "");
  EXPECT_THAT(s.dns.servers, ElementsAre("auto"));
  EXPECT_EQ(s.dns.root_hints, "");
  EXPECT_THAT(s.dns.trust_anchors, ElementsAre("/usr/share/dns/root.key"));
  EXPECT_THAT(s.dns.stubs, IsEmpty());
  EXPECT_THAT(s.dns.special_zones, IsEmpty());
  EXPECT_EQ(s.dns.timeout, 5s);
  EXPECT_TRUE(s.s2s.enabled);
  EXPECT_EQ(s.s2s.trust, s2s_trust::certificate);
  EXPECT_EQ(s.s2s.connect_timeout, 20s);
  EXPECT_EQ(s.s2s.attempt_delay, 250ms);
  EXPECT_EQ(s.s2s.queue_stanzas, 1000U);
  EXPECT_EQ(s.s2s.queue_timeout, 60s);
  EXPECT_EQ(s.s2s.idle_timeout, 10min);
  EXPECT_THAT(s.s2s.forbidden_addresses, ElementsAre("special"));
  EXPECT_THAT(s.s2s.allowed_addresses, IsEmpty());
  EXPECT_THAT(s.peers, IsEmpty());
  EXPECT_EQ(s.limits.stanza_size_s2s, 512U * 1024U);
  EXPECT_EQ(s.limits.stanza_size_c2s, 256U * 1024U);
  EXPECT_EQ(s.limits.unauthenticated_bytes, 10'000U);
  EXPECT_EQ(s.limits.tls_timeout, 10s);
  EXPECT_EQ(s.limits.handshake_timeout, 30s);
  EXPECT_EQ(s.limits.stanza_depth, 64U);
  EXPECT_EQ(s.limits.stanza_elements, 5000U);
  EXPECT_EQ(s.limits.element_attributes, 256U);
  EXPECT_EQ(s.limits.connections_per_ip, 1000U);
  EXPECT_EQ(s.limits.unauthenticated_per_ip, 50U);
  EXPECT_EQ(s.limits.bytes_per_second_c2s, 0U);
  EXPECT_EQ(s.limits.bytes_per_second_s2s, 0U);
  EXPECT_EQ(s.limits.send_queue_bytes, 1024U * 1024U);
  EXPECT_EQ(s.limits.resources_per_user, 10U);
  EXPECT_EQ(s.stream_management.resume_timeout, 5min);
  EXPECT_EQ(s.stream_management.queue_stanzas, 500U);
  EXPECT_EQ(s.metrics.address, (address{"127.0.0.1", 9568}));
}

TEST(ConfigDefaults, SatisfyTheirOwnRows) {
  std::size_t rows = 0;
  for (const auto& s : sections()) {
    for (const auto* const row : rows_of(s.name)) {
      ++rows;
      if (!std::holds_alternative<std::monostate>(row->fallback)) {
        EXPECT_TRUE(read_value(row->kind, row->fallback, "/")) << row->table << '.' << row->key;
      } else {
        EXPECT_FALSE(row->example.empty()) << row->table << '.' << row->key;
      }
      EXPECT_TRUE(row->sentence.ends_with('.')) << row->sentence;
    }
  }
  EXPECT_EQ(rows, options().size() + host_options().size() + listen_options().size() + peer_options().size());
}

TEST(Config, HostKeepsThePlacesOfItsFiles) {
  const auto s = loaded("\n[[host]]\n  domain = \"example.org\"\n  private_key = \"k\"\n  certificate =  \"c\"\n");
  const auto& h = s.hosts.at(0);
  EXPECT_EQ((std::array{h.line, h.column}), (std::array{2, 1}));
  EXPECT_EQ((std::array{h.certificate_line, h.certificate_column}), (std::array{5, 18}));
  EXPECT_EQ((std::array{h.key_line, h.key_column}), (std::array{4, 17}));
}

TEST(Config, StoreLiesInTheDataDirectoryUnlessItsPathIsAbsolute) {
  const std::string host = one_host;
  EXPECT_EQ(loaded("[server]\ndata_directory = \"data\"\n" + host, "/srv/x/c.toml").storage.sqlite_file,
            "/srv/x/data/comity.db");
  EXPECT_EQ(loaded("[storage]\nurl = \"sqlite:a/b.db\"\n" + host).storage.sqlite_file, "/var/lib/comity/a/b.db");
  EXPECT_EQ(loaded("[storage]\nurl = \"sqlite:/a/b.db\"\n" + host).storage.sqlite_file, "/a/b.db");
}

TEST(Config, RelativeFileNameStartsAtTheWorkingDirectory) {
  EXPECT_EQ(loaded(one_host, "x.toml").hosts.at(0).certificate, std::filesystem::current_path() / "c.crt");
}

class ConfigFile : public testing::Test {
protected:
  ConfigFile() {
    std::string name = (std::filesystem::temp_directory_path() / "comity-config-XXXXXX").string();
    EXPECT_NE(mkdtemp(name.data()), nullptr);
    directory_ = name;
  }
  ~ConfigFile() override { std::filesystem::remove_all(directory_); }
  [[nodiscard]] std::filesystem::path file(std::string_view text) const {
    std::ofstream{directory_ / "comity.toml", std::ios::binary} << text;
    return directory_ / "comity.toml";
  }
  std::filesystem::path directory_;
};

TEST_F(ConfigFile, IsReadFromDisk) {
  const auto result = load(file(one_host));
  ASSERT_TRUE(result);
  EXPECT_EQ(result->file, directory_ / "comity.toml");
  EXPECT_EQ(result->hosts.at(0).certificate, directory_ / "c.crt");
}

TEST_F(ConfigFile, ThatIsMissingIsOneFault) {
  const auto result = load(directory_ / "none.toml");
  ASSERT_FALSE(result);
  EXPECT_EQ(messages(result.error()),
            (directory_ / "none.toml").string() +
                ":1:1: cannot be read: No such file or directory; name a readable file with --config\n");
}

TEST_F(ConfigFile, ThatIsADirectoryIsOneFault) {
  const auto result = load(directory_);
  ASSERT_FALSE(result);
  EXPECT_EQ(messages(result.error()), directory_.string() + ":1:1: this is a directory; name the configuration file\n");
}

TEST_F(ConfigFile, OfOneMebibyteLoadsAndOneByteMoreDoesNot) {
  const std::string host = one_host;
  std::string most = host;
  most.resize(1U << 20U, '\n');
  EXPECT_TRUE(load(file(most)));
  const auto result = load(file(most + "\n"));
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().at(0).text, "the file is larger than 1 MiB; name the configuration file");
}

// The least that toml++ 3.3 needs protection from: each part of a dotted key is a table in a table.
TEST(Config, LineOf4096BytesLoadsAndOneByteMoreDoesNot) {
  const std::string host = one_host;
  const std::string most = "#" + std::string(4095, 'x') + "\n";
  EXPECT_TRUE(load_text(host + most + most, "c.toml"));
  const auto result = load_text(host + "#" + most, "c.toml");
  ASSERT_FALSE(result);
  EXPECT_EQ(messages(result.error()), "c.toml:5:4097: the line is longer than 4096 bytes; break it up\n");
  std::string deep = "a";
  for (int i = 0; i < 400'000; ++i) {
    deep += ".a";
  }
  EXPECT_FALSE(load_text("[" + deep + "]\n", "c.toml"));
}

TEST_F(ConfigFile, ThatNeverEndsIsRefused) {
  EXPECT_FALSE(load("/dev/zero"));
}

TEST_F(ConfigFile, CertificateFilesAreFaultsAtTheirPlace) {
  const auto all = load(file(one_host));
  ASSERT_TRUE(all);
  const auto result = check_certificates(*all);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().at(0).file, directory_ / "comity.toml");
  EXPECT_EQ(result.error().at(0).line, 3);
  EXPECT_EQ(result.error().at(0).column, 15);
  EXPECT_THAT(result.error().at(0).text, HasSubstr("host.certificate = \"" + (directory_ / "c.crt").string() + "\" "));
}

TEST_F(ConfigFile, CertificatesThatAreFoundAreFaultsAtTheirHost) {
  std::filesystem::create_directories(directory_ / "live/b.example");
  std::ofstream{directory_ / "live/b.example/fullchain.pem"} << "no certificate";
  std::ofstream{directory_ / "live/b.example/privkey.pem"} << "no key";
  const auto all =
      load(file("[tls]\ncertificate_directory = \"live\"\n[[host]]\ndomain = \"a.example\"\n[[host]]\n"
                "domain = \"b.example\"\n"));
  ASSERT_TRUE(all) << messages(all.error());
  const auto result = check_certificates(*all);
  ASSERT_FALSE(result);
  ASSERT_EQ(result.error().size(), 4U) << messages(result.error());
  EXPECT_EQ(result.error()[0].line, 2);
  EXPECT_THAT(result.error()[0].text, HasSubstr("live\" has no certificate with its key for a.example; "));
  EXPECT_EQ(result.error()[1].line, 5);
  EXPECT_THAT(result.error()[1].text, HasSubstr("live/b.example/fullchain.pem\" holds no certificate"));
  EXPECT_THAT(result.error()[2].text, HasSubstr("live/b.example/privkey.pem\" holds no private key"));
  EXPECT_THAT(result.error()[3].text, HasSubstr("live/b.example/privkey.pem\" may be read by group or others"));
}

TEST_F(ConfigFile, FilesForOtherServersAreFaultsAtTheirPlace) {
  const auto all = load(file(std::string{one_host} +
                             "[tls]\nca_file = \"ca.pem\"\n[dns]\nroot_hints = \"hints\"\ntrust_anchors = [\".\"]\n"));
  ASSERT_TRUE(all);
  const auto result = check_files(*all);
  ASSERT_FALSE(result);
  std::vector<std::string> where;
  for (const auto& f : result.error()) {
    where.push_back(std::to_string(f.line) + " " + f.text.substr(0, f.text.find(' ')));
  }
  EXPECT_THAT(where, ElementsAre("3 host.certificate", "4 host.private_key", "6 tls.ca_file", "8 dns.root_hints",
                                 "9 dns.trust_anchors"));
}

TEST_F(ConfigFile, FilesForOtherServersDoNotMatterWithoutThem) {
  const auto all = load(file("[s2s]\nenabled = false\n" + std::string{one_host} + "[tls]\nca_file = \"ca.pem\"\n"));
  ASSERT_TRUE(all);
  const auto result = check_files(*all);
  ASSERT_FALSE(result);
  for (const auto& f : result.error()) {
    EXPECT_THAT(f.text, testing::StartsWith("host."));
  }
}

TEST(ConfigReload, NamesWhatTakesARestart) {
  const std::string host = one_host;
  const auto running = loaded(host);
  EXPECT_THAT(restart_needed(running, running), IsEmpty());
  const auto after = [&](const std::string& text) { return restart_needed(running, loaded(text + host)); };
  EXPECT_THAT(after("[server]\ndata_directory = \"/d\"\n"), ElementsAre("server.data_directory", "storage.url"));
  EXPECT_THAT(after("[server]\nadmin_socket = \"/s\"\nthreads = 1\n"),
              ElementsAre("server.admin_socket", "server.threads"));
  EXPECT_THAT(after("[storage]\nurl = \"sqlite:x\"\n"), ElementsAre("storage.url"));
  EXPECT_THAT(after("[metrics]\naddress = \"127.0.0.1:1\"\n"), ElementsAre("metrics.address"));
  EXPECT_THAT(after("[[listen]]\naddress = \"[::]:5222\"\n"), ElementsAre("listen"));
  EXPECT_THAT(after("[[listen]]\naddress = \"[::]:5222\"\n[[listen]]\naddress = \"[::]:5223\"\n"),
              ElementsAre("listen"));
}

TEST(ConfigReload, KeepsWhatTakesARestartAndNothingElse) {
  const auto running = loaded(one_host);
  const auto next = loaded(std::string{one_host} + R"(
[server]
data_directory = "/d"
admin_socket = "/s"
threads = 1
shutdown_timeout = "1s"
[log]
level = "debug"
[[listen]]
address = "[::1]:1"
[limits]
stanza_depth = 32
[metrics]
address = "127.0.0.1:1"
)");
  const auto now = after_reload(running, next);
  EXPECT_THAT(restart_needed(running, now), IsEmpty());
  EXPECT_EQ(now.listeners, running.listeners);
  EXPECT_EQ(now.server.shutdown_timeout, 1s);
  EXPECT_EQ(now.log.level, log::level::debug);
  EXPECT_EQ(now.limits.stanza_depth, 32U);
}

TEST(ConfigReload, TakesTheRestAsItIs) {
  const auto running = loaded(std::string{one_host} +
                              "[[listen]]\naddress = \"[::]:5222\"\n"
                              "[[listen]]\naddress = \"[::]:5223\"\ntls = \"direct\"\n");
  const auto next = loaded(R"(
[server]
shutdown_timeout = "1s"
[log]
level = "debug"
format = "json"
[[host]]
domain = "example.net"
certificate = "other.crt"
private_key = "other.key"
[[listen]]
address = "[::]:5223"
tls = "direct"
[[listen]]
address = "[::]:5222"
[tls]
minimum_version = "1.3"
[limits]
stanza_depth = 32
)");
  EXPECT_THAT(restart_needed(running, next), IsEmpty());
}

TEST(ConfigNearest, IsByEditsWithSwapsOfNeighboursAsOne) {
  const std::array<std::string_view, 3> known{"threads", "three", "data_directory"};
  EXPECT_EQ(nearest("thraeds", known), "threads");
  EXPECT_EQ(nearest("tree", known), "three");
  EXPECT_EQ(nearest("directory", known), "data_directory");
  EXPECT_EQ(nearest("", known), "three");
  const std::array<std::string_view, 2> swapped{"acbd", "ab"};  // one swap against two deletions
  EXPECT_EQ(nearest("abcd", swapped), "acbd");
  EXPECT_EQ(nearest(std::string(100'000, 'd'), known), "data_directory");  // in bounded time
}

TEST(ConfigDuration, HasDigitsAndAUnit) {
  EXPECT_EQ(read_duration("250ms"), 250ms);
  EXPECT_EQ(read_duration("5s"), 5s);
  EXPECT_EQ(read_duration("10m"), 10min);
  EXPECT_EQ(read_duration("1h"), 1h);
  EXPECT_EQ(read_duration("0s"), 0s);
  for (const std::string_view wrong : {"", "5", "s", "5 s", " 5s", "5s ", "-5s", "+5s", "5.5s", "5S", "5d", "0x5s"}) {
    EXPECT_FALSE(read_duration(wrong)) << wrong;
  }
  EXPECT_TRUE(read_duration("9223372036854775807ms"));
  EXPECT_FALSE(read_duration("9223372036854775808ms"));
  EXPECT_FALSE(read_duration("18446744073709551616ms"));
}

TEST(ConfigSize, HasDigitsAndPerhapsAUnit) {
  EXPECT_EQ(read_size("10000"), 10'000U);
  EXPECT_EQ(read_size("256KiB"), 262'144U);
  EXPECT_EQ(read_size("1MiB"), 1'048'576U);
  EXPECT_EQ(read_size("1GiB"), 1'073'741'824U);
  for (const std::string_view wrong : {"", "KiB", "1KB", "1kib", "1 KiB", "-1", "1.5MiB", "0x10", "17179869184GiB"}) {
    EXPECT_FALSE(read_size(wrong)) << wrong;
  }
}

TEST(ConfigAddress, IsNumericAndKeptInItsShortestForm) {
  EXPECT_EQ(read_address("[::]:5222"), (address{"::", 5222}));
  EXPECT_EQ(read_address("[2001:DB8:0:0:0:0:0:1]:1"), (address{"2001:db8::1", 1}));
  EXPECT_EQ(read_address("127.0.0.1:65535"), (address{"127.0.0.1", 65535}));
  EXPECT_EQ(read_address("0.0.0.0:0"), (address{"0.0.0.0", 0}));
  for (const std::string_view wrong : {"",
                                       ":",
                                       ":5222",
                                       "5222",
                                       "127.0.0.1",
                                       "127.0.0.1:",
                                       "127.0.0.1:65536",
                                       "127.0.0.1:-1",
                                       "127.0.0.1: 1",
                                       "127.1:1",
                                       "::1:5222",
                                       "[::1]",
                                       "[::1]5222",
                                       "[::1:5222",
                                       "::1]:5222",
                                       "[]:1",
                                       "[fe80::1%lo]:1",
                                       "[::ffff:1.2.3.4]:1",
                                       "localhost:1",
                                       "unix:/x",
                                       "127.0.0.1:1x"}) {
    EXPECT_FALSE(read_address(wrong)) << wrong;
  }
  EXPECT_EQ(to_string(address{"::1", 5222}), "[::1]:5222");
  EXPECT_EQ(to_string(address{"127.0.0.1", 5222}), "127.0.0.1:5222");
}

TEST(ConfigQuotes, EscapeWhatIsNotPlainAndCutWhatIsLong) {
  EXPECT_EQ(in_quotes("a\"b\\c"), R"("a\"b\\c")");
  EXPECT_EQ(in_quotes("\x1b\n\x7f\xc2\x9b\xff€"), R"("\u001B\u000A\u007F\u009B\xff€")");
  EXPECT_EQ(in_quotes(std::string(80, 'x')), "\"" + std::string(80, 'x') + "\"");
  EXPECT_EQ(in_quotes(std::string(81, 'x')), "\"" + std::string(80, 'x') + "…\"");
}

TEST(ConfigDocuments, AnnotatedExampleIsUpToDateAndNarrow) {
  const auto text = annotated_example();
  expect_kept(source_directory / "deploy/comity.toml", text);
  std::istringstream lines{text};
  for (std::string line; std::getline(lines, line);) {
    EXPECT_LE(line.size(), 100U) << line;
  }
}

TEST(ConfigDocuments, AnnotatedExampleHasEveryKeyAndItsDefault) {
  const auto text = annotated_example();
  for (const auto& s : sections()) {
    const std::string start = s.by_need ? "\n#" : "\n";
    EXPECT_THAT(text, HasSubstr(start + (s.repeated ? "[[" + std::string{s.name} + "]]\n"
                                                    : "[" + std::string{s.name} + "]\n")));
    for (const auto* const row : rows_of(s.name)) {
      EXPECT_THAT(text, HasSubstr(start + std::string{row->key} + " = "));
    }
  }
  // It says nothing but the defaults, so leaving all of it out but the host changes nothing.
  const std::string host =
      "[[host]]\ndomain = \"example.org\"\ncertificate = \"certs/example.org.crt\"\nprivate_key = "
      "\"certs/example.org.key\"\n";
  EXPECT_EQ(canonical(loaded(text)), canonical(loaded(host)));
  // What it shows commented out is right too.
  std::string all = text;
  for (std::size_t at = 0; (at = all.find("\n#", at)) != std::string::npos; ++at) {
    if (all[at + 2] != ' ' && all[at + 2] != '\n') {
      all.erase(at + 1, 1);
    }
  }
  EXPECT_EQ(loaded(all).peers.size(), 1U);
}

TEST(ConfigDocuments, ManualPageIsUpToDateAndNamesEveryKey) {
  const auto text = manual_page();
  expect_kept(source_directory / "deploy/man/comity.toml.5", text);
  for (const auto& s : sections()) {
    for (const auto* const row : rows_of(s.name)) {
      EXPECT_THAT(text, HasSubstr("\n.B " + std::string{row->key} + "\n"));
    }
  }
}

}  // namespace
}  // namespace comity::config
