// PBKDF2 (RFC 8018 §5.2) of one block, as SCRAM's Hi() takes it (RFC 5802 §2.2).
//
// Of OpenSSL only the compression functions are used: its own PBKDF2 sets up a MAC anew in each round, which costs more
// than the hashing. A round here is two compressions, of one block each, whose padding stands there from the start.
#define OPENSSL_SUPPRESS_DEPRECATED  // nothing in their place works on a single block
#include <openssl/crypto.h>
#include <openssl/sha.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <span>

#include "tls/crypto.hpp"
#include "tls/secret.hpp"

namespace comity::tls {

namespace {

struct sha1 {
  using context = SHA_CTX;
  using word = std::uint32_t;
  static constexpr std::size_t block = SHA_CBLOCK, size = SHA_DIGEST_LENGTH;
  static void begin(context& c) { SHA1_Init(&c); }
  static void compress(context& c, const unsigned char* b) { SHA1_Transform(&c, b); }
  static std::array<word, 5> words(const context& c) { return {c.h0, c.h1, c.h2, c.h3, c.h4}; }
};

struct sha256 {
  using context = SHA256_CTX;
  using word = std::uint32_t;
  static constexpr std::size_t block = SHA256_CBLOCK, size = SHA256_DIGEST_LENGTH;
  static void begin(context& c) { SHA256_Init(&c); }
  static void compress(context& c, const unsigned char* b) { SHA256_Transform(&c, b); }
  static std::span<const word, 8> words(const context& c) { return c.h; }
};

struct sha512 {
  using context = SHA512_CTX;
  using word = std::uint64_t;
  static constexpr std::size_t block = SHA512_CBLOCK, size = SHA512_DIGEST_LENGTH;
  static void begin(context& c) { SHA512_Init(&c); }
  static void compress(context& c, const unsigned char* b) { SHA512_Transform(&c, b); }
  static auto words(const context& c) { return std::bit_cast<std::array<word, 8>>(c.h); }
};

template <typename Hash>
class hmac_of_digest {
public:
  using digest = std::array<unsigned char, Hash::size>;

  explicit hmac_of_digest(std::string_view key) {
    // RFC 2104 §2: a longer key is hashed first.
    const secret shortened{key.size() > Hash::block ? tls::digest(kind(), key) : std::string{key}};
    padded(inner_, shortened.reveal(), 0x36);
    padded(outer_, shortened.reveal(), 0x5c);
    block_[Hash::size] = 0x80;  // FIPS 180-4 §5.1: then zeros, then the number of bits: the key's block and the digest
    constexpr std::size_t bits = (Hash::block + Hash::size) * 8;
    block_[Hash::block - 2] = bits >> 8U;
    block_[Hash::block - 1] = bits & 0xffU;
  }
  ~hmac_of_digest() { OPENSSL_cleanse(this, sizeof *this); }
  hmac_of_digest(const hmac_of_digest&) = delete;
  hmac_of_digest& operator=(const hmac_of_digest&) = delete;

  /// The MAC of `d`, in its place.
  void apply(digest& d) {
    step(inner_, d);
    step(outer_, d);
  }

private:
  static constexpr hash kind() {
    return Hash::size == 20 ? hash::sha1 : Hash::size == 32 ? hash::sha256 : hash::sha512;
  }

  static void padded(typename Hash::context& c, std::string_view key, unsigned char pad) {
    std::array<unsigned char, Hash::block> b{};
    std::ranges::copy(key, b.begin());
    std::ranges::for_each(b, [pad](unsigned char& each) { each ^= pad; });
    Hash::begin(c);
    Hash::compress(c, b.data());
    OPENSSL_cleanse(b.data(), b.size());
  }

  void step(const typename Hash::context& from, digest& d) {
    std::ranges::copy(d, block_.begin());
    typename Hash::context c = from;
    Hash::compress(c, block_.data());
    auto* out = d.data();
    for (auto w : Hash::words(c)) {
      w = std::endian::native == std::endian::little ? std::byteswap(w) : w;
      std::memcpy(out, &w, sizeof w);
      out += sizeof w;
    }
  }

  typename Hash::context inner_, outer_;
  std::array<unsigned char, Hash::block> block_{};
};

template <typename Hash>
std::string derived(hash kind, std::string_view password, std::string_view salt, std::uint32_t iterations) {
  // U1 = HMAC(password, salt + INT(1)); then each is the MAC of the one before, and all are added by XOR.
  auto first = hmac(kind, password, std::string{salt}.append("\0\0\0\1", 4));
  typename hmac_of_digest<Hash>::digest round{};
  std::ranges::copy(first, round.begin());
  auto sum = round;
  hmac_of_digest<Hash> mac{password};
  for (std::uint32_t i = 1; i < iterations; ++i) {
    mac.apply(round);
    for (std::size_t k = 0; k < sum.size(); ++k) {
      sum[k] ^= round[k];
    }
  }
  std::string out{reinterpret_cast<const char*>(sum.data()), sum.size()};
  cleanse(first);
  OPENSSL_cleanse(round.data(), round.size());
  OPENSSL_cleanse(sum.data(), sum.size());
  return out;
}

}  // namespace

std::string pbkdf2(hash h, std::string_view password, std::string_view salt, std::uint32_t iterations) {
  switch (h) {
    case hash::sha1:
      return derived<sha1>(h, password, salt, iterations);
    case hash::sha256:
      return derived<sha256>(h, password, salt, iterations);
    case hash::sha512:
      return derived<sha512>(h, password, salt, iterations);
  }
  return {};
}

}  // namespace comity::tls
