// tests/bench/load/main.cpp: comity-bench, which puts one load on a server and says what it cost.
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <csignal>
#include <cstdio>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>

#include "bench/load/scenarios.hpp"

namespace {

using namespace comity::bench;

void allow_many_files() {
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) == 0) {
    files.rlim_cur = files.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &files);
  }
}

void tell(const std::string& scenario, const findings& found, bool json) {
  if (json) {
    nlohmann::ordered_json all{{"scenario", scenario}};
    for (const auto& [name, number] : found) {
      all[name] = number;
    }
    std::puts(all.dump().c_str());
    return;
  }
  for (const auto& [name, number] : found) {
    std::printf("%-28s %.6g\n", name.c_str(), number);
  }
}

}  // namespace

int main(int count, char** words) {
  std::signal(SIGPIPE, SIG_IGN);
  allow_many_files();
  CLI::App app{"Puts one load on an XMPP server, by direct TLS, and says what it cost the server."};
  app.require_subcommand(1);
  surroundings around;
  bool json = false;
  app.add_option("--pid", around.processes, "the server's processes, whose time and memory is measured")->required();
  app.add_option("--host", around.where.host, "the server's IPv4 address")->capture_default_str();
  app.add_option("--port", around.where.port, "its port for clients by direct TLS")->capture_default_str();
  app.add_option("--domain", around.where.domain, "its domain; the accounts are u0, u1, …")->capture_default_str();
  app.add_option("--password", around.where.password, "of all accounts")->capture_default_str();
  const std::map<std::string, mechanism> mechanisms{{"scram", mechanism::scram}, {"plain", mechanism::plain}};
  app.add_option("--mechanism", around.where.login, "scram (SCRAM-SHA-1) or plain")
      ->transform(CLI::CheckedTransformer(mechanisms));
  app.add_flag("--floor", around.where.floor, "it is comity-bench-floor, which speaks no XMPP");
  app.add_option("--allocations", around.allocations, "the file in which comity-bench-allocations counts");
  app.add_flag("--progress", around.progress, "say on standard error how far it is");
  app.add_flag("--json", json, "one JSON object in place of text");

  login_load login;
  auto* logins_wanted = app.add_subcommand("login", "clients log in and leave");
  logins_wanted->add_option("--count", login.count)->capture_default_str();
  logins_wanted->add_option("--parallel", login.parallel)->capture_default_str();
  logins_wanted->add_option("--users", login.users, "how many accounts there are")->capture_default_str();

  handshake_load handshake;
  auto* handshakes_wanted = app.add_subcommand("handshake", "TLS handshakes alone");
  handshakes_wanted->add_option("--count", handshake.count)->capture_default_str();
  handshakes_wanted->add_option("--parallel", handshake.parallel)->capture_default_str();
  handshakes_wanted->add_flag("--resume", handshake.resume, "with the ticket of an earlier one");

  idle_load held;
  auto* idle_wanted = app.add_subcommand("idle", "sessions that say nothing");
  idle_wanted
      ->add_option("--sessions", held.sessions, "how many; several rising numbers, with commas, are held in turn")
      ->delimiter(',')
      ->capture_default_str();
  idle_wanted->add_option("--parallel", held.parallel)->capture_default_str();

  herd_load returning;
  auto* herd_wanted = app.add_subcommand("herd", "sessions that the server ends at once, and that all come back");
  herd_wanted->add_option("--count", returning.sessions)->capture_default_str();
  herd_wanted->add_option("--sessions", around.where.sessions_a_user, "of each account")->capture_default_str();

  message_load message;
  double seconds = 5;
  auto* messages_wanted = app.add_subcommand("messages", "one-to-one messages in pairs of clients");
  messages_wanted->add_option("--pairs", message.pairs)->capture_default_str();
  messages_wanted->add_option("--window", message.window, "messages of each client under way")->capture_default_str();
  messages_wanted->add_option("--rate", message.rate, "messages a second in all; 0: as many as go");
  messages_wanted->add_flag("--shed", message.shed,
                            "at that rate: what a connection does not take at once is not sent");
  messages_wanted->add_option("--send-buffer", around.where.send_buffer, "bytes that the kernel holds for a client");
  messages_wanted->add_option("--seconds", seconds)->capture_default_str();
  messages_wanted->add_option("--body", message.body, "bytes of text")->capture_default_str();
  messages_wanted->add_option("--first", message.first, "the first client's number")->capture_default_str();
  messages_wanted->add_option("--acknowledged", message.acknowledged,
                              "stream management: ask after each so many messages; 0: none");
  messages_wanted->add_flag("--wait", message.wait, "begin when a line is read, after \"ready\" was said");
  std::uint16_t peer_port = 0;
  std::string peer_host, peer_domain;
  messages_wanted->add_option("--peer-host", peer_host, "the receiving server's address, where it is another");
  messages_wanted->add_option("--peer-port", peer_port);
  messages_wanted->add_option("--peer-domain", peer_domain);

  fan_out_load fan;
  auto* fan_wanted = app.add_subcommand("fan-out", "presence to many online contacts");
  fan_wanted->add_option("--contacts", fan.contacts, "how many sessions")->capture_default_str();
  fan_wanted->add_option("--sessions", around.where.sessions_a_user, "of each contact")->capture_default_str();
  fan_wanted->add_option("--rounds", fan.rounds)->capture_default_str();

  domain_load far;
  auto* domains_wanted = app.add_subcommand("domains", "the first stanza to each of many other domains");
  domains_wanted->add_option("--count", far.count)->capture_default_str();
  domains_wanted->add_option("--first", far.first, "the first one's number")->capture_default_str();
  domains_wanted->add_option("--parallel", far.parallel)->capture_default_str();
  domains_wanted->add_option("--peer-domain", peer_domain, "the domain above them")->required();

  CLI11_PARSE(app, count, words);

  message.time = std::chrono::milliseconds{static_cast<long>(seconds * 1e3)};
  around.peers = around.where;
  if (!peer_domain.empty()) {
    around.peers.host = peer_host.empty() ? around.where.host : peer_host;
    around.peers.port = peer_port;
    around.peers.domain = peer_domain;
  }
  const std::vector<std::pair<CLI::App*, std::function<findings()>>> all{
      {logins_wanted, [&] { return logins(around, login); }},
      {handshakes_wanted, [&] { return handshakes(around, handshake); }},
      {idle_wanted, [&] { return idle(around, held); }},
      {herd_wanted, [&] { return herd(around, returning); }},
      {messages_wanted, [&] { return messages(around, message); }},
      {fan_wanted, [&] { return fan_out(around, fan); }},
      {domains_wanted, [&] { return domains(around, far); }}};
  try {
    for (const auto& [wanted, run] : all) {
      if (wanted->parsed()) {
        const auto found = run();
        tell(wanted->get_name(), found, json);
        // No message may be lost in any run.
        const bool failed = std::ranges::any_of(found, [](const auto& each) {
          return (each.first == "lost" || each.first == "unacknowledged" || each.first == "out_of_order") &&
                 each.second != 0;
        });
        return failed ? 1 : 0;
      }
    }
  } catch (const std::exception& e) {
    std::fprintf(stderr, "comity-bench: %s\n", e.what());
  }
  return 1;
}
