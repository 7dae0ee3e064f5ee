// A client's WebSocket frames in pieces of any size (RFC 6455, RFC 7395; THREATS A1, A4, A10, A14): the same is heard
// however they come, nothing over a limit is heard, and nothing is held between frames. The first byte says how long
// the pieces are, the second how long a message may be.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "connection/transport/websocket_reader.hpp"
#include "connection/utf8.hpp"
#include "connection/xml/writer.hpp"

namespace {

using namespace comity;

struct verdict final : connection::part_taker {
  [[nodiscard]] bool takes_parts() const override { return !refused; }
  void take_header(xml::stream_header&& h) override {
    heard.push_back(h.ns + ' ' + h.name + ' ' + h.to + ' ' + h.from);
  }
  void take_element(xml::document& d) override {
    heard.emplace_back();
    xml::writer{heard.back(), "none"}.copy(d.root());
  }
  void take_close() override { heard.emplace_back("close"); }
  void take_fault(stream_condition c, bool too_big) override {
    heard.push_back(std::string{to_string(c)} + (too_big ? " too big" : ""));
    refused = true;
  }
  std::vector<std::string> heard;
  bool refused = false;
};

void require(bool holds) {
  if (!holds) {
    std::abort();
  }
}

struct reading {
  verdict said;
  unsigned answer = 0;
  bool over = false;
  std::optional<std::string> pong;
};

reading read(std::string_view input, std::size_t at_once, std::size_t most) {
  connection::part_reader reader{{.stanza_bytes = most, .depth = 8, .elements = 32}};
  connection::websocket_reader websocket;
  xml::parser parser;
  xml::document document;
  reading r;
  while (!input.empty() && !r.said.refused && !websocket.over()) {
    const auto piece = input.substr(0, at_once);
    const auto used = websocket.feed(piece, reader, parser, document, r.said);
    require(used <= piece.size());
    require(used == piece.size() || r.said.refused || websocket.over());
    input.remove_prefix(used);
  }
  r.answer = static_cast<unsigned>(websocket.answer());
  r.over = websocket.over();
  if (!input.empty() && r.said.refused) {
    websocket.skip(input);  // whatever follows
  }
  r.pong = websocket.take_pong();
  return r;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  if (size < 2) {
    return 0;
  }
  const std::size_t at_once = bytes[0] % 32U + 1U;
  const std::size_t most = 16U * (bytes[1] + 1U);
  const std::string_view input{reinterpret_cast<const char*>(bytes) + 2, size - 2};
  const auto whole = read(input, input.size(), most);
  const auto split = read(input, at_once, most);
  require(whole.said.heard == split.said.heard);
  require(whole.answer == split.answer && whole.over == split.over && whole.pong == split.pong);
  for (const auto& text : whole.said.heard) {
    require(judge_utf8(text) == utf8::valid);
  }
  if (whole.pong) {
    require(whole.pong->size() <= 125);
  }
  return 0;
}
