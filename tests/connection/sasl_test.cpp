// SASL exchanges without a connection: the vectors of the RFCs, then every way in which a client may misbehave.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <set>

#include "connection/sasl/mechanism.hpp"

namespace comity::connection {
namespace {

using kind = sasl_step::kind;

/// Reads as a test's expectation: what a refusal says, or what else came instead of one.
std::string refusal(const sasl_step& s) {
  switch (s.what) {
    case kind::failure:
      return std::string{to_string(s.condition)};
    case kind::challenge:
      return "challenge " + s.octets;
    case kind::success:
      return "SUCCESS of " + s.username;
    case kind::find_keys:
      return "find keys of " + s.username;
    case kind::check_password:
      return "check password of " + s.username;
  }
  return {};
}

sasl_environment at_example(channel_bindings bindings = {}) {
  const bool plus = bindings.any();
  return {"example.com", std::move(bindings), plus};
}

// ---- the vectors ----

struct vector {
  const char* name;
  mechanism by;
  tls::hash hash;
  std::string salt;
  std::string server_nonce;
  std::string client_first, server_first, client_final, server_final;
};

const std::string sha2_nonce = "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
const std::string sha2_server_first = "r=" + sha2_nonce + ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";

const std::vector<vector>& vectors() {
  static const std::vector<vector> all{
      {"RFC 5802 §5", mechanism::scram_sha_1, tls::hash::sha1, "QSXCR+Q6sek8bf92", "3rfcNHYJY1ZVvWVs7j",
       "n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL", "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096",
       "c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
       "v=rmF9pqV8S7suAoZWja4dJRkFsKQ="},
      {"RFC 7677 §3", mechanism::scram_sha_256, tls::hash::sha256,
       "W22ZaJ0SNY7soEsUEjb6gQ==", "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0", "n,,n=user,r=rOprNGfwEbeRWgbNEkqO",
       sha2_server_first, "c=biws,r=" + sha2_nonce + ",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
       "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="},
      // No RFC has vectors for these; they were computed by another implementation of HMAC and PBKDF2.
      {"SHA-512", mechanism::scram_sha_512, tls::hash::sha512, "W22ZaJ0SNY7soEsUEjb6gQ==",
       "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0", "n,,n=user,r=rOprNGfwEbeRWgbNEkqO", sha2_server_first,
       "c=biws,r=" + sha2_nonce +
           ",p=gMGXRcevScNtxZ6/8lQYpGtnsNAc3mGcmNomv+xnoOMw+3R2xNJdMNnzMlTN8PPC6wdp6dybEmDYXYTxwnYPJQ==",
       "v=ZQnYEgWQMFmmsM8aQMF0nDDCy/AgCzkwk8CmMZYcMg0vSVlKDanekLtifDSeVGT4+5ZxXnJq199RVG2rR7N7Zw=="},
      {"SHA-256-PLUS by tls-exporter", mechanism::scram_sha_256_plus, tls::hash::sha256, "W22ZaJ0SNY7soEsUEjb6gQ==",
       "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0", "p=tls-exporter,,n=user,r=rOprNGfwEbeRWgbNEkqO", sha2_server_first,
       "c=cD10bHMtZXhwb3J0ZXIsLEVFRUVFRUVFRUVFRUVFRUVFRUVFRUVFRUVFRUVFRUVF,r=" + sha2_nonce +
           ",p=9bsy3BGYgMVs0OIWMWsnzUYhWe6J5yPOKFNWXnF+O0w=",
       "v=vxnwpFm/D2MWeE8X0Ho6ynsBhzglxKH868AEgblXe2A="},
      {"SHA-1-PLUS by tls-server-end-point", mechanism::scram_sha_1_plus, tls::hash::sha1, "W22ZaJ0SNY7soEsUEjb6gQ==",
       "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0", "p=tls-server-end-point,,n=user,r=rOprNGfwEbeRWgbNEkqO", sha2_server_first,
       "c=cD10bHMtc2VydmVyLWVuZC1wb2ludCwsUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFA=,r=" + sha2_nonce +
           ",p=VPZuteboWiqG51e+V4tLtinh3pY=",
       "v=yjO42EElGaxamE/ongNMWW9Itxk="},
  };
  return all;
}

channel_bindings all_bindings() {
  return {std::string(32, 'E'), std::string(32, 'P'), std::string(12, 'U')};
}

scram_keys keys_of(const vector& v, std::string_view password = "pencil") {
  return derive_scram_keys(v.hash, password, *tls::base64_decode(v.salt), 4096).value();
}

std::unique_ptr<sasl_mechanism> machine_for(const vector& v) {
  const bool plus = to_string(v.by).ends_with("-PLUS");
  return make_sasl_mechanism(v.by, at_example(plus ? all_bindings() : channel_bindings{}), v.server_nonce);
}

TEST(Scram, AnswersAsTheVectorsSay) {  // L04, L05
  for (const auto& v : vectors()) {
    SCOPED_TRACE(v.name);
    const auto machine = machine_for(v);
    const auto ask = machine->start(v.client_first);
    ASSERT_EQ("find keys of user", refusal(ask));
    EXPECT_EQ(v.hash, ask.hash);
    const auto challenge = machine->keys(keys_of(v), true);
    ASSERT_EQ("challenge " + v.server_first, refusal(challenge));
    const auto done = machine->respond(v.client_final);
    ASSERT_EQ("SUCCESS of user", refusal(done));
    EXPECT_EQ(v.server_final, done.octets);
  }
}

TEST(Scram, WithoutInitialResponseAsksForItByAnEmptyChallenge) {  // RFC 6120 §6.4.2
  const auto& v = vectors()[0];
  const auto machine = machine_for(v);
  ASSERT_EQ("challenge ", refusal(machine->start(std::nullopt)));
  ASSERT_EQ("find keys of user", refusal(machine->respond(v.client_first)));
  (void)machine->keys(keys_of(v), true);
  EXPECT_EQ("SUCCESS of user", refusal(machine->respond(v.client_final)));
}

TEST(Scram, RefusesAWrongPassword) {
  for (const auto& v : vectors()) {
    const auto machine = machine_for(v);
    (void)machine->start(v.client_first);
    (void)machine->keys(keys_of(v, "pencil2"), true);
    EXPECT_EQ("not-authorized", refusal(machine->respond(v.client_final))) << v.name;
  }
}

TEST(Scram, RefusesTheRightProofForMadeUpKeys) {  // THREATS C2
  const auto& v = vectors()[1];
  const auto machine = machine_for(v);
  (void)machine->start(v.client_first);
  ASSERT_EQ("challenge " + v.server_first, refusal(machine->keys(keys_of(v), false)));
  EXPECT_EQ("not-authorized", refusal(machine->respond(v.client_final)));
}

TEST(Scram, RefusesAReplayedExchangeSinceItsOwnNonceIsFresh) {  // THREATS C3
  const auto& v = vectors()[1];
  const auto machine = make_sasl_mechanism(v.by, at_example());
  (void)machine->start(v.client_first);
  const auto challenge = machine->keys(keys_of(v), true);
  EXPECT_NE(v.server_first, challenge.octets);
  EXPECT_EQ("not-authorized", refusal(machine->respond(v.client_final)));
}

TEST(Scram, NoncesAreLongAndNeverTheSame) {  // THREATS C3: at least 144 bits
  std::set<std::string> seen;
  for (int i = 0; i < 200; ++i) {
    const auto machine = make_sasl_mechanism(mechanism::scram_sha_1, at_example());
    (void)machine->start("n,,n=user,r=C");
    const auto challenge =
        machine->keys({"salt", 4096, secret{std::string(20, 'a')}, secret{std::string(20, 'b')}}, true).octets;
    ASSERT_TRUE(challenge.starts_with("r=C"));
    const auto own = challenge.substr(3, challenge.find(',') - 3);
    EXPECT_GE(own.size(), 24U);  // six bits a letter
    EXPECT_TRUE(seen.insert(own).second);
  }
}

// ---- client-first-message ----

struct first_case {
  std::string message;
  std::string outcome;
};

TEST(Scram, JudgesFirstMessagesByTheGrammar) {  // THREATS C3, RFC 5802 §7
  const std::string malformed = "malformed-request";
  const std::vector<first_case> cases{
      {"n,,n=user,r=a", "find keys of user"},
      {"y,,n=user,r=a", "find keys of user"},  // nothing was offered here that it could have been robbed of
      {"n,,n=us=2Cer=3D,r=a", "find keys of us,er="},
      {"n,,n=us\xC2\xAD"
       "er,r=a",
       "find keys of user"},  // SASLprep maps the soft hyphen to nothing
      {"n,,n=user,r=a,x=ext", "find keys of user"},
      {"n,,n=user,r=a,x=ext=1,Z=2", "find keys of user"},
      {"n,a=user@example.com,n=user,r=a", "find keys of user"},
      {"n,a=user@EXAMPLE.com,n=user,r=a", "find keys of user"},
      {"n,a=victim@example.com,n=user,r=a", "invalid-authzid"},
      {"n,a=user@other.example,n=user,r=a", "invalid-authzid"},
      {"n,a=user@example.com/home,n=user,r=a", "invalid-authzid"},
      {"n,a=user,n=user,r=a", "invalid-authzid"},  // as an address that is a domain
      {"n,a=@,n=user,r=a", "invalid-authzid"},
      {"", malformed},
      {"=", malformed},
      {",", malformed},
      {",,", malformed},
      {",,,", malformed},
      {"n", malformed},
      {"n,", malformed},
      {"n,,", malformed},
      {"n,,n=user", malformed},
      {"n,,n=user,", malformed},
      {"n,,n=user,r=", malformed},
      {"n,,r=a,n=user", malformed},
      {"n,,n=,r=a", malformed},
      {"n,,N=user,r=a", malformed},
      {"n,,n=user,r=a,", malformed},
      {"n,,n=user,r=a,r=b", malformed},  // a second value must not win
      {"n,,n=user,n=victim,r=a", malformed},
      {"n,,n=user,r=a,n=victim", malformed},
      {"n,,m=x,n=user,r=a", malformed},  // RFC 5802 §5.1: a mandatory extension that we do not know
      {"n,,n=user,r=a,m=x", malformed},
      {"n,,n=user,r=a,p=x", malformed},
      {"n,,n=user,r=a,1=x", malformed},
      {"n,,n=user,r=a,x", malformed},
      {"n,,n=user,r=a,x=", malformed},
      {"n,,n=us=2cer,r=a", malformed},
      {"n,,n=us=3der,r=a", malformed},
      {"n,,n=us=er,r=a", malformed},
      {"n,,n=user=,r=a", malformed},
      {"n,,n=user=2,r=a", malformed},
      {std::string{"n,,n=us\0er,r=a", 14}, malformed},
      {"n,,n=user,r=a b", malformed},
      {"n,,n=user,r=a\x7f", malformed},
      {"n,,n=user,r=\xC3\xA4", malformed},
      {"n,a=,n=user,r=a", malformed},
      {"n,b=x,n=user,r=a", malformed},
      {"n,a=us=2cer,n=user,r=a", malformed},
      {"N,,n=user,r=a", malformed},
      {"z,,n=user,r=a", malformed},
      {"ny,,n=user,r=a", malformed},
      {"p,,n=user,r=a", malformed},
      {"p=,,n=user,r=a", malformed},
      {"p=tls-exporter,,n=user,r=a", malformed},  // in the mechanism without -PLUS
      {"biws", malformed},
      {"c=biws,r=a,p=AAAA", malformed},  // the final message first
  };
  for (const auto& c : cases) {
    const auto machine = make_sasl_mechanism(mechanism::scram_sha_1, at_example());
    EXPECT_EQ(c.outcome, refusal(machine->start(c.message))) << c.message;
  }
}

TEST(Scram, BoundsTheClientsNonce) {
  const auto with = [](std::size_t length) {
    return refusal(
        make_sasl_mechanism(mechanism::scram_sha_1, at_example())->start("n,,n=user,r=" + std::string(length, 'x')));
  };
  EXPECT_EQ("find keys of user", with(511));
  EXPECT_EQ("find keys of user", with(512));
  EXPECT_EQ("malformed-request", with(513));
  EXPECT_EQ("malformed-request", with(65536));
}

TEST(Scram, TakesADowngradeForWhatItIs) {  // THREATS C3, RFC 5802 §6
  for (const auto by : {mechanism::scram_sha_1, mechanism::scram_sha_256, mechanism::scram_sha_512}) {
    EXPECT_EQ("not-authorized", refusal(make_sasl_mechanism(by, at_example(all_bindings()))->start("y,,n=user,r=a")));
    // "n": the client itself cannot bind, which is no downgrade.
    EXPECT_EQ("find keys of user",
              refusal(make_sasl_mechanism(by, at_example(all_bindings()))->start("n,,n=user,r=a")));
  }
}

TEST(ScramPlus, TakesTheBindingsThatThisConnectionHas) {  // L04, THREATS C3
  const auto with = [](const channel_bindings& have, const std::string& flag) {
    return refusal(make_sasl_mechanism(mechanism::scram_sha_256_plus, at_example(have))->start(flag + ",,n=user,r=a"));
  };
  EXPECT_EQ("find keys of user", with(all_bindings(), "p=tls-exporter"));
  EXPECT_EQ("find keys of user", with(all_bindings(), "p=tls-server-end-point"));
  EXPECT_EQ("find keys of user", with(all_bindings(), "p=tls-unique"));  // RFC 5802 §6.1
  EXPECT_EQ("malformed-request", with({{}, "P", "U"}, "p=tls-exporter"));
  EXPECT_EQ("malformed-request", with({"E", {}, "U"}, "p=tls-server-end-point"));
  EXPECT_EQ("malformed-request", with({"E", "P", {}}, "p=tls-unique"));
  EXPECT_EQ("malformed-request", with(all_bindings(), "p=TLS-EXPORTER"));
  EXPECT_EQ("malformed-request", with(all_bindings(), "p=x"));
  EXPECT_EQ("malformed-request", with(all_bindings(), "p="));
  EXPECT_EQ("malformed-request", with(all_bindings(), "n"));
  EXPECT_EQ("malformed-request", with(all_bindings(), "y"));
}

TEST(ScramPlus, RefusesTheBindingOfAnotherConnection) {
  for (const auto& v : vectors()) {
    if (!to_string(v.by).ends_with("-PLUS")) {
      continue;
    }
    const auto machine =
        make_sasl_mechanism(v.by, at_example({std::string(32, 'e'), std::string(32, 'p'), {}}), v.server_nonce);
    (void)machine->start(v.client_first);
    (void)machine->keys(keys_of(v), true);
    EXPECT_EQ("not-authorized", refusal(machine->respond(v.client_final))) << v.name;
  }
}

// ---- client-final-message ----

TEST(Scram, JudgesFinalMessagesByTheGrammar) {  // THREATS C3, RFC 5802 §7
  const auto& v = vectors()[0];
  const std::string nonce = "fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j";
  const std::string proof = "v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=";
  const std::string malformed = "malformed-request";
  const std::string refused = "not-authorized";
  const std::vector<first_case> cases{
      {v.client_final, "SUCCESS of user"},
      {"c=biws,r=" + nonce + ",p=" + tls::base64_encode(std::string(20, '\0')), refused},
      {"c=biws,r=" + nonce + ",p=" + tls::base64_encode(std::string(19, 'x')), refused},
      {"c=biws,r=" + nonce + ",p=" + tls::base64_encode(std::string(21, 'x')), refused},
      {"c=biws,r=" + nonce + ",p=" + tls::base64_encode(std::string(65536, 'x')), refused},
      {"c=biws,r=" + nonce + ",x=1,p=" + proof, refused},         // not what the proof was made over
      {"c=eSws,r=" + nonce + ",p=" + proof, refused},             // "y,,": another header than the first message had
      {"c=bixhPXUs,r=" + nonce + ",p=" + proof, refused},         // "n,a=u,"
      {"c=biws,r=fyko+d2lbbFgONRv9qkxdawL,p=" + proof, refused},  // without our part
      {"c=biws,r=3rfcNHYJY1ZVvWVs7j,p=" + proof, refused},
      {"c=biws,r=" + nonce + "x,p=" + proof, refused},
      {"c=biws,r=" + std::string(65536, 'x') + ",p=" + proof, refused},
      {"c=biws,r=,p=" + proof, malformed},
      {"c=,r=" + nonce + ",p=" + proof, malformed},
      {"c=biw,r=" + nonce + ",p=" + proof, malformed},
      {"c=b*ws,r=" + nonce + ",p=" + proof, malformed},
      {"c=biws,r=" + nonce + ",p=", malformed},
      {"c=biws,r=" + nonce + ",p=" + proof.substr(1), malformed},
      {"c=biws,r=" + nonce + ",p=v0X8v3Bz2T0CJGbJQyF0X+HI4T!=", malformed},
      {"c=biws,r=" + nonce, malformed},
      {"c=biws,r=" + nonce + ",", malformed},
      {"c=biws,r=" + nonce + ",p=" + proof + ",", malformed},
      {"c=biws,r=" + nonce + ",p=" + proof + ",x=1", malformed},  // the proof is last
      {"c=biws,r=" + nonce + ",p=" + proof + ",p=" + proof, malformed},
      {"c=biws,r=" + nonce + ",r=" + nonce + ",p=" + proof, malformed},
      {"c=biws,r=" + nonce + ",c=biws,p=" + proof, malformed},
      {"c=biws,r=" + nonce + ",m=1,p=" + proof, malformed},
      {"r=" + nonce + ",c=biws,p=" + proof, malformed},
      {"c=biws,p=" + proof, malformed},
      {"p=" + proof, malformed},
      {"", malformed},
      {"=", malformed},
      {",,,,", malformed},
      {v.client_first, malformed},
      {std::string(65536, ','), malformed},
  };
  for (const auto& c : cases) {
    const auto machine = machine_for(v);
    (void)machine->start(v.client_first);
    (void)machine->keys(keys_of(v), true);
    EXPECT_EQ(c.outcome, refusal(machine->respond(c.message))) << c.message.substr(0, 100);
    // Whatever it was, it was the only try.
    EXPECT_EQ("malformed-request", refusal(machine->respond(v.client_final))) << c.message.substr(0, 100);
  }
}

TEST(Scram, EveryCutOfAGoodExchangeIsRefused) {
  for (const auto& v : vectors()) {
    const auto keys = keys_of(v);
    for (std::size_t cut = 0; cut < v.client_final.size(); ++cut) {
      const auto machine = machine_for(v);
      (void)machine->start(v.client_first);
      (void)machine->keys(keys, true);
      EXPECT_EQ(kind::failure, machine->respond(v.client_final.substr(0, cut)).what) << v.name << " cut at " << cut;
    }
  }
}

// ---- states ----

using message = std::function<sasl_step(sasl_mechanism&)>;

/// Every message in every state: one way leads to success, all others are answered by a failure, and none of those
/// can be followed by success (THREATS C3).
void expect_one_way(const std::function<std::unique_ptr<sasl_mechanism>()>& make, const std::vector<message>& messages,
                    std::size_t longest, const std::set<std::vector<std::size_t>>& good) {
  std::vector<std::vector<std::size_t>> paths{{}};
  std::set<std::vector<std::size_t>> succeeded;
  while (!paths.empty()) {
    const auto path = paths.back();
    paths.pop_back();
    const auto machine = make();
    bool failed = false;
    for (std::size_t i = 0; i < path.size(); ++i) {
      const auto step = messages[path[i]](*machine);
      EXPECT_FALSE(failed && step.what != kind::failure) << ::testing::PrintToString(path) << refusal(step);
      failed = failed || step.what == kind::failure;
      if (step.what == kind::success) {
        EXPECT_EQ(path.size(), i + 1) << ::testing::PrintToString(path);
        succeeded.insert(path);
        failed = true;  // nothing may come after it but refusals
      }
    }
    if (path.size() < longest) {
      for (std::size_t m = 0; m < messages.size(); ++m) {
        paths.push_back(path);
        paths.back().push_back(m);
      }
    }
    if (!path.empty() && succeeded.contains(path)) {
      for (const auto& m : messages) {
        EXPECT_EQ(kind::failure, m(*machine).what) << "after success";
      }
      std::erase_if(paths, [&](const auto& p) {
        return p.size() > path.size() && std::equal(path.begin(), path.end(), p.begin());
      });
    }
  }
  EXPECT_EQ(good, succeeded);
}

TEST(Scram, AnswersEveryMessageInEveryState) {
  const auto& v = vectors()[0];
  static const auto keys = keys_of(v);
  const std::vector<message> messages{
      [&](auto& m) { return m.start(std::nullopt); },      // 0
      [&](auto& m) { return m.start(v.client_first); },    // 1
      [&](auto& m) { return m.respond(v.client_first); },  // 2
      [&](auto& m) { return m.keys(keys, true); },         // 3
      [&](auto& m) { return m.respond(v.client_final); },  // 4
      [&](auto& m) { return m.password(true); },           // 5
      [&](auto& m) { return m.respond("junk"); },          // 6
  };
  expect_one_way([&] { return machine_for(v); }, messages, 5, {{1, 3, 4}, {0, 2, 3, 4}});
}

TEST(Plain, AnswersEveryMessageInEveryState) {
  using namespace std::string_view_literals;
  const std::vector<message> messages{
      [](auto& m) { return m.start(std::nullopt); },          // 0
      [](auto& m) { return m.start("\0user\0pencil"sv); },    // 1
      [](auto& m) { return m.respond("\0user\0pencil"sv); },  // 2
      [](auto& m) { return m.password(true); },               // 3
      [](auto& m) { return m.keys({}, true); },               // 4
      [](auto& m) { return m.respond("junk"); },              // 5
      [](auto& m) { return m.password(false); },              // 6
  };
  expect_one_way([] { return make_sasl_mechanism(mechanism::plain, at_example()); }, messages, 5, {{1, 3}, {0, 2, 3}});
}

// ---- PLAIN ----

TEST(Plain, JudgesMessagesByTheGrammar) {  // THREATS C1, RFC 4616 §2
  using namespace std::string_literals;
  const std::string malformed = "malformed-request";
  const std::vector<first_case> cases{
      {"\0user\0pencil"s, "check password of user"},
      {"user@example.com\0user\0pencil"s, "check password of user"},
      {"victim@example.com\0attacker\0pw"s, "invalid-authzid"},
      {"user@other.example\0user\0pencil"s, "invalid-authzid"},
      {"user@example.com/r\0user\0pencil"s, "invalid-authzid"},
      {"user\0user\0pencil"s, "invalid-authzid"},
      {"example.com\0user\0pencil"s, "invalid-authzid"},
      {"\0a\0b\0c"s, malformed},
      {"user pencil"s, malformed},
      {"\0user"s, malformed},
      {"\0\0"s, malformed},
      {"\0user\0"s, malformed},
      {"\0\0pencil"s, malformed},
      {"\0user\0pencil\0"s, malformed},
      {""s, malformed},
      {std::string(1024 * 1024, 'x'), malformed},
      {std::string(1024 * 1024, '\0'), malformed},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(c.outcome, refusal(make_sasl_mechanism(mechanism::plain, at_example())->start(c.message)))
        << c.message.substr(0, 40);
  }
}

TEST(Plain, HandsThePasswordOverAsItCame) {
  using namespace std::string_literals;
  auto ask = make_sasl_mechanism(mechanism::plain, at_example())->start("\0user\0 pen\xC2\xA0\"cil "s);
  EXPECT_EQ(" pen\xC2\xA0\"cil ", ask.password.reveal());
}

TEST(Plain, AWrongPasswordIsNotAuthorized) {
  using namespace std::string_literals;
  const auto machine = make_sasl_mechanism(mechanism::plain, at_example());
  (void)machine->start("\0user\0pencil"s);
  EXPECT_EQ("not-authorized", refusal(machine->password(false)));
}

TEST(Secret, IsOverwrittenWhereItLeaves) {
  secret from{std::string(64, 's')};
  const secret to{std::move(from)};
  EXPECT_EQ("", from.reveal());  // NOLINT(bugprone-use-after-move): that it is empty is the point
  EXPECT_EQ(std::string(64, 's'), to.reveal());
}

// ---- what is offered ----

TEST(SaslOffer, WithoutTlsThereIsNothing) {  // L05, RFC 6120 §13.8.3; THREATS C4
  EXPECT_TRUE(offered_mechanisms({false, {}}).empty());
  EXPECT_TRUE(offered_mechanisms({false, all_bindings()}).empty());
}

TEST(SaslOffer, PlusNeedsABindingAndPlainIsLast) {  // L04, L05
  using enum mechanism;
  const std::vector<mechanism> plain_forms{scram_sha_512, scram_sha_256, scram_sha_1, plain};
  EXPECT_EQ(plain_forms, offered_mechanisms({true, {}}));
  const std::vector<mechanism> all{
      scram_sha_512_plus, scram_sha_256_plus, scram_sha_1_plus, scram_sha_512, scram_sha_256, scram_sha_1, plain};
  EXPECT_EQ(all, offered_mechanisms({true, all_bindings()}));
  EXPECT_EQ(all, offered_mechanisms({true, {"E", {}, {}}}));
  EXPECT_EQ(all, offered_mechanisms({true, {{}, "P", {}}}));
  EXPECT_EQ(all, offered_mechanisms({true, {{}, {}, "U"}}));
}

TEST(SaslOffer, AllThatIsOfferedCanBeHad) {  // THREATS C4
  for (const auto m : offered_mechanisms({true, all_bindings()})) {
    EXPECT_EQ(m, mechanism_named(to_string(m)));
    EXPECT_NE(nullptr, make_sasl_mechanism(m, at_example(all_bindings())));
  }
  EXPECT_THROW((void)make_sasl_mechanism(mechanism::external, at_example()), std::logic_error);
  EXPECT_THROW((void)make_sasl_mechanism(mechanism::unknown, at_example()), std::logic_error);
}

TEST(SaslOffer, NamesAreExact) {  // THREATS C4, RFC 4422 §3.1
  EXPECT_EQ(mechanism::scram_sha_256_plus, mechanism_named("SCRAM-SHA-256-PLUS"));
  EXPECT_EQ(mechanism::plain, mechanism_named("PLAIN"));
  EXPECT_EQ(mechanism::external, mechanism_named("EXTERNAL"));
  for (const auto* other : {"", "plain", "Plain", "PLAIN ", "ANONYMOUS", "X-OAUTH2", "DIGEST-MD5", "SCRAM-SHA-256-plus",
                            "SCRAM-SHA-3", "unknown", "none"}) {
    EXPECT_EQ(mechanism::unknown, mechanism_named(other)) << other;
  }
}

// ---- stored keys ----

TEST(ScramKeys, AreThoseOfTheFormula) {  // RFC 5802 §3
  const auto keys = keys_of(vectors()[1]);
  EXPECT_EQ(*tls::base64_decode("W22ZaJ0SNY7soEsUEjb6gQ=="), keys.salt);
  EXPECT_EQ(4096U, keys.iterations);
  EXPECT_EQ("WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=", tls::base64_encode(keys.stored_key.reveal()));
  EXPECT_EQ("wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=", tls::base64_encode(keys.server_key.reveal()));
}

TEST(ScramKeys, PasswordsThatPrepareAlikeAreOne) {  // RFC 5802 §2.2, RFC 4013 §3
  const auto of = [](std::string_view password) { return derive_scram_keys(tls::hash::sha1, password, "salt", 10); };
  EXPECT_EQ(of("IX"), of("I\xC2\xADX"));
  EXPECT_EQ(of("a"), of("\xC2\xAA"));
  EXPECT_EQ(of("IX"), of("\xE2\x85\xA8"));
  EXPECT_NE(of("user"), of("USER"));
  EXPECT_NE(of("p"), of("p "));
}

TEST(ScramKeys, NewerScriptsHavePasswordsToo) {
  // U+1F600 is younger than the tables of SASLprep.
  EXPECT_TRUE(derive_scram_keys(tls::hash::sha1, "\xF0\x9F\x98\x80", "salt", 10));
}

TEST(ScramKeys, WhatCannotBePreparedHasNoKeys) {
  using namespace std::string_literals;
  const std::vector<std::string> bad{"", "\x07", "a\x7f", "\xFF", "\xC3", "a\0b"s, "\xC2\xAD"};
  for (const auto& password : bad) {
    EXPECT_FALSE(derive_scram_keys(tls::hash::sha1, password, "salt", 10)) << ::testing::PrintToString(password);
  }
}

}  // namespace
}  // namespace comity::connection
