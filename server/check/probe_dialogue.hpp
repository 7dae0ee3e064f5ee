// server/check/probe_dialogue.hpp: what is said to a port to learn whether it speaks XMPP, and how (RFC 6120 §4, §5).
//
// Pure: bytes in, one step out. As a stranger would it opens a stream to the domain and reads the features, before TLS
// and after; it never authenticates. It says no `from` (RFC 6120 §4.7.1 asks for one where it is known: it is nobody).
#pragma once

#include <string>
#include <string_view>

#include "connection/xml/document.hpp"
#include "connection/xml/framer.hpp"
#include "connection/xml/parser.hpp"
#include "server/check/findings.hpp"

namespace comity::check {

class probe_dialogue {
public:
  /// `domain` in A-labels.
  probe_dialogue(way as, std::string domain);

  /// The stream's header: what to send at first where TLS does not come first, and once TLS is there.
  [[nodiscard]] std::string header() const;

  struct step {
    enum class kind : std::uint8_t { more, send, begin_tls, done };
    kind what = kind::more;
    std::string bytes = {};             // of send
    probe_end end = probe_end::silent;  // of done
    std::string detail = {};            // of done
  };
  /// Takes what has come in.
  [[nodiscard]] step on(std::string_view bytes);
  /// TLS is there: a new stream begins.
  void secured();

private:
  [[nodiscard]] step part(const xml::frame&, std::string_view bytes);
  [[nodiscard]] step opened(std::string_view bytes);
  [[nodiscard]] step element(std::string_view bytes);
  [[nodiscard]] std::string_view content_ns() const noexcept;

  way as_;
  std::string domain_;
  bool secured_ = false;
  bool asked_ = false;  // for TLS
  xml::framer framer_;
  xml::parser parser_;
  xml::stream_context context_;
  std::string unread_;
  std::size_t fed_ = 0;
};

}  // namespace comity::check
