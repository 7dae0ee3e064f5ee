// RFC 6121 §8.5: Table 1 in the RFC's own letters, and the rules for presence and IQ beside it.
#include "server/delivery_rules.hpp"

#include <gtest/gtest.h>

#include <array>
#include <string>
#include <string_view>

namespace comity::server {
namespace {

using enum stanza_type;
using who = recipient_condition;
using form = address_form;

/// A row of Table 1. Letters as in the RFC: O offline, E error, S silent, D to the resource, M most available, A all of
/// non-negative priority; more than one: any of them conforms.
struct row {
  who condition;
  form address;
  std::string_view normal_, chat_, groupchat_, headline_;
};

constexpr std::array table_1{
    row{who::no_such_user, form::bare, "SE", "SE", "E", "S"},
    row{who::no_such_user, form::full_no_match, "SE", "SE", "SE", "SE"},
    row{who::no_available_resource, form::bare, "OE", "OE", "E", "S"},
    row{who::no_available_resource, form::full_no_match, "SE", "OE", "SE", "SE"},
    row{who::negative_only, form::bare, "OE", "OE", "E", "S"},
    row{who::negative_only, form::full_match, "D", "D", "D", "D"},
    row{who::negative_only, form::full_no_match, "SE", "OE", "SE", "SE"},
    // "1 non-negative resource" (D: to that one) and "1+ non-negative resources" are one condition here: all of
    // non-negative priority is that one where there is one.
    row{who::non_negative, form::bare, "MA", "MA", "E", "A"},
    row{who::non_negative, form::full_match, "D", "DA", "D", "D"},
    row{who::non_negative, form::full_no_match, "SE", "MA", "SE", "SE"},
};

char letter(message_action a) {
  switch (a) {
    case message_action::to_resource:
      return 'D';
    case message_action::to_non_negative:
      return 'A';
    case message_action::store_offline:
      return 'O';
    case message_action::answer_error:
      return 'E';
    case message_action::ignore:
      return 'S';
  }
  return '?';
}

/// What we do, in the same letters: normal, chat, groupchat, headline.
struct choice {
  who condition;
  form address;
  std::string_view letters;
};
constexpr std::array ours{
    choice{who::no_such_user, form::bare, "EEES"},
    choice{who::no_such_user, form::full_no_match, "EEES"},
    choice{who::no_available_resource, form::bare, "OOES"},
    choice{who::no_available_resource, form::full_no_match, "EOES"},
    choice{who::negative_only, form::bare, "OOES"},
    choice{who::negative_only, form::full_match, "DDDD"},
    choice{who::negative_only, form::full_no_match, "EOES"},
    choice{who::non_negative, form::bare, "AAEA"},
    choice{who::non_negative, form::full_match, "DDDD"},
    choice{who::non_negative, form::full_no_match, "EAES"},
};

TEST(DeliveryRules, MessagesFollowTable1) {  // RFC 6121 §8.5.4
  for (const auto& r : table_1) {
    const std::array<std::pair<stanza_type, std::string_view>, 4> cells{
        {{normal, r.normal_}, {chat, r.chat_}, {groupchat, r.groupchat_}, {headline, r.headline_}}};
    for (const auto& [type, allowed] : cells) {
      const char got = letter(deliver_message(type, r.condition, r.address));
      EXPECT_NE(allowed.find(got), std::string_view::npos)
          << "condition " << static_cast<int>(r.condition) << " address " << static_cast<int>(r.address) << " type "
          << to_string(type) << ": " << got << " is not among " << allowed;
    }
  }
}

TEST(DeliveryRules, ChoicesAmongTheOptionsAreTheDocumentedOnes) {
  for (const auto& c : ours) {
    std::string got;
    for (const auto type : {normal, chat, groupchat, headline}) {
      got += letter(deliver_message(type, c.condition, c.address));
    }
    EXPECT_EQ(got, c.letters) << "condition " << static_cast<int>(c.condition) << " address "
                              << static_cast<int>(c.address);
  }
}

TEST(DeliveryRules, ChatToBareGoesToAllNonNegative) {  // the DEVIATION of delivery_rules.hpp
  EXPECT_EQ(deliver_message(chat, who::non_negative, form::bare), message_action::to_non_negative);
}

TEST(DeliveryRules, MessageToAConnectedResourceIsDeliveredThoughItIsNotAvailable) {  // RFC 6121 §8.5.3.1
  for (const auto type : {normal, chat, groupchat, headline, error}) {
    EXPECT_EQ(deliver_message(type, who::no_available_resource, form::full_match), message_action::to_resource);
  }
}

TEST(DeliveryRules, ErrorsAreDeliveredToTheirResourceOrVanish) {  // RFC 6121 §8.5.2.1.1, §8.5.3.2.1
  for (const auto& r : table_1) {
    EXPECT_EQ(deliver_message(error, r.condition, r.address),
              r.address == form::full_match ? message_action::to_resource : message_action::ignore);
  }
}

constexpr std::array all_conditions{who::no_such_user, who::no_available_resource, who::negative_only,
                                    who::non_negative};

TEST(DeliveryRules, PresenceOfAContactGoesToAllAvailableResourcesOrTheOneAddressed) {  // RFC 6121 §8.5
  for (const auto type : {available, unavailable}) {
    EXPECT_EQ(deliver_presence(type, who::no_such_user, form::bare), presence_action::ignore);
    EXPECT_EQ(deliver_presence(type, who::no_available_resource, form::bare), presence_action::ignore);
    EXPECT_EQ(deliver_presence(type, who::negative_only, form::bare), presence_action::to_available);
    EXPECT_EQ(deliver_presence(type, who::non_negative, form::bare), presence_action::to_available);
    for (const auto c : all_conditions) {
      EXPECT_EQ(deliver_presence(type, c, form::full_no_match), presence_action::ignore);
      if (c != who::no_such_user) {
        EXPECT_EQ(deliver_presence(type, c, form::full_match), presence_action::to_resource);
      }
    }
  }
}

TEST(DeliveryRules, SubscriptionStanzasFollowSection3) {  // RFC 6121 §8.5.1, §8.5.3.2.2
  for (const auto c : all_conditions) {
    const auto to_account = c == who::no_such_user ? presence_action::ignore : presence_action::subscription;
    for (const auto type : {subscribe, subscribed, unsubscribe, unsubscribed}) {
      EXPECT_EQ(deliver_presence(type, c, form::bare), to_account);
      EXPECT_EQ(deliver_presence(type, c, form::full_no_match),
                type == subscribe ? to_account : presence_action::ignore);
    }
    for (const auto f : {form::bare, form::full_match, form::full_no_match}) {
      EXPECT_EQ(deliver_presence(probe, c, f), presence_action::probe);
    }
  }
}

TEST(DeliveryRules, IqToAnAccountIsAnsweredByTheServerNeverDelivered) {  // RFC 6121 §8.5.2.1.3, §8.5.2.2.3
  for (const auto type : {get, set}) {
    EXPECT_EQ(deliver_iq(type, who::no_such_user, form::bare), iq_action::answer_error);
    EXPECT_EQ(deliver_iq(type, who::no_such_user, form::full_no_match), iq_action::answer_error);
    for (const auto c : {who::no_available_resource, who::negative_only, who::non_negative}) {
      EXPECT_EQ(deliver_iq(type, c, form::bare), iq_action::by_server);
      EXPECT_EQ(deliver_iq(type, c, form::full_match), iq_action::to_resource);
      EXPECT_EQ(deliver_iq(type, c, form::full_no_match), iq_action::answer_error);
    }
  }
}

TEST(DeliveryRules, IqAnswersReachTheirResourceOrVanish) {  // RFC 6121 §8.5.3.1; THREATS F10, D8
  for (const auto type : {result, error}) {
    for (const auto c : all_conditions) {
      EXPECT_EQ(deliver_iq(type, c, form::bare), iq_action::ignore);
      EXPECT_EQ(deliver_iq(type, c, form::full_no_match), iq_action::ignore);
      EXPECT_EQ(deliver_iq(type, c, form::full_match), iq_action::to_resource);
    }
  }
}

}  // namespace
}  // namespace comity::server
