// Any bytes as the data of a record, of each type: what is read writes back to the same bytes, in lower case, and what
// is not read is counted (RFC 2782, RFC 6698 §2.1).
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string>

#include "dns/rdata.hpp"

namespace {

using namespace comity::dns;

void hold(bool sound) {
  if (!sound) {
    std::abort();
  }
}

std::string wire_of(const std::string& name) {
  std::string out;
  for (std::size_t begin = 0; begin < name.size();) {
    const auto end = std::min(name.find('.', begin), name.size());
    out += static_cast<char>(end - begin);
    out += name.substr(begin, end - begin);
    begin = end + 1;
  }
  return out + '\0';
}

/// Lengths of labels are under 64 and so never letters.
std::string lower(std::span<const std::uint8_t> bytes) {
  std::string out{bytes.begin(), bytes.end()};
  std::ranges::transform(out, out.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::span rdata{data, size};
  if (const auto name = read_name(rdata)) {
    hold(wire_of(*name) == lower(rdata));
    hold(name->empty() || folded_name(*name) == *name);
  }
  if (const auto srv = read_srv(rdata)) {
    const auto number = [&](std::size_t at) { return rdata[at] * 256 + rdata[at + 1]; };
    hold(srv->priority == number(0) && srv->weight == number(2) && srv->port == number(4));
    hold(wire_of(srv->target) == lower(rdata.subspan(6)));
  }
  if (const auto tlsa = read_tlsa(rdata)) {
    hold(tlsa->usage == rdata[0] && tlsa->selector == rdata[1] && tlsa->matching == rdata[2]);
    hold(tlsa->data.size() + 3 == size);
  }
  for (std::size_t type = 0; type < record_type_count; ++type) {
    answer a;
    a.type = static_cast<record_type>(type);
    add_record(a, rdata);
    hold(a.srv.size() + a.addresses.size() + a.tlsa.size() + a.malformed == 1);
  }
  if (const auto name = folded_name({reinterpret_cast<const char*>(data), size})) {
    hold(folded_name(*name) == *name && name->size() <= 253);
    hold(read_name({reinterpret_cast<const std::uint8_t*>(wire_of(*name).data()), wire_of(*name).size()}) == *name);
  }
  return 0;
}
