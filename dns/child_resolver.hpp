// dns/child_resolver.hpp: the resolver as the daemon has it: a process of its own resolves, and this one asks it.
//
// What parses the DNS runs where there are no keys, no accounts and no files (THREATS §0.3, E6). Where that process
// ends, or says what no resolver says, it is ended and another one is started: the lookups that it had fail, those that
// come meanwhile wait for the next one within their time. The first comes at once; the more of them end soon after they
// began, the longer the next one is waited for.
#pragma once

#include <expected>
#include <functional>
#include <memory>
#include <string>

#include "dns/note.hpp"
#include "dns/resolver.hpp"
#include "dns/settings.hpp"

namespace comity::dns {

/// A resolver process. Ends with this, whatever it does. One thread at a time.
class child_process {
public:
  child_process() = default;
  virtual ~child_process() = default;
  child_process(const child_process&) = delete;
  child_process& operator=(const child_process&) = delete;
  /// Our end of the SOCK_SEQPACKET socket to it, which says what dns/child_messages.hpp has. Stays this object's.
  [[nodiscard]] virtual int socket() const noexcept = 0;
  /// Ends it, where it has not ended, and says how it did: "killed by signal 9". Once.
  [[nodiscard]] virtual std::string end() = 0;
};
/// Starts one. The error is a sentence. Any thread.
using child_starter = std::function<std::expected<std::unique_ptr<child_process>, std::string>()>;

class child_resolver final : public resolver {
public:
  /// Lookups at once that no answer has come to yet, over which one fails at once.
  static constexpr std::size_t in_flight_limit = 16384;

  struct collaborators {
    child_starter starter;
    note_sink note;
    observer observe;                   // may be empty
    std::function<void()> restarted{};  // the process has ended, and another one serves. May be empty; its own thread
  };
  /// Starts a process and waits until it is ready. The error is a sentence: what of the settings cannot be used, or why
  /// there is no process.
  [[nodiscard]] static std::expected<std::unique_ptr<child_resolver>, std::string> start(settings, collaborators);
  /// Answers what is outstanding with outcome::cancelled.
  ~child_resolver() override;
  child_resolver(const child_resolver&) = delete;
  child_resolver& operator=(const child_resolver&) = delete;

  [[nodiscard]] ticket lookup(std::string name, record_type, executor run_on, completion done) override;

  /// Lookups to come go to another process, by the new settings; those under way end by the old ones. On an error all
  /// stays as it was. Any thread; waits until the other process is ready.
  [[nodiscard]] std::expected<void, std::string> reload(settings);

private:
  class core;
  explicit child_resolver(std::unique_ptr<core>);
  std::unique_ptr<core> core_;
};

}  // namespace comity::dns
