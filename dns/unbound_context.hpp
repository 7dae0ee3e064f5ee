// dns/unbound_context.hpp: one libunbound context, with its options set once and for all, and its answers as ours.
//
// The one place that knows libunbound. It works on a thread of libunbound's own; its descriptor becomes readable when
// there are answers, and process() tells them. One thread, the owner's. Destroying it drops what is outstanding without
// telling; that must not happen within process().
#pragma once

#include <cstdint>
#include <expected>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "dns/answer.hpp"
#include "dns/settings.hpp"

struct ub_ctx;

namespace comity::dns {

class unbound_context {
public:
  /// Number of a question, given by who asks.
  using id = std::uint64_t;

  /// `forwarders` stand for settings.servers: with none it recurses. The error is a sentence.
  [[nodiscard]] static std::expected<std::unique_ptr<unbound_context>, std::string> make(
      const settings&, const std::vector<std::string>& forwarders);
  ~unbound_context();
  unbound_context(const unbound_context&) = delete;
  unbound_context& operator=(const unbound_context&) = delete;

  /// To be waited on for reading; never to be read from or closed.
  [[nodiscard]] int descriptor() const noexcept;

  /// `name` as folded_name() has it, or "." for the root. The error says what libunbound thinks of it.
  [[nodiscard]] std::expected<void, std::string> ask(id, const std::string& name, record_type);
  /// Whether there is a SOA record, which no part of ours needs, and what it is worth: for probes. The answer says
  /// outcome::records without any.
  [[nodiscard]] std::expected<void, std::string> ask_soa(id, const std::string& name);
  /// No answer to that one will be told.
  void drop(id);
  /// What has come since the last call. An error: no answer will come any more.
  [[nodiscard]] std::expected<std::vector<std::pair<id, answer>>, std::string> process();

private:
  struct question;
  struct deleter {
    void operator()(ub_ctx*) const noexcept;
  };
  unbound_context(std::unique_ptr<ub_ctx, deleter>, bool validating);
  [[nodiscard]] std::expected<void, std::string> ask(id, const std::string& name, int rrtype, record_type);

  std::map<id, std::unique_ptr<question>> questions_;
  std::vector<std::pair<id, answer>> answered_;
  bool validating_;
  std::unique_ptr<ub_ctx, deleter> context_;  // goes first
};

}  // namespace comity::dns
