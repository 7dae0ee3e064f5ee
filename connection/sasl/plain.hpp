// connection/sasl/plain.hpp: PLAIN (RFC 4616), server side.
#pragma once

#include "connection/sasl/mechanism.hpp"

namespace comity::connection {

class plain_mechanism final : public sasl_mechanism {
public:
  explicit plain_mechanism(sasl_environment environment) : environment_{std::move(environment)} {}
  [[nodiscard]] sasl_step start(std::optional<std::string_view> initial_response) override;
  [[nodiscard]] sasl_step respond(std::string_view octets) override;
  [[nodiscard]] sasl_step keys(const scram_keys& keys, bool real) override;
  [[nodiscard]] sasl_step password(bool right) override;

private:
  enum class state : std::uint8_t { begun, message, verdict, over };
  sasl_environment environment_;
  state state_ = state::begun;
  std::string username_;
};

}  // namespace comity::connection
