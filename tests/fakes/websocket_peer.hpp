// tests/fakes/websocket_peer.hpp: a client whose WebSocket is open already, on the far end of a stream.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "connection/xml/parser.hpp"
#include "fakes/websocket_frames.hpp"
#include "fakes/xmpp_peer.hpp"

namespace comity::fakes {

class websocket_peer {
public:
  explicit websocket_peer(std::unique_ptr<xmpp_peer> under) : under_{std::move(under)} {}

  [[nodiscard]] xmpp_peer& under() { return *under_; }
  void say(std::string_view element) { under_->say(client_frame(element)); }
  void say_close(unsigned code = 1000) { under_->say(control(ws::close, closing(code))); }

  /// The next frame; that of an opcode nobody has where the other side ended before.
  server_frame hear_frame() {
    for (;;) {
      if (auto frame = take_frame(got_)) {
        EXPECT_TRUE(frame->fin);         // we never fragment,
        EXPECT_FALSE(frame->masked);     // never mask (RFC 6455 §5.1),
        EXPECT_EQ(0U, frame->reserved);  // and have no extension
        return *std::move(frame);
      }
      const auto more = under_->hear_some();
      if (more.empty()) {
        return {.opcode = 15, .payload = {}};
      }
      got_ += more;
    }
  }
  /// The next message, which must stand alone (RFC 7395 §3.3.3); "" where there is none.
  std::string hear() {
    const auto frame = hear_frame();
    if (frame.opcode != ws::text) {
      return {};
    }
    const xml::stream_context nothing{.content_ns = {}, .namespaces = {}, .binds_stream = false};
    xml::document document;
    EXPECT_TRUE(xml::parser{}.element(frame.payload, nothing, document)) << frame.payload;
    EXPECT_TRUE(frame.payload.starts_with('<'));
    EXPECT_FALSE(document.root().ns().empty()) << frame.payload;
    return frame.payload;
  }
  /// All messages up to the Close frame; its code is the last word.
  std::vector<std::string> hear_out() {
    std::vector<std::string> all;
    for (;;) {
      if (auto message = hear_or_code(); !message.empty()) {
        all.push_back(std::move(message));
        if (all.back().front() != '<') {
          return all;
        }
      } else {
        return all;
      }
    }
  }

private:
  std::string hear_or_code() {
    auto frame = hear_frame();
    return frame.opcode == ws::close ? std::to_string(frame.code()) : frame.opcode == ws::text ? frame.payload : "";
  }

  std::unique_ptr<xmpp_peer> under_;
  std::string got_;
};

}  // namespace comity::fakes
