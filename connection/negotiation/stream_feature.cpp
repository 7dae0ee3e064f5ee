#include "connection/negotiation/stream_feature.hpp"

namespace comity::connection {

std::string_view namespace_around(const stream_facts& facts) noexcept {
  if (facts.framing() == stream_framing::websocket) {
    return {};
  }
  return facts.route.scope == scope::c2s ? xml::ns_client : xml::ns_server;
}

step stream_feature::on(answer, const stream_facts&) {
  return {{}, step::end{stream_condition::internal_server_error, cause::internal, "an answer nobody asked for"}};
}

std::string_view to_string(authorised_by how) noexcept {
  return how == authorised_by::external ? "EXTERNAL" : "dialback";
}

}  // namespace comity::connection
