#include "server/auth/authenticator.hpp"

#include <pthread.h>

#include <array>
#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <optional>
#include <utility>

#include "tls/hash_name.hpp"

namespace comity::auth {

namespace {

constexpr std::size_t salt_bytes = 16;
constexpr std::array<tls::hash, 3> hashes{tls::hash::sha1, tls::hash::sha256, tls::hash::sha512};

/// Keys of a user who is not there: from the secret alone, so that they stay the same.
connection::scram_keys made_up(const jid& user, tls::hash hash, const tls::secret& secret) {
  const auto derived = [&](std::string_view what, std::size_t size) {
    auto bytes = tls::hmac(tls::hash::sha512, secret.reveal(),
                           std::string{what} + '\0' + std::string{tls::name_of(hash)} + '\0' + user.text());
    bytes.resize(size);
    return bytes;
  };
  return {derived("salt", salt_bytes), authenticator::iterations,
          tls::secret{derived("stored", tls::digest_size(hash))},
          tls::secret{derived("server", tls::digest_size(hash))}};
}

using secret_result = std::expected<tls::secret, storage::error>;

}  // namespace

/// Outlives the authenticator where the store still owes an answer; such an answer then finds it stopped.
struct authenticator::core {
  using work = std::move_only_function<void()>;
  using secret_waiter = std::move_only_function<void(const secret_result&)>;

  explicit core(storage::store& s) : store{s} {}

  storage::store& store;
  std::mutex lock;
  std::condition_variable wake, left;
  std::deque<work> queue;
  bool stopping = false;
  unsigned inside = 0;  // threads of the store that are calling back

  // The key of the made-up salts. It comes from the store once; whoever asks before waits here.
  std::optional<tls::secret> secret;
  std::vector<secret_waiter> waiting;

  /// Runs `call` unless all is over; whoever ends all waits until it is through.
  template <typename Call>
  void visit(Call call) {
    {
      const std::lock_guard hold{lock};
      if (stopping) {
        return;
      }
      ++inside;
    }
    struct visitor {  // who is gone too where the call has thrown
      core& visited;
      ~visitor() {
        {
          const std::lock_guard hold{visited.lock};
          --visited.inside;
        }
        visited.left.notify_all();
      }
    };
    const visitor within{*this};
    call();
  }

  /// False: the queue is full.
  [[nodiscard]] bool submit(work w) {
    {
      const std::lock_guard hold{lock};
      if (queue.size() >= queue_limit) {
        return false;
      }
      queue.push_back(std::move(w));
    }
    wake.notify_one();
    return true;
  }

  void run() {
    std::unique_lock hold{lock};
    for (;;) {
      wake.wait(hold, [this] { return stopping || !queue.empty(); });
      if (stopping) {
        return;
      }
      auto next = std::move(queue.front());
      queue.pop_front();
      hold.unlock();
      try {
        next();
      } catch (const std::exception&) {  // no memory (THREATS X13): who asked is let go at its deadline, the others are
                                         // served
      }
      next = {};
      hold.lock();
    }
  }

  void stop() {
    std::deque<work> queued;
    std::vector<secret_waiter> unanswered;
    std::unique_lock hold{lock};
    stopping = true;
    queued.swap(queue);
    unanswered.swap(waiting);
    left.wait(hold, [this] { return inside == 0; });
    hold.unlock();
    wake.notify_all();
  }

  /// `self` is this: it is what keeps the answer's target alive.
  void with_secret(const std::shared_ptr<core>& self, secret_waiter w) {
    std::unique_lock hold{lock};
    if (secret) {
      const secret_result known = *secret;
      hold.unlock();
      return w(known);
    }
    waiting.push_back(std::move(w));
    const bool fetch = waiting.size() == 1;
    hold.unlock();
    if (fetch) {
      store.secret("absent-users", [self](const secret_result& r) { self->visit([&] { self->set_secret(r); }); });
    }
  }

  void set_secret(const secret_result& r) {
    std::vector<secret_waiter> now;
    {
      const std::lock_guard hold{lock};
      if (r) {
        secret = *r;  // a failure is told, and the store asked anew next time
      }
      now.swap(waiting);
    }
    for (auto& w : now) {
      w(r);
    }
  }
};

authenticator::authenticator(storage::store& store, unsigned threads) : core_{std::make_shared<core>(store)} {
  core_->with_secret(core_, [](const secret_result&) {});
  for (unsigned i = 0; i < threads; ++i) {
    threads_.emplace_back([c = core_.get()] {
      ::pthread_setname_np(::pthread_self(), "passwords");  // another's name would take a file of /proc
      c->run();
    });
  }
}

authenticator::~authenticator() {
  core_->stop();
  for (auto& t : threads_) {
    t.join();
  }
}

void authenticator::keys(const jid& user, tls::hash hash, std::move_only_function<void(connection::keys_answer)> done) {
  using found_credentials = std::expected<storage::credentials, storage::error>;
  core_->store.account_credentials(
      user, [c = core_, user, hash, done = std::move(done)](found_credentials found) mutable {
        c->visit([&] {
          // The keys of nobody are made for everybody, so that finding out takes as long as not finding.
          c->with_secret(
              c, [user, hash, found = std::move(found), done = std::move(done)](const secret_result& secret) mutable {
                const bool failed = !found && found.error() != storage::error::not_found;
                if (failed || !secret) {
                  return done(std::unexpected{sasl_condition::temporary_auth_failure});
                }
                connection::scram_keys nobody;
                try {
                  nobody = made_up(user, hash, *secret);
                } catch (const std::exception&) {  // no memory for it (THREATS X13)
                  return done(std::unexpected{sasl_condition::temporary_auth_failure});
                }
                const bool real = found && found->scram.contains(hash);
                done(connection::found_keys{real ? std::move(found->scram.at(hash)) : std::move(nobody), real});
              });
        });
      });
}

void authenticator::check_password(const jid& user, connection::secret password,
                                   std::move_only_function<void(connection::password_answer)> done) {
  // One hash proves it; every account has all of them.
  keys(
      user, tls::hash::sha256,
      [c = core_.get(), password = std::move(password), done = std::move(done)](connection::keys_answer found) mutable {
        if (!found) {
          return done(std::unexpected{found.error()});
        }
        // Shared between the work and the refusal, whichever comes.
        auto answer = std::make_shared<decltype(done)>(std::move(done));
        const bool queued = c->submit([found = std::move(*found), password = std::move(password), answer] {
          connection::password_answer right = std::unexpected{sasl_condition::temporary_auth_failure};
          try {
            const auto derived = connection::derive_scram_keys(tls::hash::sha256, password.reveal(), found.keys.salt,
                                                               found.keys.iterations);
            right = derived && derived->stored_key == found.keys.stored_key && found.real;
          } catch (const std::exception&) {  // no memory for it (THREATS X13)
          }
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
  const bool queued = core_->submit([password = std::move(password), answer] {
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
