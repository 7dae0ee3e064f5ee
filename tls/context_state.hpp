// tls/context_state.hpp: the inside of a server_context. Private to tls.
#pragma once

#include <memory>
#include <mutex>

#include "tls/context.hpp"
#include "tls/ticket_keys.hpp"

namespace comity::tls {

struct server_context::state {
  std::mutex lock;  // held for the copy of a pointer
  std::shared_ptr<const certificate_table> table;
  ticket_keys tickets;
};

}  // namespace comity::tls
