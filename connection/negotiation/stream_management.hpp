// connection/negotiation/stream_management.hpp: what clients say of stream management (XEP-0198), and the resumption of
// a session in place of binding a resource.
//
// Pure. Once a resource is bound the stream reads commands by read_management() and hands them to the server, which
// counts (server/managed_stream.hpp): a session outlives its stream, so nothing of it may be the stream's own.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "connection/errors.hpp"
#include "connection/negotiation/stream_feature.hpp"

namespace comity::connection {

inline constexpr std::string_view ns_sm = "urn:xmpp:sm:3";

namespace management {
struct enable {
  bool resume = false;
  std::optional<std::uint32_t> max_seconds;
};
struct resume {
  std::string previous;
  std::uint32_t handled = 0;
};
struct request {};  // <r/>
struct acknowledge {
  std::uint32_t handled = 0;
};
struct malformed {
  bool resume = false;  // it was to resume a session; else to acknowledge
};
struct unknown {};
}  // namespace management
using management_command = std::variant<management::enable, management::resume, management::request,
                                        management::acknowledge, management::malformed, management::unknown>;
/// Of an element in ns_sm. Counts are xs:unsignedInt: digits, up to 2^32 - 1 (THREATS F2).
[[nodiscard]] management_command read_management(const xml::element&);

[[nodiscard]] std::string write_enabled(std::string_view id, std::optional<std::uint32_t> max_seconds);
/// Whether this is <enabled/>, which makes the client begin to count. @xmpp/client does so once it has dealt with what
/// came in the same TLS record: stanzas there would be counted and forgotten, and its next count would go backwards.
[[nodiscard]] bool begins_count(std::string_view element) noexcept;
/// `handled`: how much was of a session that cannot be resumed any more (XEP-0198 §5).
[[nodiscard]] std::string write_management_failure(stanza_condition, std::optional<std::uint32_t> handled = {});
[[nodiscard]] std::string write_acknowledgement(std::uint32_t handled);
inline constexpr std::string_view acknowledgement_request = "<r xmlns='urn:xmpp:sm:3'/>";
/// The application-specific condition of the stream error for who acknowledges what was never sent.
[[nodiscard]] std::string write_too_high(std::uint32_t handled, std::uint32_t sent);

class stream_management final : public stream_feature {
public:
  [[nodiscard]] bool offered(const stream_facts&) const override;
  void advertise(xml::writer&, const stream_facts&) const override;
  [[nodiscard]] bool claims(const xml::element&) const override;
  [[nodiscard]] step on(const xml::element&, const stream_facts&) override;
  [[nodiscard]] step on(answer, const stream_facts&) override;

private:
  bool asked_ = false;
  management::resume wanted_;
};

}  // namespace comity::connection
