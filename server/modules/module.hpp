// server/modules/module.hpp: a protocol that the server answers IQ requests for, by itself or on behalf of a user.
//
// A module is one file that says what it serves; requests are found by their payload, and service discovery tells of
// exactly what is served. The list of all modules is in modules/all.cpp.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "connection/stanza.hpp"
#include "connection/xml/document.hpp"
#include "server/job.hpp"

namespace comity::server {

class exchange;
struct account;

/// A well-formed IQ get or set: it has an id and exactly one payload (RFC 6120 §8.2.3).
struct iq_request {
  stanza_ref stanza;
  std::shared_ptr<const xml::document> document;  // keeps `payload` valid
  xml::element payload;
  bool own = false;     // the sender is the account that is asked
  bool present = true;  // the account exists; false only for services that hide its absence
  [[nodiscard]] bool set() const noexcept { return stanza->type() == stanza_type::set; }
};

/// The one answer to a request, and what is to be done once it has been sent.
struct iq_answer {
  stanza_ref reply;  // nullptr: something broke, <internal-server-error/>
  std::move_only_function<void()> then;
  iq_answer() = default;
  iq_answer(stanza_ref r) : reply{std::move(r)} {}  // NOLINT(google-explicit-constructor): an answer is mostly a stanza
  iq_answer(stanza_ref r, std::move_only_function<void()> t) : reply{std::move(r)}, then{std::move(t)} {}
};

/// One payload that is answered, and for whom.
struct iq_service {
  std::string_view name;
  std::string_view ns;
  /// What disco#info says where this is served; "" : nothing.
  std::string_view feature;
  /// Requests to the server's domain. Any loop.
  std::function<stanza_ref(const iq_request&)> of_server = nullptr;
  /// Requests to an account, on behalf of it, as a piece of its work.
  std::function<job<iq_answer>(iq_request, account&)> of_account = nullptr;
  bool get = true;
  bool set = false;
  /// Asked for even where the account does not exist, so that the answer does not tell (directory harvesting).
  bool hides_absence = false;
};

/// All that is served, and the features that follow from it.
class iq_table {
public:
  void add(iq_service);
  /// A feature that no payload stands for, such as "msgoffline".
  void add_feature(std::string_view feature, bool of_server, bool of_account);
  [[nodiscard]] const iq_service* find(std::string_view name, std::string_view ns) const noexcept;
  [[nodiscard]] const std::vector<std::string_view>& server_features() const noexcept { return server_features_; }
  [[nodiscard]] const std::vector<std::string_view>& account_features() const noexcept { return account_features_; }
  [[nodiscard]] const std::vector<iq_service>& services() const noexcept { return services_; }

private:
  std::vector<iq_service> services_;
  std::vector<std::string_view> server_features_;
  std::vector<std::string_view> account_features_;
};

/// An empty result to `request`, or the start of one: stanza_builder with its addresses and id.
[[nodiscard]] stanza_ref iq_result(const stanza& request);
[[nodiscard]] stanza_builder iq_result_builder(const stanza& request);

/// Has each module say what it serves. `x` outlives the table.
void add_all_modules(iq_table&, exchange& x);

}  // namespace comity::server
