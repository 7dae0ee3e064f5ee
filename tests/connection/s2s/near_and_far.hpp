// tests/connection/s2s/near_and_far.hpp: two ends of ours, each with a certificate for its domain of one authority.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "connection/s2s/our_end.hpp"

namespace comity::connection {

class NearAndFar : public testing::Test {
protected:
  static void SetUpTestSuite() { authority_ = std::make_unique<test_authority>(); }
  static void TearDownTestSuite() { authority_.reset(); }

  void SetUp() override {
    near = end("near.example");
    far = end("far.example");
  }
  std::unique_ptr<our_end> end(const std::string& domain) {
    return std::make_unique<our_end>(
        *authority_, dns, our_end::plan{.domain = domain, .certificate = authority_->issue({.domain = domain})});
  }

  static inline std::unique_ptr<test_authority> authority_;
  fakes::zone_resolver dns{""};
  std::unique_ptr<our_end> near, far;
};

}  // namespace comity::connection
