#include "connection/negotiation/compression.hpp"

namespace comity::connection {

namespace {
constexpr std::string_view ns_compress = "http://jabber.org/protocol/compress";
}

bool no_compression::claims(const xml::element& e) const {
  return e.ns() == ns_compress;
}

step no_compression::on(const xml::element&, const stream_facts&) {
  std::string out;
  xml::writer{out, xml::ns_client}.open("failure", ns_compress).leaf("unsupported-method", ns_compress).close();
  return {std::move(out), step::nothing{}};
}

}  // namespace comity::connection
