// dns/resolver_process.hpp: the other end of child_resolver: what runs in the process that resolves.
#pragma once

#include <expected>
#include <functional>
#include <string>

#include "dns/settings.hpp"

namespace comity::dns {

/// Takes from the process what resolving by these settings does not need, and says in a sentence what was taken. Called
/// when every file has been read, before there is another thread. The error is a sentence too, and ends the process.
using confinement = std::function<std::expected<std::string, std::string>(const settings&)>;

/// Takes settings and questions from the SOCK_SEQPACKET socket, and answers them (child_messages.hpp), until the other
/// end closes it. Returns what the process is to exit with: 0 where that end closed it, or where the settings were
/// refused.
[[nodiscard]] int run_resolver_process(int socket, const confinement&);

}  // namespace comity::dns
