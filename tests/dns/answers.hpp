// tests/dns/answers.hpp: answers for tests of what is pure given answers.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "dns/answer.hpp"

namespace comity::dns {

inline answer answer_of(record_type type, outcome result, security s = security::secure) {
  answer a;
  a.type = type;
  a.result = result;
  a.security = result == outcome::bogus ? security::bogus : answered(result) ? s : security::none;
  a.why = answered(result) ? "" : "because of " + std::string{to_string(result)};
  return a;
}

inline answer srv_answer(std::vector<srv_record> records, security s = security::secure) {
  auto a = answer_of(record_type::srv, outcome::records, s);
  a.srv = std::move(records);
  return a;
}

inline answer address_answer(record_type type, const std::vector<std::string>& addresses, security s = security::secure,
                             std::string canonical_name = "") {
  auto a = answer_of(type, outcome::records, s);
  for (const auto& text : addresses) {
    a.addresses.push_back(address::parse(text).value());
  }
  a.canonical_name = std::move(canonical_name);
  return a;
}

inline answer tlsa_answer(std::vector<tlsa_record> records, security s = security::secure) {
  auto a = answer_of(record_type::tlsa, outcome::records, s);
  a.tlsa = std::move(records);
  return a;
}

}  // namespace comity::dns
