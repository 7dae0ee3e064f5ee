// server/exchange.hpp: the inside of the router: accounts at home on each loop, and the paths of a stanza between them.
//
// A stanza of a client is handled first at the sender's home (outbound rules), then at the recipient's (inbound rules);
// a remote recipient's home is another server's. Accounts are kept per thread: the state of a user lives on the thread
// of the home loop, so it is found and used there without any lock. Modules (server/modules/) are written against this
// class alone.
#pragma once

#include <array>
#include <atomic>
#include <coroutine>
#include <cstdint>
#include <expected>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include "connection/keyed_hash.hpp"
#include "server/account.hpp"
#include "server/ended_sessions.hpp"
#include "server/job.hpp"
#include "server/modules/module.hpp"
#include "server/router.hpp"

namespace comity::server {

// Shared, because the store may answer after the router has gone: its completions hold weak references.
class exchange : public std::enable_shared_from_this<exchange> {
public:
  exchange(router::collaborators, std::vector<std::string> domains, std::uint32_t resources_per_user);
  ~exchange();

  // What the router offers; see router.hpp.
  void bind(connection::session_ref, const jid& user, std::string wanted,
            std::move_only_function<void(std::expected<jid, bind_failure>)> done);
  void unbind(connection::session_ref, const jid& full, bool broken);
  [[nodiscard]] std::vector<std::string> suspended() const;
  void restore(const std::vector<std::string>&);
  void manage(connection::session_ref, const jid& full, connection::management::enable);
  void resume(connection::session_ref, connection::resume_session,
              std::move_only_function<void(connection::resume_answer)> done);
  void resumed(connection::session_ref, const jid& full);
  void acknowledge(connection::session_ref, const jid& full);
  void acknowledged(connection::session_ref, const jid& full, std::uint32_t handled);
  void answered(connection::session_ref, const jid& full, const stanza_ref& reply);
  void indicated(connection::session_ref, const jid& full, connection::client_state);
  void from_client(connection::session_ref, stanza_ref);
  void from_server(const stanza_ref&);
  void end_sessions(const jid& user, stream_condition);
  void configure(std::vector<std::string> domains, std::uint32_t resources_per_user, managed_limits = {});
  [[nodiscard]] bool hosts_anywhere(std::string_view domain) const;
  [[nodiscard]] std::vector<std::pair<std::string, std::size_t>> sessions_by_host() const;

  // Surroundings, for modules.
  [[nodiscard]] storage::store& store() const noexcept { return with_.store; }
  [[nodiscard]] const account_limits& limits() const noexcept { return with_.limits; }
  [[nodiscard]] const std::string& version() const noexcept { return with_.version; }
  [[nodiscard]] log::sink& log() const noexcept { return with_.log; }
  [[nodiscard]] std::chrono::system_clock::time_point now() const { return with_.now(); }
  [[nodiscard]] std::chrono::seconds uptime() const;
  [[nodiscard]] const iq_table& iqs() const noexcept { return iqs_; }
  /// Whether the domain is ours, as configured now. A loop's thread.
  [[nodiscard]] bool hosts(std::string_view domain);

  /// Takes a stanza to whoever `to` names: a local user's home, the server itself, a remote domain. A loop's thread.
  void route(const stanza_ref&);
  /// The same stanza to each of them.
  void route_to_each(const stanza&, std::span<const addressee_ref>);
  /// Answers `request` with that error, where it may be answered.
  void refuse(const stanza& request, stanza_condition);
  /// To one session; from an account's own work this keeps its place before anything the work routes.
  /// `shared`: with copies of it that go to others. Where the user does not look, it may have to wait (XEP-0352).
  void send(const bound_resource& to, const stanza_ref&, const std::shared_ptr<managed_stream::copies>& shared = {});
  /// Sends an answer made by `who`'s own work: at once where it goes to a resource of the same account.
  void answer(account& who, const stanza_ref&);
  void answer_error(account& who, const stanza& request, stanza_condition);

  /// Makes the account wait for `work`; the last act of a piece of work.
  void begin(account& who, job<void> work);

  /// Awaits one call of the store. `call` gets the completion to pass on. Only one at a time for an account.
  template <typename T, typename Call>
  auto stored(account& who, Call call);

  /// The account's roster, loaded when needed; an error where the store has none for us.
  job<std::expected<contacts*, storage::error>> roster_of(account& who);
  /// Sees that it is known whom the account blocks: nobody, where it does not exist. False where the store does not
  /// say.
  bool knows_blocks(account& who);
  job<bool> load_blocked(account& who);
  /// Whether the account exists; certain where somebody is logged in.
  job<std::expected<bool, storage::error>> exists(account& who);
  /// Stores an item, or takes out one that says nothing any more, and follows in the copy. The version it got.
  job<std::expected<std::uint64_t, storage::error>> store_item(account& who, storage::roster_item item);

private:
  struct hosted {                      // what configure() sets
    std::vector<std::string> domains;  // sorted
    std::uint32_t resources_per_user = 0;
    managed_limits managed;
  };
  struct shard {  // the accounts at home on one thread
    // By account::user, which is anybody's choice: who writes to nobody has an account made to look for her.
    std::unordered_map<std::string_view, std::unique_ptr<account>, connection::keyed_hash> accounts;
    std::uint64_t ended = 0;  // how many accounts have gone: as long as none does, those that were found are there
    ended_sessions sessions_ended;
    std::shared_ptr<const hosted> configuration;
    std::uint64_t configuration_number = 0;
  };

  [[nodiscard]] shard& here();
  [[nodiscard]] const hosted& configuration();
  [[nodiscard]] account* find(std::string_view bare);
  [[nodiscard]] account& open(const jid& user);
  template <typename Work>
  void at_home(const jid& address, Work work);
  template <typename Work>
  void run(account& who, Work&& work);
  void settle(account& who) noexcept;
  void resumed(account& who, std::coroutine_handle<> piece) noexcept;

  // Pieces of work that are about one stanza; where too many wait already, it is refused.
  struct client_work;
  struct inbound_work;

  /// nullptr where it is not here, or not known to be.
  using found_accounts = std::array<account*, stanza::at_once>;
  [[nodiscard]] found_accounts expect(std::span<const addressee_ref>);
  void to_account(account& who, const stanza_ref&);  // what route() does once the account is found
  void outbound(account& who, bound_resource& sender, const stanza_ref&);
  void outbound_iq(account& who, const stanza_ref&);
  [[nodiscard]] bool delivered_at_once(account& who, const stanza_ref&);
  void arrived(const stanza_ref&, std::shared_ptr<receipt> held);
  void inbound(account& who, const stanza_ref&);
  job<void> inbound_after_loading(account& who, stanza_ref);
  void inbound_from_blocked(const stanza& s);
  void outbound_to_blocked(account& who, const stanza& s);
  void inbound_iq(account& who, const stanza_ref&);
  void iq_to_resource(account& who, const stanza_ref&);
  job<void> iq_to_resource_later(account& who, stanza_ref);
  job<void> iq_by_server(account& who, stanza_ref, const iq_service& service);
  void to_server(const stanza_ref&);
  void iq_to_server(const stanza_ref& request);
  void bind_here(account& who, connection::session_ref, const std::string& wanted,
                 std::move_only_function<void(std::expected<jid, bind_failure>)>& done);
  job<void> bind_after_loading(account& who, connection::session_ref, std::string wanted,
                               std::move_only_function<void(std::expected<jid, bind_failure>)> done);
  void count_session(std::string_view domain, bool more);
  /// Takes the resource out of the account, tells of it, and sees to what its client never acknowledged.
  void end_resource(account& who, std::size_t index);

  void make_room(account& who);

  // inactive_sessions.cpp
  void hold_back(const bound_resource&, managed_stream::entry);
  void release(const bound_resource&);
  void activate(bound_resource&);
  void send_now(const bound_resource&, managed_stream::entry);
  void hand_out(const bound_resource&, const stanza_ref&, const std::shared_ptr<managed_stream::copies>&);

  template <typename Work>
  void at_session(connection::session_ref, const jid& full, Work work);

  // managed_sessions.cpp
  [[nodiscard]] std::shared_ptr<receipt> receipt_of(const stanza&);
  void when_stored(const account&, const std::weak_ptr<receipt>& unstored, std::move_only_function<void()> what);
  void send_managed(const bound_resource&, managed_stream::entry);
  void ask(const bound_resource&);
  void overfull(const bound_resource&);
  void end_later(const bound_resource&, std::chrono::seconds wait);
  void detach(bound_resource&);
  job<void> take_up(account& who, bound_resource r);
  void deliver_again(account& who, const managed_stream::entry& lost);

  router::collaborators with_;
  iq_table iqs_;
  std::chrono::system_clock::time_point started_;
  const std::uint64_t number_;  // of this exchange in the process

  mutable std::mutex mutex_;  // guards what follows; never taken on the path of a stanza
  std::map<std::thread::id, std::unique_ptr<shard>> shards_;
  std::shared_ptr<const hosted> hosted_;
  std::map<std::string, std::size_t, std::less<>> session_counts_;
  std::atomic<std::uint64_t> configuration_number_{1};

  template <typename T, typename Call>
  friend class store_call;
};

/// What `co_await x.stored<T>(…)` waits on.
template <typename T, typename Call>
class store_call {
public:
  store_call(exchange& x, account& who, Call call) : exchange_{x}, who_{who}, call_{std::move(call)} {}
  static bool await_ready() noexcept { return false; }
  void await_suspend(std::coroutine_handle<> piece) {
    // The completion may resume the piece, and end this object, before `call` returns.
    auto call = std::move(call_);
    // The result travels to the home loop in the closure: until then nothing of the waiting frame is touched, so the
    // exchange may end at any time.
    call(storage::completion<T>{[this, piece, alive = exchange_.weak_from_this(), &homes = exchange_.with_.homes,
                                 user = who_.user](std::expected<T, storage::error> r) mutable {
      homes.at_home(user, [this, piece, alive = std::move(alive), r = std::move(r)]() mutable {
        if (const auto exchange = alive.lock()) {
          result_ = std::move(r);
          exchange->resumed(who_, piece);
        }
      });
    }});
  }
  std::expected<T, storage::error> await_resume() { return std::move(*result_); }

private:
  exchange& exchange_;
  account& who_;
  Call call_;
  std::optional<std::expected<T, storage::error>> result_;
};

template <typename T, typename Call>
auto exchange::stored(account& who, Call call) {
  return store_call<T, Call>{*this, who, std::move(call)};
}

}  // namespace comity::server
