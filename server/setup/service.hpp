// server/setup/service.hpp: comityd as a service of systemd.
#pragma once

#include <expected>
#include <filesystem>
#include <string>

namespace comity::setup {

/// Whether this machine runs systemd, and has the unit, and we may order it.
[[nodiscard]] bool service_at_hand();

/// Starts it, now and with the machine; one that runs is started anew where `anew`. Waits for it. The error is one
/// line.
[[nodiscard]] std::expected<void, std::string> start_service(bool anew);

}  // namespace comity::setup
