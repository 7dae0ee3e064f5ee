// tests/fakes/stepped_store.hpp: a store in memory that does what it was asked for one call at a time, when told to,
// and fails when told to. What has been asked for and not been done is what a crash would lose.
#pragma once

#include <algorithm>
#include <atomic>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "server/storage/store.hpp"

namespace comity::fakes {

class stepped_store final : public storage::store {
public:
  bool fail = false;                   // every call that is done from now on is refused
  std::size_t fail_only = 0;           // the number of the one call that is refused, counted from 1; 0: none
  std::atomic<std::size_t> calls = 0;  // asked for so far

  /// Does the next call and completes it. False where there is none.
  bool step() {
    std::move_only_function<void()> next;
    {
      const std::lock_guard lock{mutex_};
      if (queue_.empty()) {
        return false;
      }
      next = std::move(queue_.front());
      queue_.pop_front();
    }
    ++done_;
    next();
    --unfinished_;
    return true;
  }
  /// Nothing asked for is left to do, or being done.
  [[nodiscard]] bool idle() const noexcept { return unfinished_.load() == 0; }
  /// Does all of them.
  bool run() {
    bool any = false;
    while (step()) {
      any = true;
    }
    return any;
  }
  [[nodiscard]] std::size_t offline_count(const jid& user) { return of(user).offline.size(); }

  void account_create(const jid& user, storage::credentials, storage::completion<void> done) override {
    later<void>(std::move(done), [this, user] { accounts_.try_emplace(user.text()); });
  }
  void account_passwd(const jid&, storage::credentials, storage::completion<void> done) override {
    later<void>(std::move(done), [] {});
  }
  void account_delete(const jid& user, storage::completion<void> done) override {
    later<void>(std::move(done), [this, user] { accounts_.erase(user.text()); });
  }
  void account_list(std::string domain, storage::completion<std::vector<jid>> done) override {
    later<std::vector<jid>>(std::move(done), [this, domain] {
      std::vector<jid> all;
      for (const auto& [name, account] : accounts_) {
        if (auto user = jid::parse(name); user && (domain.empty() || user->domainpart() == domain)) {
          all.push_back(*std::move(user));
        }
      }
      return all;
    });
  }
  void account_credentials(const jid&, storage::completion<storage::credentials> done) override {
    later<storage::credentials>(std::move(done), [] { return storage::credentials{}; });
  }
  void account_exists(const jid& user, storage::completion<bool> done) override {
    later<bool>(std::move(done), [this, user] { return accounts_.contains(user.text()); });
  }

  void sessions_keep(std::vector<std::string> states, storage::completion<void> done) override {
    later<void>(std::move(done), [this, states = std::move(states)] { sessions_ = states; });
  }
  void sessions_take(storage::completion<std::vector<std::string>> done) override {
    later<std::vector<std::string>>(std::move(done), [this] { return std::exchange(sessions_, {}); });
  }

  void roster_load(const jid& user, storage::completion<storage::roster> done) override {
    later<storage::roster>(std::move(done), [this, user] { return of(user).roster; });
  }
  void roster_put(const jid& user, storage::roster_item item, storage::completion<std::uint64_t> done) override {
    later<std::uint64_t>(std::move(done), [this, user, item = std::move(item)]() mutable {
      auto& r = of(user).roster;
      item.version = ++r.version;
      std::erase_if(r.items, [&](const auto& i) { return i.contact == item.contact; });
      if (item.in_roster) {
        std::erase_if(r.removed, [&](const auto& i) { return i.first == item.contact; });
      }
      r.items.push_back(std::move(item));
      return r.version;
    });
  }
  void roster_remove(const jid& user, const jid& contact, storage::completion<std::uint64_t> done) override {
    later<std::uint64_t>(std::move(done), [this, user, contact] {
      auto& r = of(user).roster;
      ++r.version;
      std::erase_if(r.items, [&](const auto& i) {
        if (i.contact == contact && i.in_roster) {
          r.removed.emplace_back(contact, r.version);
        }
        return i.contact == contact;
      });
      return r.version;
    });
  }

  void blocked_load(const jid& user, storage::completion<std::vector<jid>> done) override {
    later<std::vector<jid>>(std::move(done), [this, user] {
      const auto at = accounts_.find(user.text());
      return at == accounts_.end() ? std::vector<jid>{}
                                   : std::vector<jid>{at->second.blocked.begin(), at->second.blocked.end()};
    });
  }
  void blocked_add(const jid& user, std::vector<jid> more, storage::completion<void> done) override {
    later<void>(std::move(done),
                [this, user, more = std::move(more)] { of(user).blocked.insert(more.begin(), more.end()); });
  }
  void blocked_remove(const jid& user, std::vector<jid> fewer, storage::completion<void> done) override {
    later<void>(std::move(done), [this, user, fewer = std::move(fewer)] {
      for (const auto& each : fewer) {
        of(user).blocked.erase(each);
      }
    });
  }

  void offline_add(const jid& user, std::string wire, std::size_t limit, storage::completion<void> done) override {
    enqueue([this, user, wire = std::move(wire), limit, done = std::move(done)]() mutable {
      auto& kept = of(user).offline;
      if (refused()) {
        done(std::unexpected{storage::error::failed});
      } else if (kept.size() >= limit) {
        done(std::unexpected{storage::error::full});
      } else {
        kept.push_back({.id = ++last_id_, .wire = std::move(wire)});
        done({});
      }
    });
  }
  void offline_load(const jid& user, storage::completion<std::vector<storage::offline_message>> done) override {
    later<std::vector<storage::offline_message>>(std::move(done), [this, user] { return of(user).offline; });
  }
  void offline_remove(const jid& user, std::uint64_t up_to, storage::completion<void> done) override {
    later<void>(std::move(done),
                [this, user, up_to] { std::erase_if(of(user).offline, [&](const auto& m) { return m.id <= up_to; }); });
  }

  void vcard_load(const jid& user, storage::completion<std::optional<std::string>> done) override {
    later<std::optional<std::string>>(std::move(done), [this, user] { return of(user).vcard; });
  }
  void vcard_put(const jid& user, std::string xml, storage::completion<void> done) override {
    later<void>(std::move(done), [this, user, xml = std::move(xml)]() mutable { of(user).vcard = std::move(xml); });
  }

  void last_put(const jid& user, last_presence left, storage::completion<void> done) override {
    later<void>(std::move(done), [this, user, left = std::move(left)]() mutable { of(user).last = std::move(left); });
  }
  void last_load(const jid& user, storage::completion<std::optional<last_presence>> done) override {
    later<std::optional<last_presence>>(std::move(done), [this, user] { return of(user).last; });
  }

  void secret(std::string, storage::completion<tls::secret> done) override {
    later<tls::secret>(std::move(done), [] { return tls::secret{std::string(32, 's')}; });
  }
  void ping(storage::completion<void> done) override {
    later<void>(std::move(done), [] {});
  }

private:
  struct account {
    storage::roster roster;
    std::vector<storage::offline_message> offline;
    std::set<jid> blocked;
    std::optional<std::string> vcard;
    std::optional<last_presence> last;
  };
  account& of(const jid& user) { return accounts_[user.text()]; }

  [[nodiscard]] bool refused() const noexcept { return fail || done_ == fail_only; }
  void enqueue(std::move_only_function<void()> call) {
    ++calls;
    ++unfinished_;
    const std::lock_guard lock{mutex_};
    queue_.push_back(std::move(call));
  }

  template <typename T, typename Work>
  void later(storage::completion<T> done, Work work) {
    enqueue([this, done = std::move(done), work = std::move(work)]() mutable {
      if (refused()) {
        done(std::unexpected{storage::error::failed});
      } else if constexpr (std::is_void_v<T>) {
        work();
        done({});
      } else {
        done(work());
      }
    });
  }

  std::vector<std::string> sessions_;
  std::map<std::string, account> accounts_;
  std::atomic<std::size_t> unfinished_ = 0;
  std::mutex mutex_;
  std::deque<std::move_only_function<void()>> queue_;
  std::uint64_t last_id_ = 0;
  std::size_t done_ = 0;
};

}  // namespace comity::fakes
