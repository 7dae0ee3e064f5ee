// server/storage/store.hpp: what the server keeps on disk, and the one way to it.
//
// Every call returns at once; its completion runs later on a thread of the store, so callers post it back to their
// loop. A completion that says success of a change means that it is committed: it survives kill -9. Changes are applied
// in the order in which they were called. Reads see every change whose completion has run. Any thread may call.
#pragma once

#include <chrono>
#include <cstdint>
#include <expected>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "connection/jid.hpp"
#include "connection/sasl/mechanism.hpp"
#include "tls/crypto.hpp"
#include "tls/secret.hpp"

namespace comity::storage {

enum class error : std::uint8_t {
  not_found,  // no such account
  exists,     // an account of that name exists
  full,       // disk full, or a quota reached: resource-constraint
  failed,     // the database refused; the reason is in the log
};
[[nodiscard]] std::string_view to_string(error) noexcept;

template <typename T>
using completion = std::move_only_function<void(std::expected<T, error>)>;

using connection::scram_keys;

/// What an account logs in with: salted keys a hash, never a password.
struct credentials {
  std::map<tls::hash, scram_keys> scram;
};

/// RFC 6121 §2.1.2.5 and appendix A: what a roster item's subscription can be.
enum class subscription : std::uint8_t { none, to, from, both };
[[nodiscard]] std::string_view to_string(subscription) noexcept;

/// A contact as stored, pending states of RFC 6121 appendix A included. An item that exists only to remember an inbound
/// subscription request ("None + Pending In") is stored with `in_roster` false and is never shown.
struct roster_item {
  jid contact;  // bare
  std::string name;
  storage::subscription subscription = subscription::none;
  bool pending_out = false;  // ask='subscribe'
  bool pending_in = false;
  bool approved = false;  // RFC 6121 §3.4 pre-approval
  bool in_roster = true;
  std::vector<std::string> groups;
  std::string request;        // the pending inbound subscribe stanza in wire form, "" for none
  std::uint64_t version = 0;  // roster version at which it last changed
  friend bool operator==(const roster_item&, const roster_item&) = default;
};
struct roster {
  std::uint64_t version = 0;  // grows with every change of the user's roster
  std::vector<roster_item> items;
  /// Contacts removed, with the version at which they were; for XEP-0237 answers. The store may forget old ones:
  /// versions before `complete_since` cannot be answered by difference.
  std::vector<std::pair<jid, std::uint64_t>> removed;
  std::uint64_t complete_since = 0;
};

struct offline_message {
  std::uint64_t id = 0;  // order of arrival
  std::string wire;      // the stanza in wire form, <delay/> included
};

class store {
public:
  virtual ~store() = default;

  // Accounts. A user is a bare JID of a local host.
  virtual void account_create(const jid& user, credentials, completion<void>) = 0;  // exists
  virtual void account_passwd(const jid& user, credentials, completion<void>) = 0;  // not_found
  /// Also deletes roster, block list, offline messages, vCard.
  virtual void account_delete(const jid& user, completion<void>) = 0;               // not_found
  virtual void account_list(std::string domain, completion<std::vector<jid>>) = 0;  // "" : all
  virtual void account_credentials(const jid& user, completion<credentials>) = 0;   // not_found
  virtual void account_exists(const jid& user, completion<bool>) = 0;

  // Rosters.
  virtual void roster_load(const jid& user, completion<roster>) = 0;  // an account without items: an empty roster
  /// Puts one item (by contact) at a new version, which is the previous one + 1 and is returned.
  virtual void roster_put(const jid& user, roster_item, completion<std::uint64_t>) = 0;
  /// Takes one item out; remembered in `removed` unless it was not in_roster.
  virtual void roster_remove(const jid& user, const jid& contact, completion<std::uint64_t>) = 0;

  // Whom a user blocks (XEP-0191): full JIDs, bare ones, domains.
  /// False: nobody, and no load is needed to know it. At once; any thread.
  [[nodiscard]] virtual bool may_block(const jid& /*user*/) const { return true; }
  virtual void blocked_load(const jid& user, completion<std::vector<jid>>) = 0;  // no account, or nobody: none
  /// Adds all of them, or none; those that are there already count as added.
  virtual void blocked_add(const jid& user, std::vector<jid>, completion<void>) = 0;
  /// Takes out those that are there; all or none.
  virtual void blocked_remove(const jid& user, std::vector<jid>, completion<void>) = 0;

  // Offline messages, at most `limit` for one user: beyond it, error::full and nothing is stored.
  virtual void offline_add(const jid& user, std::string wire, std::size_t limit, completion<void>) = 0;
  /// All of them in order of arrival; they stay until offline_remove.
  virtual void offline_load(const jid& user, completion<std::vector<offline_message>>) = 0;
  /// Removes those with an id up to and including `up_to`.
  virtual void offline_remove(const jid& user, std::uint64_t up_to, completion<void>) = 0;

  // vcard-temp (XEP-0054): the <vCard/> element as XML bytes.
  virtual void vcard_load(const jid& user, completion<std::optional<std::string>>) = 0;
  virtual void vcard_put(const jid& user, std::string xml, completion<void>) = 0;

  // When the last available resource of the user went, and the status it left (RFC 6121 §4.5, for probes and XEP-0012).
  struct last_presence {
    std::int64_t unix_seconds = 0;
    std::string status;
  };
  virtual void last_put(const jid& user, last_presence, completion<void>) = 0;
  virtual void last_load(const jid& user, completion<std::optional<last_presence>>) = 0;

  // Sessions over a graceful restart (XEP-0198), as text that the store does not look into.
  /// In place of all that there are.
  virtual void sessions_keep(std::vector<std::string> states, completion<void>) = 0;
  /// All there are; they are kept no more.
  virtual void sessions_take(completion<std::vector<std::string>>) = 0;

  /// A secret kept for good, made at first use: key of the fake salts, XEP-0185 secret… 32 random bytes.
  virtual void secret(std::string name, completion<tls::secret>) = 0;
  /// A read that proves the store answers, for /readyz.
  virtual void ping(completion<void>) = 0;
};

}  // namespace comity::storage
