// Any bytes as the beginning of a connection that may be TLS: what is told of a part of them holds for the whole, and
// nothing is asked for without end.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "tls/client_hello.hpp"

namespace {

using namespace comity::tls;
using status = client_hello_reading::status;

void hold(bool sound) {
  if (!sound) {
    std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes{reinterpret_cast<const char*>(data), size};
  const auto whole = read_client_hello(bytes);
  hold(whole.is != status::needs_more || (whole.needed > size && whole.needed <= client_hello_records_most));
  hold(whole.is == status::complete || whole.hello == client_hello{});
  for (const auto part : {size / 3, size / 2, size - size / 4}) {
    const auto read = read_client_hello(bytes.substr(0, part));
    if (read.is != status::needs_more) {
      hold(read.is == whole.is && read.hello == whole.hello);
    } else {
      hold(read.needed > part);
      const auto nearly = read_client_hello(bytes.substr(0, std::min(size, read.needed - 1)));
      hold(nearly.is != status::complete);
    }
  }
  (void)server_name_in(bytes);
  (void)protocols_in(bytes);
  return 0;
}
