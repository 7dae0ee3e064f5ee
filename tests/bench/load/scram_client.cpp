#include "bench/load/scram_client.hpp"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <openssl/sha.h>

#include <array>
#include <charconv>
#include <map>
#include <utility>

namespace comity::bench {

namespace {

const unsigned char* octets(std::string_view s) {
  return reinterpret_cast<const unsigned char*>(s.data());
}

std::string from_base64(std::string_view text) {
  std::string bytes(text.size() / 4 * 3, '\0');
  if (EVP_DecodeBlock(reinterpret_cast<unsigned char*>(bytes.data()), octets(text), static_cast<int>(text.size())) <
      0) {
    return {};
  }
  while (text.ends_with('=')) {
    text.remove_suffix(1);
    bytes.pop_back();
  }
  return bytes;
}

std::string hmac(std::string_view key, std::string_view text) {
  std::array<unsigned char, SHA_DIGEST_LENGTH> out{};
  HMAC(EVP_sha1(), key.data(), static_cast<int>(key.size()), octets(text), text.size(), out.data(), nullptr);
  return {reinterpret_cast<const char*>(out.data()), out.size()};
}

const std::string& salted(const std::string& password, const std::string& salt, int rounds) {
  static std::map<std::pair<std::string, int>, std::string> known;
  auto& keys = known[{salt, rounds}];
  if (keys.empty()) {
    keys.resize(SHA_DIGEST_LENGTH);
    PKCS5_PBKDF2_HMAC(password.data(), static_cast<int>(password.size()), octets(salt), static_cast<int>(salt.size()),
                      rounds, EVP_sha1(), SHA_DIGEST_LENGTH, reinterpret_cast<unsigned char*>(keys.data()));
  }
  return keys;
}

std::string_view field(std::string_view message, std::string_view name) {
  const auto at = message.starts_with(name) ? 0 : message.find("," + std::string{name});
  if (at == std::string_view::npos) {
    return {};
  }
  const auto begin = at + name.size() + (at == 0 ? 0 : 1);
  return message.substr(begin, message.find(',', begin) - begin);
}

}  // namespace

std::string base64(std::string_view bytes) {
  std::string text(((bytes.size() + 2) / 3 * 4) + 1, '\0');
  const int size =
      EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()), octets(bytes), static_cast<int>(bytes.size()));
  text.resize(static_cast<std::size_t>(size));
  return text;
}

scram_client::scram_client(std::string user, std::string password)
    : user_{std::move(user)}, password_{std::move(password)} {
  std::array<unsigned char, 18> random{};
  RAND_bytes(random.data(), random.size());
  nonce_ = base64({reinterpret_cast<const char*>(random.data()), random.size()});
}

std::string scram_client::first() {
  return base64("n,,n=" + user_ + ",r=" + nonce_);
}

std::string scram_client::final(std::string_view challenge) {
  const auto server_first = from_base64(challenge);
  const auto nonce = field(server_first, "r=");
  const auto salt = from_base64(field(server_first, "s="));
  const auto written = field(server_first, "i=");
  int rounds = 0;
  std::from_chars(written.data(), written.data() + written.size(), rounds);
  if (rounds <= 0 || !nonce.starts_with(nonce_)) {
    return {};
  }
  const auto without_proof = "c=biws,r=" + std::string{nonce};
  const auto client_key = hmac(salted(password_, salt, rounds), "Client Key");
  std::array<unsigned char, SHA_DIGEST_LENGTH> stored{};
  SHA1(octets(client_key), client_key.size(), stored.data());
  auto proof = hmac({reinterpret_cast<const char*>(stored.data()), stored.size()},
                    "n=" + user_ + ",r=" + nonce_ + "," + server_first + "," + without_proof);
  for (std::size_t i = 0; i < proof.size(); ++i) {
    proof[i] = static_cast<char>(proof[i] ^ client_key[i]);
  }
  return base64(without_proof + ",p=" + base64(proof));
}

}  // namespace comity::bench
