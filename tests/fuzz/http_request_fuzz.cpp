// Any bytes as HTTP requests: the same ones come out however they are cut, none is longer than may be, and each says
// one thing alone: written again from what was read of it, it reads the same.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "connection/s2s/address_rules.hpp"
#include "server/http/forwarded_for.hpp"
#include "server/http/request_reader.hpp"
#include "server/http/websocket_handshake.hpp"

namespace {

using namespace comity::http;
using outcome = request_reader::outcome;

void hold(bool sound) {
  if (!sound) {
    std::abort();
  }
}

struct reading {
  std::vector<request> requests;
  std::vector<std::size_t> ends;  // of each of them, among all bytes
  unsigned refusal = 0;
};

bool same(const request& a, const request& b) {
  return a.method == b.method && a.target == b.target && a.path == b.path && a.authority == b.authority &&
         a.minor_version == b.minor_version && a.fields == b.fields;
}

reading read(std::string_view bytes, std::size_t piece) {
  request_reader reader;
  reading all;
  for (std::size_t at = 0; at < bytes.size();) {
    const auto p = reader.feed(bytes.substr(at, piece));
    hold(p.used > 0 || p.what == outcome::refused);
    if (p.what == outcome::refused) {
      all.refusal = reader.refusal();
      hold(all.refusal >= 400 && all.refusal <= 505);
      break;
    }
    at += p.used;
    if (p.what == outcome::complete) {
      hold(reader.idle());
      all.requests.push_back(reader.request());
      all.ends.push_back(at);
      if (!reader.keep_alive()) {
        break;
      }
    }
  }
  return all;
}

void look_at(const request& r, std::string_view bytes) {
  hold(bytes.size() <= request_reader::head_limit && bytes.ends_with("\r\n\r\n"));
  hold(r.fields.size() <= request_reader::field_limit);
  hold(r.path.starts_with('/') || r.path == "*");
  hold(r.authority.empty() || read_authority(r.authority));
  std::string again = r.method + " " + r.target + " HTTP/1." + std::to_string(r.minor_version) + "\r\n";
  for (const auto& f : r.fields) {
    hold(!f.name.empty() && f.name.find_first_of(" \t\r\n:\0") == std::string::npos);
    hold(f.value.find_first_of("\r\n") == std::string::npos && !f.value.contains('\0'));
    again += f.name + ":" + f.value + "\r\n";
  }
  const auto reread = read(again + "\r\n", again.size() + 2);
  hold(reread.requests.size() == 1 && same(reread.requests[0], r));

  auto secure = r;
  secure.from.secure = true;
  const auto answer = websocket_handshake(secure, {"https://example.org"});
  hold(answer.status == 101 || (answer.status >= 400 && answer.status <= 426));
  static const std::vector proxies{*comity::connection::address_block::parse("192.0.2.0/24")};
  static const auto peer = *comity::dns::address::parse("192.0.2.1");
  (void)forwarded_client(r.elements("x-forwarded-for"), peer, proxies);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes{reinterpret_cast<const char*>(data), size};
  const auto whole = read(bytes, std::max<std::size_t>(size, 1));
  for (const std::size_t piece : {std::size_t{1}, std::size_t{7}}) {
    const auto cut = read(bytes, piece);
    hold(cut.ends == whole.ends && cut.refusal == whole.refusal &&
         std::ranges::equal(cut.requests, whole.requests, same));
  }
  for (std::size_t i = 0; i < whole.requests.size(); ++i) {
    const auto begin = i == 0 ? 0 : whole.ends[i - 1];
    look_at(whole.requests[i], bytes.substr(begin, whole.ends[i] - begin));
  }
  return 0;
}
