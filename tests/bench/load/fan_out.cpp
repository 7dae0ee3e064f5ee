// One user's presence to all who have subscribed to it.
#include <algorithm>

#include "bench/load/crowd.hpp"
#include "bench/load/measure.hpp"
#include "bench/load/scenarios.hpp"

namespace comity::bench {

namespace {

constexpr std::chrono::seconds round_time{60};
constexpr std::string_view presence_end = "</presence>";
constexpr std::string_view iq_end = "</iq>";  // of the roster, and of pushes
/// RFC 6121 §2.2: only who has asked for the roster is told of subscriptions.
constexpr std::string_view roster_request = "<iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq>";

class audience {
public:
  audience(const surroundings& around, const fan_out_load& load)
      : around_{around}, load_{load}, clients_{poller_, around.progress}, reached_(load.contacts + 1) {}

  findings run() {
    const client::events told{.bytes = [this](client& c, std::string& bytes) { take(c, bytes); }};
    clients_.gather(around_.where, 0, load_.contacts + 1, parallel, told);
    speaker_ = clients_.all()[0].get();
    if (around_.where.floor) {
      for (const auto& each : clients_.all()) {
        each->send("room all\n");
      }
      clients_.run_until([] { return false; }, std::chrono::milliseconds{500});
    } else {
      subscribe();
    }
    std::vector<double> costs;
    progress telling{around_.progress, "rounds", load_.rounds};
    while (costs.size() < load_.rounds) {
      const auto cpu = cpu_seconds(around_.processes);
      if (!round()) {
        break;
      }
      costs.push_back((cpu_seconds(around_.processes) - cpu) / static_cast<double>(load_.contacts) * 1e6);
      telling.at(costs.size());
    }
    const auto lost = costs.size() < load_.rounds ? load_.contacts - heard_ : 0;
    std::ranges::sort(costs);
    for (const auto& each : clients_.all()) {
      each->close();
    }
    return {{"server_cpu_us_per_delivery", costs.empty() ? 0 : costs[costs.size() / 2]},
            {"contacts", static_cast<double>(load_.contacts)},
            {"lost", static_cast<double>(lost)}};
  }

private:
  static constexpr std::size_t parallel = 64;
  /// How many subscriptions are under way at one time.
  static constexpr std::size_t requests = 32;

  void subscribe() {
    const auto speaker = "u0@" + around_.where.domain;
    speaker_->send(std::string{roster_request} + "<presence/>");
    for (std::size_t i = 1; i < clients_.all().size(); ++i) {
      auto& contact = *clients_.all()[i];
      contact.send(std::string{roster_request} + "<presence/>");
      if ((i - 1) % around_.where.sessions_a_user == 0) {
        contact.send("<presence type='subscribe' to='" + speaker + "'/>");
      }
      clients_.run_until([&] { return subscribed_ + requests >= i; }, round_time);
    }
    if (!clients_.run_until([&] { return subscribed_ == load_.contacts; }, round_time)) {
      throw std::runtime_error{"only " + std::to_string(subscribed_) + " subscriptions were granted"};
    }
    if (!round()) {  // all that was under way is through then
      throw std::runtime_error{"only " + std::to_string(heard_) + " contacts hear the speaker"};
    }
  }

  bool round() {
    heard_ = 0;
    const auto number = std::to_string(++round_);
    wanted_ = "round " + number + ".";
    speaker_->send("<presence><status>" + wanted_ + std::string(100, 'x') + "</status></presence>");
    return clients_.run_until([this] { return heard_ == load_.contacts; }, round_time);
  }

  void take(client& who, std::string& bytes) {
    if (&who == speaker_) {
      return grant(bytes);
    }
    // A request's answer may be <presence …/> and everything else has content; each is looked at once, whole.
    std::size_t used = 0;
    for (;;) {
      const auto end = bytes.find('>', used);
      if (end == std::string::npos) {
        break;
      }
      const bool alone = end > 0 && bytes[end - 1] == '/';
      const auto end_tag = bytes.compare(used, 3, "<iq") == 0 ? iq_end : presence_end;
      const auto whole = alone ? end + 1 : bytes.find(end_tag, used);
      const auto behind = alone ? whole : whole + end_tag.size();
      if (whole == std::string::npos) {
        break;
      }
      const std::string_view stanza{bytes.data() + used, behind - used};
      const auto type = stanza.substr(0, stanza.find('>'));
      heard_ += stanza.contains(wanted_) ? 1U : 0U;
      // By the answer to the request, or, of an earlier run's subscription, by the speaker's presence.
      if ((type.contains("from='u0@") || type.contains("from=\"u0@")) && !reached_[who.number()]) {
        reached_[who.number()] = true;
        ++subscribed_;
      }
      used = behind;
    }
    bytes.erase(0, used);
  }

  void grant(std::string& bytes) {
    std::size_t used = 0;
    for (auto end = bytes.find('>'); end != std::string::npos; end = bytes.find('>', used)) {
      const std::string_view tag{bytes.data() + used, end - used};
      if (tag.contains("'subscribe'") || tag.contains("\"subscribe\"")) {
        const auto at = tag.find("from=") + 6;
        const auto who = tag.substr(at, tag.find(tag[at - 1], at) - at);
        speaker_->send("<presence type='subscribed' to='" + std::string{who} + "'/>");
      }
      used = end + 1;
    }
    bytes.erase(0, used);
  }

  const surroundings& around_;
  const fan_out_load& load_;
  poller poller_;
  crowd clients_;
  client* speaker_ = nullptr;
  std::string wanted_ = "nothing yet";
  std::vector<bool> reached_;  // by number
  std::size_t round_ = 0, heard_ = 0, subscribed_ = 0;
};

}  // namespace

findings fan_out(const surroundings& around, const fan_out_load& load) {
  return audience{around, load}.run();
}

}  // namespace comity::bench
