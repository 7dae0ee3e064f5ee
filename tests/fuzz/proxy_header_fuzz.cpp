// Any bytes as a PROXY header: what is told of a part of them holds for the whole, and a client that is named is named
// the same when it is written again.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "connection/front/proxy_header.hpp"

namespace {

using namespace comity::connection;
using status = proxy_header_reading::status;

void hold(bool sound) {
  if (!sound) {
    std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes{reinterpret_cast<const char*>(data), size};
  const auto whole = read_proxy_header(bytes);
  hold(whole.is != status::needs_more || (whole.size > size && whole.size <= proxy_header_most));
  hold(whole.is != status::complete || whole.size <= size);
  hold(whole.is == status::complete || (!whole.client && !whole.local));
  for (const auto part : {size / 3, size / 2, size - size / 4}) {
    const auto read = read_proxy_header(bytes.substr(0, part));
    hold(read.is == status::needs_more || (read.is == whole.is && read.size == whole.size));
  }
  if (whole.client) {
    const auto again = read_proxy_header(proxy_header(*whole.client, *whole.client));
    hold(again.is == status::complete && again.client && again.client->ip == whole.client->ip &&
         again.client->port == whole.client->port);
  }
  return 0;
}
