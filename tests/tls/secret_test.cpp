// That what is secret cannot be shown, and is gone once it is not needed (THREATS §3, G8): in the objects themselves,
// and in whatever memory a login gives back.
#include "tls/secret.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <malloc.h>

#include <array>
#include <concepts>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <ostream>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>

#include "connection/sasl/mechanism.hpp"

namespace {

/// While there is one, every piece of memory that is given back is looked through for these bytes.
std::string_view looked_for;
std::size_t found = 0;

void give_back(void* memory) noexcept {
  if (memory != nullptr && !looked_for.empty()) {
    const std::string_view content{static_cast<const char*>(memory), ::malloc_usable_size(memory)};
    found += content.find(looked_for) != std::string_view::npos ? 1 : 0;
  }
  std::free(memory);
}

void* take(std::size_t size) {
  if (void* const memory = std::malloc(size)) {
    return memory;
  }
  throw std::bad_alloc{};
}

}  // namespace

void* operator new(std::size_t size) {
  return take(size);
}
void* operator new[](std::size_t size) {
  return take(size);
}
void operator delete(void* memory) noexcept {
  give_back(memory);
}
void operator delete[](void* memory) noexcept {
  give_back(memory);
}
void operator delete(void* memory, std::size_t /*size*/) noexcept {
  give_back(memory);
}
void operator delete[](void* memory, std::size_t /*size*/) noexcept {
  give_back(memory);
}

namespace comity::tls {
namespace {

template <class T>
concept streamable = requires(std::ostream& out, const T& value) { out << value; };

static_assert(streamable<std::string> && fmt::is_formattable<std::string>::value, "the checks find what there is");
static_assert(!streamable<secret>);
static_assert(!fmt::is_formattable<secret>::value);
static_assert(!std::is_convertible_v<secret, std::string> && !std::is_convertible_v<secret, std::string_view>);
static_assert(!std::is_constructible_v<std::string, secret> && !std::is_constructible_v<std::string_view, secret>);
static_assert(!std::is_convertible_v<std::string, secret> && !std::is_convertible_v<const char*, secret>);
static_assert(!std::three_way_comparable<secret>, "an order would tell where they differ");

constexpr std::string_view longer = "a canary that is too long to be kept inside of the string itself";
constexpr std::string_view shorter = "canary bird";

/// Looks at what is given back while it lives.
class watch {
public:
  explicit watch(std::string_view canary) {
    found = 0;
    looked_for = canary;
  }
  ~watch() { looked_for = {}; }
  watch(const watch&) = delete;
  watch& operator=(const watch&) = delete;
  [[nodiscard]] static std::size_t hits() { return found; }
};

/// The bytes of an object, whether it lives or not.
template <class T>
class place {
public:
  template <class... A>
  T& made(A&&... from) {
    return *std::construct_at(reinterpret_cast<T*>(bytes_.data()), std::forward<A>(from)...);
  }
  [[nodiscard]] bool holds(std::string_view canary) const {
    return std::string_view{bytes_.data(), bytes_.size()}.find(canary) != std::string_view::npos;
  }

private:
  alignas(T) std::array<char, sizeof(T)> bytes_{};
};

class Secret : public testing::TestWithParam<std::string_view> {};
INSTANTIATE_TEST_SUITE_P(Secret, Secret, testing::Values(shorter, longer),
                         [](const auto& info) { return info.param == shorter ? "Inside" : "Outside"; });

TEST_P(Secret, IsFoundWhereNobodyCleanses) {
  const watch now{GetParam()};
  place<std::string> plain;
  std::destroy_at(&plain.made(GetParam()));
  EXPECT_TRUE(plain.holds(GetParam()) || watch::hits() == 1);
}

TEST_P(Secret, IsGoneWithTheObject) {
  const watch now{GetParam()};
  place<secret> object;
  auto& made = object.made(GetParam());
  EXPECT_EQ(made.reveal(), GetParam());
  std::destroy_at(&made);
  EXPECT_FALSE(object.holds(GetParam()));
  EXPECT_EQ(watch::hits(), 0U);
}

TEST_P(Secret, IsGoneFromWhereItWasTakenFrom) {
  const watch now{GetParam()};
  place<std::string> plain;
  auto& given = plain.made(GetParam());
  const secret made{std::move(given)};
  EXPECT_FALSE(plain.holds(GetParam()));
  std::destroy_at(&given);
  EXPECT_EQ(made.reveal(), GetParam());
  EXPECT_EQ(watch::hits(), 0U);
}

TEST_P(Secret, IsGoneFromWhereItWasMovedFrom) {
  const watch now{GetParam()};
  place<secret> first, second;
  auto& from = first.made(GetParam());
  auto& to = second.made(std::move(from));
  EXPECT_FALSE(first.holds(GetParam()));
  EXPECT_EQ(to.reveal(), GetParam());
  secret assigned;
  assigned = std::move(to);
  EXPECT_FALSE(second.holds(GetParam()));
  EXPECT_EQ(assigned.reveal(), GetParam());
  std::destroy_at(&from);
  std::destroy_at(&to);
  EXPECT_EQ(watch::hits(), 0U);
}

TEST_P(Secret, IsGoneOnceThereIsAnother) {
  const watch now{GetParam()};
  place<secret> object;
  auto& made = object.made(GetParam());
  for (const auto other :
       {std::string_view{"x"}, std::string_view{"another that has to be kept outside of the string"}}) {
    made = secret{other};
    EXPECT_FALSE(object.holds(GetParam()));
    made = secret{GetParam()};
  }
  made = secret{made};  // a copy of itself
  EXPECT_EQ(made.reveal(), GetParam());
  std::destroy_at(&made);
  EXPECT_EQ(watch::hits(), 0U);
}

TEST(SecretBytes, AreComparedWhole) {
  const secret one{std::string_view{"one"}};
  EXPECT_TRUE(one == secret{std::string_view{"one"}});
  EXPECT_FALSE(one == secret{std::string_view{"onE"}});
  EXPECT_FALSE(one == secret{std::string_view{"one "}});
  EXPECT_TRUE(secret{}.empty());
}

// What comes in by PLAIN goes through the mechanism and the hash, and is nowhere afterwards.
TEST(SecretOfALogin, IsInNoMemoryThatIsGivenBack) {
  using namespace connection;
  std::string message = "user";  // what the caller holds, and sees to
  message.insert(0, 1, '\0').append(1, '\0').append(longer);
  const watch now{longer};
  {
    auto plain = make_sasl_mechanism(mechanism::plain, {.domain = "a.example", .bindings = {}, .plus_offered = false});
    auto step = plain->start(std::string_view{message});
    ASSERT_EQ(step.what, sasl_step::kind::check_password);
    const auto password = std::move(step.password);
    for (const auto hash : {hash::sha1, hash::sha256, hash::sha512}) {
      ASSERT_TRUE(derive_scram_keys(hash, password.reveal(), "salt", 2));
    }
  }
  EXPECT_EQ(watch::hits(), 0U);
}

// The keys that are stored log nobody in, but are as good as a password to whoever plays the server.
TEST(SecretOfAnExchange, IsInNoMemoryThatIsGivenBack) {
  using namespace connection;
  auto keys = derive_scram_keys(hash::sha512, "pencil", "salt", 2).value();
  for (const auto* each : {&keys.stored_key, &keys.server_key}) {
    const std::string canary{each->reveal()};
    const watch now{canary};
    {
      auto scram = make_sasl_mechanism(mechanism::scram_sha_512,
                                       {.domain = "a.example", .bindings = {}, .plus_offered = false}, "nonce");
      ASSERT_EQ(scram->start("n,,n=user,r=its").what, sasl_step::kind::find_keys);
      ASSERT_EQ(scram->keys(keys, true).what, sasl_step::kind::challenge);
      const auto wrong = base64_encode(std::string(digest_size(hash::sha512), 'x'));
      ASSERT_EQ(scram->respond("c=biws,r=itsnonce,p=" + wrong).what, sasl_step::kind::failure);
    }
    EXPECT_EQ(watch::hits(), 0U);
    looked_for = {};  // before the canary goes
  }
}

}  // namespace
}  // namespace comity::tls
