// server/derived_settings.hpp: what the parts of the server get of the configuration. Pure.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "connection/c2s/client_stream.hpp"
#include "connection/vocabulary.hpp"
#include "server/config/settings.hpp"
#include "server/router.hpp"

namespace comity::server {

/// As configured: those that are served here.
[[nodiscard]] std::vector<std::string> domains_of(const config::settings&);
[[nodiscard]] managed_limits managed_limits_of(const config::settings&);
/// What is counted apart, of all that connections can be.
[[nodiscard]] std::vector<connection::route> routes_of(const config::settings&);
[[nodiscard]] std::shared_ptr<const connection::c2s_settings> c2s_settings_of(const config::limit_settings&);

}  // namespace comity::server
