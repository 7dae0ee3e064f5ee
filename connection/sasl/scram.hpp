// connection/sasl/scram.hpp: SCRAM and SCRAM-PLUS (RFC 5802, RFC 7677), server side, for any hash.
#pragma once

#include "connection/sasl/mechanism.hpp"

namespace comity::connection {

class scram_mechanism final : public sasl_mechanism {
public:
  /// `plus`: the form with channel binding. `nonce` is the server's part, fresh where empty.
  scram_mechanism(tls::hash hash, bool plus, sasl_environment environment, std::string nonce);
  [[nodiscard]] sasl_step start(std::optional<std::string_view> initial_response) override;
  [[nodiscard]] sasl_step respond(std::string_view octets) override;
  [[nodiscard]] sasl_step keys(const scram_keys& keys, bool real) override;
  [[nodiscard]] sasl_step password(bool right) override;

private:
  enum class state : std::uint8_t { begun, client_first, keys, client_final, over };
  sasl_step client_first(std::string_view message);
  sasl_step client_final(std::string_view message);

  tls::hash hash_;
  bool plus_;
  sasl_environment environment_;
  std::string nonce_;  // the server's part at first, then both parts
  state state_ = state::begun;
  std::string username_;
  std::string channel_binding_;  // what c= must decode to: the gs2 header and the binding's octets
  std::string first_bare_;       // client-first-message-bare
  std::string server_first_;
  scram_keys keys_;
  bool real_ = false;
};

}  // namespace comity::connection
