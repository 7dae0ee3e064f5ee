#include "server/auth/authenticator.hpp"

#include <array>
#include <utility>

namespace comity::auth {

namespace {

constexpr std::size_t salt_bytes = 16;
constexpr std::array<tls::hash, 3> hashes{tls::hash::sha1, tls::hash::sha256, tls::hash::sha512};

std::string_view name_of(tls::hash h) {
  switch (h) {
    case tls::hash::sha1:
      return "sha-1";
    case tls::hash::sha256:
      return "sha-256";
    case tls::hash::sha512:
      return "sha-512";
  }
  return {};
}

}  // namespace

/// The key of the made-up salts. It comes from the store once; whoever asks before waits here.
struct authenticator::shared_secret {
  using waiter = std::move_only_function<void(std::expected<std::string, storage::error>)>;
  std::mutex lock;
  bool there = false;
  std::expected<std::string, storage::error> value = std::unexpected{storage::error::failed};
  std::vector<waiter> waiting;

  void set(std::expected<std::string, storage::error> v) {
    std::vector<waiter> now;
    {
      const std::lock_guard hold{lock};
      there = v.has_value();  // a failure is told, and asked for anew next time
      value = std::move(v);
      now.swap(waiting);
    }
    for (auto& w : now) {
      w(value);
    }
  }
  /// True where the caller has to fetch it.
  bool get(waiter w) {
    std::unique_lock hold{lock};
    if (there) {
      hold.unlock();
      w(value);
      return false;
    }
    waiting.push_back(std::move(w));
    return waiting.size() == 1;
  }
};

authenticator::authenticator(storage::store& store, unsigned threads)
    : store_{store}, secret_{std::make_shared<shared_secret>()} {
  for (unsigned i = 0; i < threads; ++i) {
    threads_.emplace_back([this] { run(); });
  }
}

authenticator::~authenticator() {
  {
    const std::lock_guard hold{lock_};
    stopping_ = true;
    queue_.clear();
  }
  wake_.notify_all();
  for (auto& t : threads_) {
    t.join();
  }
}

bool authenticator::queue(work w) {
  {
    const std::lock_guard hold{lock_};
    if (queue_.size() >= queue_limit) {
      return false;
    }
    queue_.push_back(std::move(w));
  }
  wake_.notify_one();
  return true;
}

void authenticator::run() {
  std::unique_lock hold{lock_};
  for (;;) {
    wake_.wait(hold, [this] { return stopping_ || !queue_.empty(); });
    if (stopping_) {
      return;
    }
    auto next = std::move(queue_.front());
    queue_.pop_front();
    hold.unlock();
    next();
    hold.lock();
  }
}

connection::scram_keys authenticator::made_up(const jid& user, tls::hash hash, const std::string& secret) const {
  const auto derived = [&](std::string_view what, std::size_t size) {
    auto bytes = tls::hmac(tls::hash::sha512, secret,
                           std::string{what} + '\0' + std::string{name_of(hash)} + '\0' + user.text());
    bytes.resize(size);
    return bytes;
  };
  return {derived("salt", salt_bytes), iterations, derived("stored", tls::digest_size(hash)),
          derived("server", tls::digest_size(hash))};
}

void authenticator::keys(const jid& user, tls::hash hash,
                         std::move_only_function<void(connection::keys_answer)> done) {
  store_.account_credentials(user, [this, user, hash, done = std::move(done)](
                                       std::expected<storage::credentials, storage::error> found) mutable {
    const bool failed = !found && found.error() != storage::error::not_found;
    // The keys of nobody are made for everybody, so that finding out takes as long as not finding.
    const bool fetch = secret_->get([=, this, found = std::move(found), done = std::move(done)](
                                        std::expected<std::string, storage::error> secret) mutable {
      if (failed || !secret) {
        return done(std::unexpected{sasl_condition::temporary_auth_failure});
      }
      auto nobody = made_up(user, hash, *secret);
      const bool real = found && found->scram.contains(hash);
      done(connection::found_keys{real ? std::move(found->scram.at(hash)) : std::move(nobody), real});
    });
    if (fetch) {
      store_.secret("absent-users", [secret = secret_](std::expected<std::string, storage::error> v) {
        secret->set(std::move(v));
      });
    }
  });
}

void authenticator::check_password(const jid& user, connection::secret password,
                                   std::move_only_function<void(connection::password_answer)> done) {
  // Any hash that is stored proves it; the cheapest that every account has.
  keys(user, tls::hash::sha256,
       [this, password = std::move(password), done = std::move(done)](connection::keys_answer found) mutable {
         if (!found) {
           return done(std::unexpected{found.error()});
         }
         // Shared between the work and the refusal, whichever comes.
         auto answer = std::make_shared<decltype(done)>(std::move(done));
         const bool queued = queue([found = std::move(*found), password = std::move(password), answer] {
           const auto derived = connection::derive_scram_keys(tls::hash::sha256, password.reveal(), found.keys.salt,
                                                              found.keys.iterations);
           const bool right =
               derived && tls::equal_constant_time(derived->stored_key, found.keys.stored_key) && found.real;
           (*answer)(right);
         });
         if (!queued) {
           (*answer)(std::unexpected{sasl_condition::temporary_auth_failure});
         }
       });
}

void authenticator::make_credentials(
    connection::secret password, std::move_only_function<void(std::expected<storage::credentials, make_error>)> done) {
  auto answer = std::make_shared<decltype(done)>(std::move(done));
  const bool queued = queue([password = std::move(password), answer] {
    storage::credentials made;
    for (const auto hash : hashes) {
      auto keys = connection::derive_scram_keys(hash, password.reveal(), tls::random_bytes(salt_bytes), iterations);
      if (!keys) {
        return (*answer)(std::unexpected{make_error::unfit_password});
      }
      made.scram.emplace(hash, std::move(*keys));
    }
    (*answer)(std::move(made));
  });
  if (!queued) {
    (*answer)(std::unexpected{make_error::busy});
  }
}

}  // namespace comity::auth
