// dns/unbound_resolver.hpp: resolves and validates by libunbound, in this process, on threads of its own. The daemon
// has it in a process apart (child_resolver.hpp).
//
// One question to the network at a time for each name and type, whoever asks (THREATS E7). One whose askers have all
// gone goes on until it is answered or its time is up, so that the next asker finds the answer (RFC 8305 §5, C03).
// Every answer carries its DNSSEC status, and bogus data never leaves here (THREATS E4).
#pragma once

#include <cstdint>
#include <expected>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "dns/note.hpp"
#include "dns/resolver.hpp"
#include "dns/settings.hpp"

namespace comity::dns {

/// Tells the addresses of the resolvers that the machine uses. Any thread.
using server_list = std::function<std::vector<std::string>()>;
/// Those of /etc/resolv.conf.
[[nodiscard]] std::vector<std::string> system_nameservers();

class unbound_resolver final : public resolver {
public:
  /// Questions to the network at once, over which a lookup fails at once: names come from strangers.
  static constexpr std::size_t in_flight_limit = 4096;

  /// Starts its thread. `observe` may be empty. An error is a sentence: a file that cannot be read, an address that is
  /// none. Where `servers` is "auto" the system's resolvers are probed first; lookups wait for it within their time.
  /// `confine` may be empty; it is called when every file has been read and no thread runs yet, and its error is
  /// start's: from then on no file is opened. Where libunbound itself fails, that is noted as note_level::broken.
  [[nodiscard]] static std::expected<std::unique_ptr<unbound_resolver>, std::string> start(
      settings, note_sink, observer observe, server_list system = system_nameservers,
      const std::function<std::expected<void, std::string>()>& confine = {});
  /// Answers what is outstanding with outcome::cancelled, and waits for its thread.
  ~unbound_resolver() override;
  unbound_resolver(const unbound_resolver&) = delete;
  unbound_resolver& operator=(const unbound_resolver&) = delete;

  [[nodiscard]] ticket lookup(std::string name, record_type, executor run_on, completion done) override;

  /// Lookups to come go by the new settings, with nothing remembered; those under way end by the old ones. On an error
  /// all stays as it was. Any thread; takes a few milliseconds.
  [[nodiscard]] std::expected<void, std::string> reload(settings);

private:
  class core;
  explicit unbound_resolver(std::unique_ptr<core>);
  std::unique_ptr<core> core_;
};

}  // namespace comity::dns
