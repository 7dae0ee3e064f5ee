// connection/jid.hpp: an XMPP address (RFC 7622), always in its enforced form.
//
// A jid exists only after enforcement, so two of them are equal exactly when their texts are equal byte by byte.
// A plain value: copy it, move it, share it between threads. ASCII addresses never reach ICU.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <functional>
#include <string>
#include <string_view>

namespace comity {

/// Why a text is no JID (RFC 7622 §3). Answered as `<jid-malformed/>` in stanzas and `<improper-addressing/>` in
/// headers.
enum class jid_error : std::uint8_t {
  empty_part,      // "@domain", "domain/", ""
  too_long,        // a part of more than 1023 octets after enforcement (§3.1)
  bad_localpart,   // outside UsernameCaseMapped or one of the eight forbidden characters (§3.3)
  bad_domainpart,  // neither a U/A-label domain name nor an IP literal (§3.2)
  bad_resource,    // outside OpaqueString (§3.4)
  bad_utf8,
};

/// The word for logs and messages: "bad localpart".
[[nodiscard]] std::string_view to_string(jid_error) noexcept;

class jid {
public:
  /// No address at all; `empty()` is true. Not a valid address, only a place for one.
  jid() = default;

  /// Parses and enforces `text` as RFC 7622 §3.1 splits it: the first '/' starts the resourcepart, the first '@' before
  /// it ends the localpart. The domainpart is kept as U-labels in lower case without a trailing dot.
  [[nodiscard]] static std::expected<jid, jid_error> parse(std::string_view text);

  /// Enforces each part on its own; an empty localpart or resourcepart means none.
  [[nodiscard]] static std::expected<jid, jid_error> make(std::string_view localpart, std::string_view domainpart,
                                                          std::string_view resourcepart);

  [[nodiscard]] bool empty() const noexcept { return text_.empty(); }
  [[nodiscard]] const std::string& text() const noexcept { return text_; }
  [[nodiscard]] std::string_view localpart() const noexcept { return std::string_view{text_}.substr(0, local_); }
  [[nodiscard]] std::string_view domainpart() const noexcept {
    return std::string_view{text_}.substr(domain_begin(), domain_);
  }
  [[nodiscard]] std::string_view resourcepart() const noexcept {
    const auto end = domain_begin() + domain_;
    return end < text_.size() ? std::string_view{text_}.substr(end + 1) : std::string_view{};
  }
  [[nodiscard]] bool has_localpart() const noexcept { return local_ != 0; }
  [[nodiscard]] bool has_resource() const noexcept { return domain_begin() + domain_ < text_.size(); }
  /// "local@domain" or "domain", as a view into this object.
  [[nodiscard]] std::string_view bare_text() const noexcept {
    return std::string_view{text_}.substr(0, domain_begin() + domain_);
  }
  [[nodiscard]] jid bare() const;
  /// This bare JID with another resourcepart, enforced by OpaqueString (RFC 7622 §3.4).
  [[nodiscard]] std::expected<jid, jid_error> with_resource(std::string_view resourcepart) const;

  friend bool operator==(const jid& a, const jid& b) noexcept { return a.text_ == b.text_; }
  friend std::strong_ordering operator<=>(const jid& a, const jid& b) noexcept { return a.text_ <=> b.text_; }

private:
  [[nodiscard]] std::size_t domain_begin() const noexcept { return local_ == 0 ? 0U : local_ + 1U; }

  std::string text_;
  std::uint16_t local_ = 0;   // octets of the localpart
  std::uint16_t domain_ = 0;  // octets of the domainpart
};

/// Enforces a domainpart alone (RFC 7622 §3.2): U-labels, lower case, no trailing dot. The error is bad_domainpart,
/// too_long or empty_part.
[[nodiscard]] std::expected<std::string, jid_error> enforce_domainpart(std::string_view);

/// The A-label form ("xn--…") of an enforced domainpart, for DNS and SNI; the text itself where it is an IP literal.
[[nodiscard]] std::string to_a_labels(std::string_view domainpart);

/// RFC 8265 §4.2 OpaqueString as SCRAM and PLAIN prepare passwords with; empty and malformed input are errors.
[[nodiscard]] std::expected<std::string, jid_error> enforce_opaque_string(std::string_view);

/// SASLprep (RFC 4013) of a user name or password, as RFC 5802 §5.1 asks of SCRAM: stored-string profile.
[[nodiscard]] std::expected<std::string, jid_error> saslprep(std::string_view);

}  // namespace comity

template <>
struct std::hash<comity::jid> {
  std::size_t operator()(const comity::jid& j) const noexcept { return std::hash<std::string>{}(j.text()); }
};
