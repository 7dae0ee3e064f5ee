// connection/negotiation/stream_limits.hpp: what one side says it takes on a stream (XEP-0478), as a value and as the
// stream feature that tells it.
#pragma once

#include <cstdint>
#include <optional>

#include "connection/negotiation/stream_feature.hpp"

namespace comity::connection {

/// The feature; offered to clients and servers alike once TLS is there, since before it nothing but STARTTLS is (L03).
class limits_feature final : public stream_feature {
public:
  /// The limits before and after authentication; one that says nothing is not told.
  constexpr limits_feature(stream_limits before, stream_limits after) noexcept : before_{before}, after_{after} {}
  [[nodiscard]] bool offered(const stream_facts&) const override;
  void advertise(xml::writer&, const stream_facts&) const override;
  [[nodiscard]] bool claims(const xml::element&) const override { return false; }
  [[nodiscard]] step on(const xml::element&, const stream_facts&) override;
  using stream_feature::on;

private:
  stream_limits before_;
  stream_limits after_;
};

inline constexpr std::string_view ns_stream_limits = "urn:xmpp:stream-limits:0";

/// Writes <limits/>; nothing where there is nothing to say.
void write_limits(xml::writer&, const stream_limits&);
/// Reads the <limits/> that `parent` holds; what is no number says nothing.
[[nodiscard]] stream_limits limits_in(const xml::element& parent);

}  // namespace comity::connection
