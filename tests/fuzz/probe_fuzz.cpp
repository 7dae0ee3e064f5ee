// What a port says to whoever looks whether it speaks XMPP (`comityctl check`): it comes to an end, asks for TLS at
// most once and only in clear, and judges alike however the bytes are cut.
//
// Input: a byte (which service, TLS first or not, where the bytes are cut), what the port says before TLS, a NUL, and
// what it says behind it.
#include <string>
#include <vector>

#include "server/check/probe_dialogue.hpp"
#include "tests/fuzz/oracle.hpp"

namespace {

using namespace comity;
using namespace comity::fuzz;
using kind = check::probe_dialogue::step::kind;

struct course {
  std::vector<std::string> said;
  bool done = false;
  check::probe_end end = check::probe_end::silent;
  std::string detail;
  friend bool operator==(const course&, const course&) = default;
};

course talk(check::way as, std::string_view clear, std::string_view encrypted, std::size_t piece) {
  check::probe_dialogue dialogue{as, "example.org"};
  must(dialogue.header().starts_with("<?xml"));
  course c;
  bool asked = false;
  bool tls = false;
  const auto hear = [&](std::string_view bytes) {
    // Nothing new may come of nothing; a step may leave work for the next.
    for (auto s = dialogue.on(bytes); !c.done; s = dialogue.on({})) {
      if (s.what == kind::more) {
        return true;
      }
      if (s.what == kind::send) {
        must(!s.bytes.empty() && !asked && !tls);
        asked = true;
        c.said.push_back(s.bytes);
      } else if (s.what == kind::begin_tls) {
        must(asked && !tls);
        tls = true;
        return false;
      } else {
        c.done = true;
        c.end = s.end;
        c.detail = s.detail;
      }
    }
    return false;
  };
  for (; !clear.empty() && hear(clear.substr(0, piece)); clear.remove_prefix(std::min(piece, clear.size()))) {
  }
  if (c.done || !tls) {
    return c;
  }
  dialogue.secured();
  for (; !encrypted.empty() && hear(encrypted.substr(0, piece));
       encrypted.remove_prefix(std::min(piece, encrypted.size()))) {
  }
  return c;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  auto input = text(data, size);
  const auto flags = take_byte(input);
  const auto clear = take_until(input, '\0');
  const auto as = check::all_ways.at(flags % check::way_count);
  must(talk(as, clear, input, size + 1) == talk(as, clear, input, 1 + flags / 8U));
  return 0;
}
