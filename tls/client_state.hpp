// tls/client_state.hpp: the inside of a client_context. Private to tls.
#pragma once

#include "tls/certificate_table.hpp"
#include "tls/client_context.hpp"

namespace comity::tls {

struct client_context::state {
  const server_context& ours;
  context_ptr context;
};

}  // namespace comity::tls
