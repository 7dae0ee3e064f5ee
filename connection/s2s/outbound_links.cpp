#include "connection/s2s/outbound_links.hpp"

#include <algorithm>
#include <utility>
#include <vector>

#include "connection/s2s/federation.hpp"

namespace comity::connection {

namespace {
/// Each takes a check of its certificate's path. Where a thousand domains live at one address, each with a certificate
/// of its own, looking at all of them would cost more than the connection that is spared.
constexpr std::size_t examined_at_most = 4;
}  // namespace

outbound_links::outbound_links(s2s_collaborators with, queue_budget& budget) : with_{std::move(with)}, budget_{budget} {
}

outbound_links::~outbound_links() = default;

outbound_link& outbound_links::of(const domain_flow& flow) {
  auto& link = links_[flow];
  if (!link) {
    link = std::make_unique<outbound_link>(*this, flow);
  }
  return *link;
}

outbound_link* outbound_links::find(const domain_flow& flow) noexcept {
  const auto found = links_.find(flow);
  return found == links_.end() ? nullptr : found->second.get();
}

bool outbound_links::to_go(const outbound_link& link) const {
  return link.idle() && (!link.backs_off() || failed_ > failures_kept);
}

void outbound_links::look_at(const domain_flow& flow) {
  if (const auto* link = find(flow); link != nullptr && to_go(*link)) {
    with_.loop.loop().at_turn_end([this, flow] {
      if (const auto* still = find(flow); still != nullptr && to_go(*still)) {
        links_.erase(flow);
      }
    });
  }
}

void outbound_links::explain(const explain_request& what, inquiry::teller told) {
  explained::asked asked{.flow = what.flow,
                         .dry_run = what.dry_run,
                         .only = what.only,
                         .policy = with_.host.policy(what.flow.target),
                         .history = history_.of(what.flow)};
  if (const auto* link = find(what.flow)) {
    link->describe(asked);
  }
  told(std::move(asked));
  if (stopped_) {
    return told(explained::outcome{.cause = cause::shutdown, .phase = phase::dns, .text = "the server is stopping"});
  }
  const auto number = ++inquired_;
  auto& made = inquiries_[number];
  made = std::make_unique<inquiry>(with_, what, health_, std::move(told), [this, number] {
    with_.loop.loop().at_turn_end([this, number] { inquiries_.erase(number); });
  });
  made->begin();
}

void outbound_links::close(std::string_view remote, const std::string& text) {
  for (auto& [flow, link] : links_) {
    if (flow.target == remote) {
      link->give_up(cause::policy, text);
    }
  }
  for (const auto& c : with_.loop.list()) {
    if (c.route.scope == scope::s2s && c.peer == remote) {
      with_.loop.on(c.ref.id,
                    [&text](live_connection& found) { static_cast<server_stream&>(found).leave(cause::policy, text); });
    }
  }
}

void outbound_links::stop() {
  stopped_ = true;
  inquiries_.clear();
  for (auto& [flow, link] : links_) {
    link->give_up(cause::shutdown, {});
  }
  for (const auto& c : with_.loop.list()) {
    if (c.route.scope == scope::s2s) {
      with_.loop.on(c.ref.id, [](live_connection& found) {
        found.dismiss(stream_condition::system_shutdown, cause::shutdown, {});
      });
    }
  }
}

// --- established streams ---------------------------------------------------------------------------------------------

void outbound_links::answered(outbound_stream& /*stream*/, const key_verdict& v) {
  if (auto* link = find(reversed(v.flow))) {
    link->answered(v);
  }
}

void outbound_links::authorised(outbound_stream& stream, const action::flow_authorised& a) {
  if (auto* link = find(a.flow); link != nullptr && link->uses(stream.id())) {
    link->authorised(stream);
  }
}

void outbound_links::refused(outbound_stream& stream, const action::flow_refused& r) {
  if (auto* link = find(r.flow); link != nullptr && link->uses(stream.id())) {
    link->refused();
  }
}

void outbound_links::ended(outbound_stream& stream, stream_ending ending) {
  std::vector<outbound_link*> served;
  for (const auto& [flow, link] : links_) {
    if (link->uses(stream.id())) {
      served.push_back(link.get());
    }
  }
  for (auto* link : served) {
    auto its_own = ending;
    std::erase_if(its_own.unwritten, [link](const stanza_ref& s) { return flow_of(*s) != link->flow(); });
    link->lost(stream.id(), std::move(its_own));
  }
}

std::optional<outbound_links::shared> outbound_links::sharable(const domain_flow& flow, const dns::target& target,
                                                               const dns::address& address,
                                                               const endpoint_facts& facts) {
  std::vector<std::uint64_t> seen;  // several links may share one
  for (const auto& [other, link] : links_) {
    auto* stream = other.sender == flow.sender && link->stream() != 0
                       ? static_cast<outbound_stream*>(with_.loop.find(link->stream()))
                       : nullptr;
    if (stream == nullptr || !stream->takes_other_targets()) {
      continue;
    }
    const auto& there = stream->called();
    if (there.address != address || there.target.port != target.port || there.target.direct_tls != target.direct_tls) {
      continue;
    }
    if (std::ranges::find(seen, link->stream()) != seen.end()) {
      continue;
    }
    if (seen.size() == examined_at_most) {
      break;
    }
    seen.push_back(link->stream());
    const auto judged =
        stream->peer().examine(flow.target, facts, with_.host.policy(flow.target).trust, with_.host.authorities());
    if (const auto verdict = trust::decide(judged.evidence); verdict.accepted()) {
      return shared{.stream = *stream, .by = verdict.by()};
    }
  }
  return std::nullopt;
}

}  // namespace comity::connection
