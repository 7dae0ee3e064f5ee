#include "connection/s2s/federation.hpp"

#include <utility>

#include "connection/s2s/known_certificates.hpp"
#include "connection/s2s/outbound_links.hpp"
#include "connection/s2s/s2s_metrics.hpp"

namespace comity::connection {

struct federation::state {
  struct at_loop {
    s2s_collaborators with;
    std::unique_ptr<outbound_links> links;
  };

  at_loop& home_of(const domain_flow& flow) {
    const auto hash = std::hash<std::string>{}(flow.sender + '\0' + flow.target);
    return *loops[hash % loops.size()];
  }
  /// Runs `work(links)` on the home of that pair.
  template <typename Work>
  void at_home(const domain_flow& flow, Work work) {
    auto& home = home_of(flow);
    home.with.loop.loop().post([&home, work = std::move(work)]() mutable { work(*home.links); });
  }

  queue_budget budget;
  known_certificates known;
  std::vector<std::unique_ptr<at_loop>> loops;
};

federation::federation(const collaborators& c) : state_{std::make_unique<state>()} {
  for (auto* l : c.loops) {
    auto made = std::make_unique<state::at_loop>(s2s_collaborators{.loop = *l,
                                                                   .host = c.host,
                                                                   .posh = c.posh,
                                                                   .federation = *this,
                                                                   .dns = c.dns,
                                                                   .server_tls = c.server_tls,
                                                                   .client_tls = c.client_tls,
                                                                   .sessions = c.sessions,
                                                                   .metrics = c.metrics.cell(l->loop().index()),
                                                                   .known = state_->known,
                                                                   .random = c.random,
                                                                   .log = c.log},
                                                 nullptr);
    made->links = std::make_unique<outbound_links>(made->with, state_->budget);
    state_->loops.push_back(std::move(made));
  }
}

federation::~federation() = default;

const s2s_collaborators& federation::on(std::size_t loop) const noexcept {
  return state_->loops[loop]->with;
}

void federation::send(stanza_ref stanza) {
  const auto flow = flow_of(*stanza);
  state_->at_home(flow, [flow, stanza = std::move(stanza)](outbound_links& links) mutable {
    links.of(flow).send(std::move(stanza));
  });
}

void federation::explain(explain_request what, std::function<void(explained_step)> told) {
  const auto flow = what.flow;
  state_->at_home(flow, [what = std::move(what), told = std::move(told)](outbound_links& links) mutable {
    links.explain(what, std::move(told));
  });
}

void federation::close(std::string remote, std::string text) {
  for (auto& l : state_->loops) {
    l->with.loop.loop().post([&l = *l, remote, text] { l.links->close(remote, text); });
  }
}

void federation::stop() {
  for (auto& l : state_->loops) {
    l->with.loop.loop().post([&l = *l] { l.links->stop(); });
  }
}

void federation::verify(verify_key key, std::shared_ptr<connect_budget> budget,
                        std::move_only_function<void(key_verdict)> done) {
  const auto flow = reversed(key.flow);
  state_->at_home(flow, [flow, key = std::move(key), budget = std::move(budget),
                         done = std::move(done)](outbound_links& links) mutable {
    links.of(flow).verify(std::move(key), std::move(budget), std::move(done));
  });
}

void federation::offer(domain_flow flow, session_ref stream, std::optional<std::uint32_t> max_bytes) {
  state_->at_home(flow,
                  [flow, stream, max_bytes](outbound_links& links) { links.of(flow).offered(stream, max_bytes); });
}

void federation::withdrawn(domain_flow flow, std::uint64_t stream, std::size_t taken,
                           std::vector<stanza_ref> unwritten) {
  state_->at_home(flow, [flow, stream, taken, unwritten = std::move(unwritten)](outbound_links& links) mutable {
    links.of(flow).withdrawn(stream, taken, std::move(unwritten));
  });
}

void federation::returned(stanza_ref stanza) {
  const auto flow = flow_of(*stanza);
  state_->at_home(flow, [flow, stanza = std::move(stanza)](outbound_links& links) mutable {
    links.of(flow).returned(std::move(stanza));
  });
}

void federation::carry(session_ref stream, stanza_ref stanza) {
  auto& l = *state_->loops.at(stream.loop);
  l.with.loop.loop().post([this, &l, id = stream.id, stanza = std::move(stanza)]() mutable {
    if (l.with.loop.find(id) == nullptr) {
      return returned(std::move(stanza));
    }
    l.with.loop.on(id, [&stanza](live_connection& c) { c.send(std::move(stanza)); });
  });
}

}  // namespace comity::connection
