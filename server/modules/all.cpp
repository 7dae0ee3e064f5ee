#include <algorithm>

#include "server/modules/modules.hpp"

namespace comity::server {
namespace {

void note(std::vector<std::string_view>& features, std::string_view feature) {
  const auto at = std::ranges::lower_bound(features, feature);
  if (!feature.empty() && (at == features.end() || *at != feature)) {
    features.insert(at, feature);
  }
}

}  // namespace

void iq_table::add(iq_service service) {
  if (service.of_server) {
    note(server_features_, service.feature);
  }
  if (service.of_account) {
    note(account_features_, service.feature);
  }
  services_.push_back(std::move(service));
}

void iq_table::add_feature(std::string_view feature, bool of_server, bool of_account) {
  if (of_server) {
    note(server_features_, feature);
  }
  if (of_account) {
    note(account_features_, feature);
  }
}

const iq_service* iq_table::find(std::string_view name, std::string_view ns) const noexcept {
  const auto at = std::ranges::find_if(services_, [&](const iq_service& s) { return s.name == name && s.ns == ns; });
  return at == services_.end() ? nullptr : &*at;
}

stanza_builder iq_result_builder(const stanza& request) {
  return stanza_builder{stanza_kind::iq, stanza_type::result, request.to(), request.from(), request.id()};
}

stanza_ref iq_result(const stanza& request) {
  return iq_result_builder(request).finish();
}

void add_all_modules(iq_table& table, exchange& x) {
  roster::serve(table, x);
  offline::serve(table);
  carbons::serve(table);
  blocking::serve(table, x);
  disco::serve(table, x);
  ping::serve(table);
  version::serve(table, x);
  time::serve(table, x);
  vcard::serve(table, x);
  last::serve(table, x);
}

}  // namespace comity::server
