// The first stanza to many other domains: what finding each, reaching it and proving who it is costs.
#include <charconv>
#include <stdexcept>

#include "bench/load/crowd.hpp"
#include "bench/load/measure.hpp"
#include "bench/load/scenarios.hpp"

namespace comity::bench {

namespace {

constexpr std::string_view iq_end = "</iq>";
constexpr std::string_view id_begin = "id=";
constexpr std::chrono::seconds patience{60};

}  // namespace

findings domains(const surroundings& around, const domain_load& load) {
  poller p;
  crowd clients{p, around.progress};
  std::size_t sent = 0;
  std::size_t answered = 0;
  std::string refusal;
  latencies times;
  std::vector<clock::time_point> begun_at;  // by the number in the id
  // A ping of a domain (XEP-0199) is answered by <iq …/>, a failure has content.
  const client::events told{.bytes = [&](client&, std::string& bytes) {
    for (auto end = bytes.find('>'); end != std::string::npos; end = bytes.find('>')) {
      const bool alone = end > 0 && bytes[end - 1] == '/';
      const auto whole = alone ? end : bytes.find(iq_end);
      if (whole == std::string::npos) {
        return;
      }
      const auto stanza = bytes.substr(0, alone ? whole + 1 : whole + iq_end.size());
      bytes.erase(0, stanza.size());
      if (!stanza.starts_with("<iq")) {
        continue;
      }
      if (stanza.contains("type='result'") || stanza.contains("type=\"result\"")) {
        const auto at = stanza.find(id_begin) + id_begin.size() + 2;  // behind the quote and the p
        std::size_t number = begun_at.size();
        std::from_chars(stanza.data() + at, stanza.data() + stanza.size(), number);
        times.add(clock::now() - begun_at.at(number));
        ++answered;
      } else {
        refusal = stanza;
      }
    }
  }};
  clients.gather(around.where, 0, 1, 1, told);
  auto& asker = *clients.all()[0];
  const auto ping = [&](const std::string& domain) {
    begun_at.push_back(clock::now());
    asker.send("<iq type='get' id='p" + std::to_string(sent++) + "' to='" + domain +
               "'><ping xmlns='urn:xmpp:ping'/></iq>");
  };
  progress telling{around.progress, "domains", load.count};
  const auto pass = [&](std::size_t until, std::size_t under_way) {
    const bool through = clients.run_until(
        [&] {
          telling.at(answered);
          while (sent < until && sent - answered < under_way) {
            ping("d" + std::to_string(load.first + sent - 1) + "." + around.peers.domain);
          }
          return answered == until || !refusal.empty();
        },
        patience);
    if (!through || !refusal.empty()) {
      throw std::runtime_error{"only " + std::to_string(answered) + " of " + std::to_string(until) +
                               " domains have answered; " + refusal};
    }
  };
  ping(around.peers.domain);  // the way back, where it is another connection, is not what is measured
  pass(1, 1);
  times = {};
  const auto cpu = cpu_seconds(around.processes);
  const auto begun = clock::now();
  pass(load.count + 1, load.parallel);
  const std::chrono::duration<double> took = clock::now() - begun;
  asker.close();
  const auto count = static_cast<double>(load.count);
  return {{"server_cpu_ms_each", (cpu_seconds(around.processes) - cpu) / count * 1e3},
          {"latency_ms_p50", times.percentile(0.5)},
          {"latency_ms_p99", times.percentile(0.99)},
          {"each_second", count / took.count()}};
}

}  // namespace comity::bench
