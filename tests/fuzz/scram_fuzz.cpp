// Any octets as a client's messages of SCRAM (RFC 5802, RFC 7677): it succeeds only with both messages in the grammar's
// form, our nonce, the channel binding that is there, no identity but its own and the right proof, and then we have
// proven ourselves as well; an honest client always succeeds, with a user that exists (THREATS C1–C3).
//
// Input: a byte (hash, with channel binding or without, -PLUS offered or not, user real or not), the client's first
// message, a NUL, its final one. In the latter 0x01 stands for both nonces, 0x02 for the channel binding in base64 and
// 0x03 for the proof of what is in front of it.
#include <array>
#include <string>
#include <vector>

#include "connection/sasl/scram.hpp"
#include "tests/fuzz/oracle.hpp"

namespace {

using namespace comity;
using namespace comity::connection;
using namespace comity::fuzz;
using kind = sasl_step::kind;

constexpr std::string_view domain = "example.org";
constexpr std::string_view our_nonce = "3rfcNHYJY1ZVvWVs7j";

struct exchange {
  tls::hash hash = tls::hash::sha1;
  bool plus = false;
  bool plus_offered = false;
  std::string client_key;
  scram_keys keys;
  std::string first;
  std::string server_first;  // what we said
};

exchange exchange_of(std::uint8_t flags, std::string_view first) {
  exchange x;
  x.hash = std::array{tls::hash::sha1, tls::hash::sha256, tls::hash::sha512}.at(flags % 3U);
  x.plus = (flags & 4U) != 0;
  x.plus_offered = x.plus || (flags & 8U) != 0;
  x.client_key = tls::digest(x.hash, "what the password made");
  x.keys = {.salt = "pepper",
            .iterations = 10'000,
            .stored_key = secret{tls::digest(x.hash, x.client_key)},
            .server_key = secret{tls::digest(x.hash, "the server's")}};
  x.first = first;
  return x;
}

std::vector<std::string> split(std::string_view message) {
  std::vector<std::string> parts;
  for (;;) {
    const auto comma = message.find(',');
    parts.emplace_back(message.substr(0, comma));
    if (comma == std::string_view::npos) {
      return parts;
    }
    message.remove_prefix(comma + 1);
  }
}

/// The messages' bare first and the gs2 header, by cutting behind the second comma.
std::size_t header_size(std::string_view first) {
  const auto one = first.find(',');
  return one == std::string_view::npos ? first.size() : std::min(first.find(',', one + 1), first.size() - 1) + 1;
}

std::string binding_of(const exchange& x) {
  const auto header = x.first.substr(0, header_size(x.first));
  const auto octets = header.starts_with("p=tls-exporter,")           ? "exporter"
                      : header.starts_with("p=tls-server-end-point,") ? "end-point"
                                                                      : "";
  return tls::base64_encode(header + octets);
}

std::string message_of(const exchange& x, std::string_view without_proof) {
  return x.first.substr(header_size(x.first)) + "," + x.server_first + "," + std::string{without_proof};
}

std::string proof_of(const exchange& x, std::string_view without_proof) {
  auto proof = tls::hmac(x.hash, x.keys.stored_key.reveal(), message_of(x, without_proof));
  for (std::size_t i = 0; i < proof.size(); ++i) {
    proof[i] = static_cast<char>(proof[i] ^ x.client_key[i]);
  }
  return tls::base64_encode(proof);
}

std::string filled_in(const exchange& x, std::string_view final) {
  const auto nonce = x.server_first.substr(2, x.server_first.find(',') - 2);
  std::string out;
  for (const char c : final) {
    out += c == '\1'   ? nonce
           : c == '\2' ? binding_of(x)
           : c == '\3' ? proof_of(x, out.substr(0, out.rfind(',')))
                       : std::string(1, c);
  }
  return out;
}

std::string unescaped(std::string text) {
  for (const auto& [from, to] : {std::pair{"=2C", ","}, std::pair{"=3D", "="}}) {
    for (auto at = text.find(from); at != std::string::npos; at = text.find(from, at + 1)) {
      text.replace(at, 3, to);
    }
  }
  return text;
}

/// RFC 5802 §7, by taking both messages apart at their commas.
void entitles(const exchange& x, const std::string& final, std::string_view username) {
  const auto first = split(x.first);
  must(first.size() >= 4);
  must(x.plus ? first[0] == "p=tls-exporter" || first[0] == "p=tls-server-end-point"
              : first[0] == "n" || (first[0] == "y" && !x.plus_offered));
  must(first[2].starts_with("n=") && first[3].starts_with("r=") && first[3].size() > 2);
  const auto prepared = saslprep(unescaped(first[2].substr(2)));
  must(username == (prepared ? *prepared : unescaped(first[2].substr(2))));
  if (!first[1].empty()) {
    const auto own = jid::make(username, domain, {});
    const auto acting = jid::parse(unescaped(first[1].substr(2)));
    must(first[1].starts_with("a=") && own && acting && *own == *acting);
  }
  const auto parts = split(final);
  must(parts.size() >= 3 && parts.front() == "c=" + binding_of(x));
  must(parts[1] == first[3] + std::string{our_nonce});
  const auto without_proof = final.substr(0, final.rfind(','));
  must(parts.back() == "p=" + proof_of(x, without_proof));
  for (const auto* all : {&first, &parts}) {
    for (std::size_t i = all == &first ? 4 : 2; i + (all == &first ? 0 : 1) < all->size(); ++i) {
      must((*all)[i].size() >= 3 && (*all)[i][1] == '=' && !std::string_view{"anrmscivpe"}.contains((*all)[i][0]));
    }
  }
}

/// Nothing more can come of it.
void is_over(scram_mechanism& m, std::string_view octets) {
  must(m.respond(octets).what == kind::failure);
  must(m.keys({}, true).what == kind::failure);
  must(m.password(true).what == kind::failure);
  must(m.start(octets).what == kind::failure);
}

/// An honest client of that name.
void succeeds(const exchange& like, std::string_view name) {
  auto x = like;
  std::string escaped;
  for (const char c : name) {
    escaped += c == ',' ? "=2C" : c == '=' ? "=3D" : std::string(1, c);
  }
  x.first = (x.plus ? "p=tls-exporter,,n=" : x.plus_offered ? "n,,n=" : "y,,n=") + escaped + ",r=client";
  scram_mechanism machine{x.hash,
                          x.plus,
                          {.domain = std::string{domain},
                           .bindings = {.tls_exporter = "exporter", .tls_server_end_point = {}, .tls_unique = {}},
                           .plus_offered = x.plus_offered},
                          std::string{our_nonce}};
  const auto asks = machine.start(x.first);
  must(asks.what == kind::find_keys && asks.hash == x.hash);
  x.server_first = machine.keys(x.keys, true).octets;
  const auto done = machine.respond(filled_in(x, "c=\2,r=\1,p=\3"));
  must(done.what == kind::success && done.username == asks.username);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  auto input = text(data, size);
  const auto flags = take_byte(input);
  auto x = exchange_of(flags, take_until(input, '\0'));
  const bool real = (flags & 16U) == 0;
  if (!x.first.empty() && x.first.size() < 200) {
    succeeds(x, x.first);
  }
  scram_mechanism machine{
      x.hash,
      x.plus,
      {.domain = std::string{domain},
       .bindings = {.tls_exporter = "exporter", .tls_server_end_point = "end-point", .tls_unique = {}},
       .plus_offered = x.plus_offered},
      std::string{our_nonce}};
  const auto asks = (flags & 32U) != 0 && machine.start(std::nullopt).what == kind::challenge ? machine.respond(x.first)
                    : (flags & 32U) != 0                                                      ? sasl_step{}
                                                                                              : machine.start(x.first);
  if (asks.what != kind::find_keys) {
    must(asks.what == kind::failure && asks.octets.empty());
    is_over(machine, input);
    return 0;
  }
  must(asks.hash == x.hash && asks.password.reveal().empty());
  const auto challenge = machine.keys(x.keys, real);
  must(challenge.what == kind::challenge);
  x.server_first = challenge.octets;
  // RFC 5802 §5.1: both nonces, salt, iterations.
  const auto said = split(x.server_first);
  must(said.size() == 3 && said[0].ends_with(our_nonce) && said[1] == "s=" + tls::base64_encode(x.keys.salt));
  must(said[2] == "i=10000");
  const auto final = filled_in(x, input);
  const auto done = machine.respond(final);
  if (done.what == kind::success) {
    must(real);
    entitles(x, final, done.username);
    const auto without_proof = final.substr(0, final.rfind(','));
    must(done.octets ==
         "v=" + tls::base64_encode(tls::hmac(x.hash, x.keys.server_key.reveal(), message_of(x, without_proof))));
  } else {
    must(done.what == kind::failure && done.octets.empty());
  }
  is_over(machine, final);
  return 0;
}
