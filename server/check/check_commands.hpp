// server/check/check_commands.hpp: `dns records` and `check`, as the operator's socket brings them.
#pragma once

#include <functional>
#include <memory>
#include <string_view>
#include <vector>

#include "server/admin/commands.hpp"
#include "server/check/check_service.hpp"
#include "server/check/running.hpp"

namespace comity::check {

/// On the control thread.
class check_commands {
public:
  struct collaborators {  // all outlive it
    const config::settings& settings;
    std::function<std::vector<config::listen_settings>()> ports;
    std::function<std::shared_ptr<const tls::certificate_table>()> certificates;
    check_service& checks;
  };
  explicit check_commands(collaborators with) : with_{std::move(with)} {}

  /// False where it is none of these commands; `reply` is untouched then.
  [[nodiscard]] bool run(std::string_view request, admin::replier& reply);

private:
  void check(const std::string& host, admin::replier reply);
  collaborators with_;
};

}  // namespace comity::check
