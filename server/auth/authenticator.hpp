// server/auth/authenticator.hpp: finds the keys a user is authenticated with, and does the hashing that takes long.
//
// An absent user is answered like a present one: with made-up keys that stay the same over restarts (THREATS C2), after
// the same work. PBKDF2 runs on threads of its own behind a bounded queue, never on a loop (THREATS C8). Any thread may
// call; completions run on a thread of the store or of the pool. The destructor waits for what is being hashed or told
// and drops the rest without calling back, what the store still owes included; it must not run inside a completion.
#pragma once

#include <cstdint>
#include <expected>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "connection/jid.hpp"
#include "connection/negotiation/stream_feature.hpp"
#include "connection/sasl/mechanism.hpp"
#include "server/storage/store.hpp"

namespace comity::auth {

class authenticator {
public:
  static constexpr std::uint32_t iterations = 10'000;
  static constexpr std::size_t queue_limit = 64;

  /// `store` outlives this. Asks for the secret of the made-up keys at once; until it is there, answers wait for it.
  explicit authenticator(storage::store& store, unsigned threads = 1);
  ~authenticator();
  authenticator(const authenticator&) = delete;
  authenticator& operator=(const authenticator&) = delete;

  /// Keys of one hash. temporary_auth_failure where the store fails.
  void keys(const jid& user, tls::hash, std::move_only_function<void(connection::keys_answer)> done);
  /// Whether it is that user's password. temporary_auth_failure where the store fails or too many wait already.
  void check_password(const jid& user, connection::secret,
                      std::move_only_function<void(connection::password_answer)> done);

  enum class make_error : std::uint8_t { unfit_password, busy };
  /// What is stored of a password: salted keys of every hash (THREATS §3: 16 bytes of salt, 10,000 rounds).
  void make_credentials(connection::secret,
                        std::move_only_function<void(std::expected<storage::credentials, make_error>)> done);

private:
  struct core;
  std::shared_ptr<core> core_;
  std::vector<std::thread> threads_;
};

}  // namespace comity::auth
