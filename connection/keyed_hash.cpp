#include "connection/keyed_hash.hpp"

#include <bit>
#include <cstring>

#include "tls/crypto.hpp"

namespace comity::connection {

namespace {

static_assert(std::endian::native == std::endian::little);  // words of the text are read as they lie

struct sip_state {
  std::uint64_t v0, v1, v2, v3;

  void round() noexcept {
    v0 += v1;
    v2 += v3;
    v1 = std::rotl(v1, 13) ^ v0;
    v3 = std::rotl(v3, 16) ^ v2;
    v0 = std::rotl(v0, 32);
    v2 += v1;
    v0 += v3;
    v1 = std::rotl(v1, 17) ^ v2;
    v3 = std::rotl(v3, 21) ^ v0;
    v2 = std::rotl(v2, 32);
  }
  void take(std::uint64_t word) noexcept {
    v3 ^= word;
    round();
    v0 ^= word;
  }
};

sip_key drawn() {
  sip_key key{};
  const auto bytes = tls::random_bytes(sizeof key);
  std::memcpy(key.data(), bytes.data(), sizeof key);
  return key;
}

}  // namespace

std::uint64_t sip_hash_1_3(const sip_key& key, std::string_view text) noexcept {
  constexpr std::size_t word_bytes = sizeof(std::uint64_t);
  sip_state s{.v0 = key[0] ^ 0x736f6d6570736575ULL,
              .v1 = key[1] ^ 0x646f72616e646f6dULL,
              .v2 = key[0] ^ 0x6c7967656e657261ULL,
              .v3 = key[1] ^ 0x7465646279746573ULL};
  auto last = static_cast<std::uint64_t>(text.size()) << 56U;
  for (; text.size() >= word_bytes; text.remove_prefix(word_bytes)) {
    std::uint64_t word = 0;
    std::memcpy(&word, text.data(), word_bytes);
    s.take(word);
  }
  for (std::size_t i = 0; i < text.size(); ++i) {
    last |= static_cast<std::uint64_t>(static_cast<unsigned char>(text[i])) << (8U * i);
  }
  s.take(last);
  s.v2 ^= 0xffU;
  for (unsigned n = 0; n < 3; ++n) {
    s.round();
  }
  return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

std::size_t keyed_hash::operator()(std::string_view text) const {
  static const sip_key key = drawn();
  return sip_hash_1_3(key, text);
}

}  // namespace comity::connection
