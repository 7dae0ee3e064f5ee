#include "server/exchange.hpp"

#include <algorithm>

#include "server/exchange_work.hpp"

namespace comity::server {
namespace {

std::uint64_t next_number() noexcept {
  static std::atomic<std::uint64_t> last{0};
  return ++last;
}

}  // namespace

exchange::exchange(router::collaborators with, std::vector<std::string> domains, std::uint32_t resources_per_user)
    : with_{std::move(with)}, started_{with_.now()}, number_{next_number()} {
  configure(std::move(domains), resources_per_user);
  add_all_modules(iqs_, *this);
}

exchange::~exchange() = default;

std::chrono::seconds exchange::uptime() const {
  const auto up = std::chrono::duration_cast<std::chrono::seconds>(now() - started_);
  return std::max(up, std::chrono::seconds{0});  // the wall clock may be set back
}

void exchange::configure(std::vector<std::string> domains, std::uint32_t resources_per_user, managed_limits managed) {
  std::ranges::sort(domains);
  const std::lock_guard lock{mutex_};
  std::erase_if(session_counts_, [](const auto& host) { return host.second == 0; });
  for (const auto& d : domains) {
    session_counts_.try_emplace(d, 0);
  }
  hosted_ = std::make_shared<const hosted>(hosted{std::move(domains), resources_per_user, managed});
  configuration_number_.fetch_add(1, std::memory_order_release);
}

bool exchange::hosts_anywhere(std::string_view domain) const {
  const std::lock_guard lock{mutex_};
  return std::ranges::binary_search(hosted_->domains, domain);
}

bool exchange::hosts(std::string_view domain) {
  return std::ranges::binary_search(configuration().domains, domain);
}

std::vector<std::pair<std::string, std::size_t>> exchange::sessions_by_host() const {
  const std::lock_guard lock{mutex_};
  return {session_counts_.begin(), session_counts_.end()};
}

void exchange::count_session(std::string_view domain, bool more) {
  const std::lock_guard lock{mutex_};
  auto& count = session_counts_[std::string{domain}];
  count = more ? count + 1 : count - 1;
}

exchange::shard& exchange::here() {
  // Which shard belongs to this thread is remembered by it; numbers of exchanges are never used twice.
  struct memory {
    std::uint64_t number = 0;
    shard* mine = nullptr;
  };
  static thread_local memory last;
  if (last.number != number_) {
    const std::lock_guard lock{mutex_};
    auto& slot = shards_[std::this_thread::get_id()];
    if (!slot) {
      slot = std::make_unique<shard>();
    }
    last = {.number = number_, .mine = slot.get()};
  }
  return *last.mine;
}

const exchange::hosted& exchange::configuration() {
  auto& mine = here();
  const auto number = configuration_number_.load(std::memory_order_acquire);
  if (mine.configuration_number != number) {
    const std::lock_guard lock{mutex_};
    mine.configuration = hosted_;
    mine.configuration_number = number;
  }
  return *mine.configuration;
}

account* exchange::find(std::string_view bare) {
  auto& accounts = here().accounts;
  const auto at = accounts.find(bare);
  return at == accounts.end() ? nullptr : at->second.get();
}

account& exchange::open(const jid& user) {
  if (auto* known = find(user.text())) {
    return *known;
  }
  auto made = std::make_unique<account>(user);
  auto& who = *made;
  here().accounts.emplace(who.user.text(), std::move(made));
  return who;
}

void exchange::settle(account& who) noexcept {
  for (;;) {
    if (who.current) {
      if (who.current.running()) {
        who.on_stack = false;
        return;  // the store will say when to go on
      }
      try {
        who.current.result();
      } catch (const std::exception& e) {
        with_.log.write(log::level::error, "router.failed", {{"user", who.user.text()}, {"reason", e.what()}});
      }
      who.current.reset();
    }
    who.held.reset();
    if (who.waiting.empty()) {
      break;
    }
    auto next = std::move(who.waiting.front());
    who.waiting.pop_front();
    try {
      next(who);
    } catch (const std::exception& e) {
      with_.log.write(log::level::error, "router.failed", {{"user", who.user.text()}, {"reason", e.what()}});
    }
  }
  who.active = who.on_stack = false;
  if (who.resources.empty()) {
    ++here().ended;
    here().accounts.erase(who.user.text());  // `who` is gone from here on
  }
}

void exchange::resumed(account& who, std::coroutine_handle<> piece) noexcept {
  const bool within = std::exchange(who.on_stack, true);
  piece.resume();
  if (!within) {  // else the store has answered before it returned, and who began the piece goes on
    settle(who);
  }
}

void exchange::begin(account& who, job<void> work) {
  who.current = std::move(work);
  who.current.start();
}

job<std::expected<contacts*, storage::error>> exchange::roster_of(account& who) {
  if (!who.roster) {
    auto loaded = co_await stored<storage::roster>(
        who, [this, &who](auto done) { store().roster_load(who.user, std::move(done)); });
    if (!loaded) {
      co_return std::unexpected{loaded.error()};
    }
    who.roster = std::make_unique<contacts>(std::move(*loaded));
  }
  co_return who.roster.get();
}

/// It is known whom the account blocks, without a load.
bool exchange::knows_blocks(account& who) {
  if (!who.blocks_known && !store().may_block(who.user)) {
    who.blocked.reset();
    who.blocks_known = true;
  }
  return who.blocks_known;
}

job<bool> exchange::load_blocked(account& who) {
  if (!knows_blocks(who)) {
    auto loaded = co_await stored<std::vector<jid>>(
        who, [this, &who](auto done) { store().blocked_load(who.user, std::move(done)); });
    if (!loaded) {
      co_return false;
    }
    who.blocked = loaded->empty() ? nullptr : std::make_unique<block_list>(std::move(*loaded));
    who.blocks_known = true;
  }
  co_return true;
}

job<std::expected<bool, storage::error>> exchange::exists(account& who) {
  if (who.resources.empty()) {
    co_return co_await stored<bool>(who,
                                    [this, &who](auto done) { store().account_exists(who.user, std::move(done)); });
  }
  co_return true;
}

job<std::expected<std::uint64_t, storage::error>> exchange::store_item(account& who, storage::roster_item item) {
  const bool empty = !item.in_roster && !item.pending_in;
  std::expected<std::uint64_t, storage::error> version{0};
  if (empty) {
    version = co_await stored<std::uint64_t>(
        who, [&](auto done) { store().roster_remove(who.user, item.contact, std::move(done)); });
  } else {
    version =
        co_await stored<std::uint64_t>(who, [&](auto done) { store().roster_put(who.user, item, std::move(done)); });
  }
  if (version && who.roster) {
    if (empty) {
      who.roster->removed(item.contact, *version);
    } else {
      who.roster->put(std::move(item), *version);
    }
  }
  co_return version;
}

}  // namespace comity::server
