// gloox_client.cpp: gloox, driven by lines. Roster and presence on login are gloox's own; it leaves the coming back
// after a lost connection to the program.
#include <gloox/client.h>
#include <gloox/connectionlistener.h>
#include <gloox/connectiontcpclient.h>
#include <gloox/connectiontls.h>
#include <gloox/delayeddelivery.h>
#include <gloox/disco.h>
#include <gloox/discohandler.h>
#include <gloox/loghandler.h>
#include <gloox/message.h>
#include <gloox/messagehandler.h>
#include <gloox/presencehandler.h>
#include <gloox/rosterlistener.h>
#include <gloox/rostermanager.h>

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "tests/system/clients/lines.h"

namespace {

using clock_type = std::chrono::steady_clock;

template <class... Fields>
void say(const char* name, const Fields&... fields) {
  lines_say(name, fields.c_str()..., static_cast<char*>(nullptr));
}

// gloox keeps the authorities it is told of to itself, so its TLS gets them a second time; and for direct TLS it leaves
// the judgement over the certificate to the program, and would prove it for the address it connects to.
class direct_tls final : public gloox::ConnectionTLS {
public:
  direct_tls(gloox::ConnectionDataHandler* above, gloox::ConnectionBase* below, const gloox::LogSink& log,
             std::string domain, gloox::StringList authorities)
      : ConnectionTLS{above, below, log}, domain_{std::move(domain)}, authorities_{std::move(authorities)} {}

  void handleConnect(const gloox::ConnectionBase* connection) override {
    m_tls->setCACerts(authorities_);
    ConnectionTLS::handleConnect(connection);
  }

  void handleHandshakeResult(const gloox::TLSBase* base, bool success, gloox::CertInfo& certificate) override {
    ConnectionTLS::handleHandshakeResult(base, success && certificate.status == gloox::CertOk, certificate);
  }

protected:
  gloox::TLSBase* getTLSBase(gloox::TLSHandler* handler, const std::string) override {
    return new gloox::TLSDefault{handler, domain_, gloox::TLSDefault::VerifyingClient};
  }

private:
  std::string domain_;
  gloox::StringList authorities_;
};

struct target {
  bool direct;
  std::string host, port, jid, password, authority;
};

class driven final : gloox::ConnectionListener,
                     gloox::MessageHandler,
                     gloox::RosterListener,
                     gloox::DiscoHandler,
                     gloox::LogHandler {
public:
  void run() {
    while (!in_.ended) {
      command next;
      while (lines_next(&in_, &next)) {
        obey(next);
      }
      if (client_ && lost_) {
        client_.reset();
      }
      if (to_ && !client_ && clock_type::now() >= again_) {
        connect_now();
      }
      if (client_) {
        client_->recv(20'000);
      } else {
        std::this_thread::sleep_for(std::chrono::milliseconds{20});
      }
    }
  }

private:
  void obey(const command& of) {
    const std::string name{of.field[0]};
    if (name == "connect") {
      to_ =
          target{std::string{of.field[1]} == "direct", of.field[2], of.field[3], of.field[4], of.field[5], of.field[6]};
    } else if (name == "quit") {
      to_.reset();
      online_ ? client_->disconnect() : say("offline");
    } else if (!online_) {
      return;
    } else if (name == "presence") {
      client_->setPresence(gloox::Presence::Available, 0, of.field[1]);
    } else if (name == "subscribe") {
      client_->rosterManager()->subscribe(gloox::JID{of.field[1]});
    } else if (name == "accept") {
      client_->rosterManager()->ackSubscriptionRequest(gloox::JID{of.field[1]}, true);
    } else if (name == "remove") {
      client_->rosterManager()->remove(gloox::JID{of.field[1]});
    } else if (name == "contacts") {
      for (const auto& [contact, item] : *client_->rosterManager()->roster()) {
        say("contact", contact, subscription(item->subscription()));
      }
      say("contacts");
    } else if (name == "features") {
      client_->disco()->getDiscoInfo(gloox::JID{of.field[1]}, gloox::EmptyString, this, 0);
    } else if (name == "send") {
      client_->send(gloox::Message{gloox::Message::Chat, gloox::JID{of.field[1]}, of.field[2]});
    }
  }

  // The roster as a client sees it: what waits for an answer is not part of the subscription.
  static std::string subscription(gloox::SubscriptionType type) {
    switch (type) {
      case gloox::S10nFrom:
      case gloox::S10nFromOut:
        return "from";
      case gloox::S10nTo:
      case gloox::S10nToIn:
        return "to";
      case gloox::S10nBoth:
        return "both";
      default:
        return "none";
    }
  }

  void connect_now() {
    const gloox::JID jid{to_->jid};
    lost_ = false;
    client_ = std::make_unique<gloox::Client>(jid, to_->password);
    client_->logInstance().registerLogHandler(gloox::LogLevelDebug, gloox::LogAreaAll, this);
    client_->registerConnectionListener(this);
    client_->registerMessageHandler(this);
    client_->rosterManager()->registerRosterListener(this, false);
    client_->registerStanzaExtension(new gloox::DelayedDelivery);
    const auto& log = client_->logInstance();
    const int port = std::stoi(to_->port);
    const gloox::StringList authorities{to_->authority};
    if (to_->direct) {
      auto* const tcp = new gloox::ConnectionTCPClient{log, to_->host, port};
      client_->setConnectionImpl(new direct_tls{client_.get(), tcp, log, jid.server(), authorities});
      client_->setTls(gloox::TLSDisabled);  // for there is no STARTTLS on top of it
    } else {
      client_->setConnectionImpl(new gloox::ConnectionTCPClient{client_.get(), log, to_->host, port});
      client_->setTls(gloox::TLSRequired);
      auto* const tls = new gloox::TLSDefault{client_.get(), jid.server()};
      tls->init(gloox::EmptyString, gloox::EmptyString, authorities);
      tls->setCACerts(authorities);
      client_->setEncryptionImpl(tls);
    }
    if (!client_->connect(false) && !lost_) {
      onDisconnect(gloox::ConnConnectionRefused);
    }
  }

  void onConnect() override {
    online_ = been_online_ = true;
    say("online", client_->jid().full());
  }

  bool onTLSConnect(const gloox::CertInfo& info) override { return info.status == gloox::CertOk; }

  void onDisconnect(gloox::ConnectionError error) override {
    const auto why = "error " + std::to_string(error) + ", stream error " + std::to_string(client_->streamError()) +
                     ", authentication error " + std::to_string(client_->authError());
    if (online_) {
      say("offline", why);
    } else if (!been_online_) {
      to_.reset();
      say("failed", why);
    }
    online_ = false;
    lost_ = true;
    again_ = clock_type::now() + std::chrono::seconds{1};
  }

  void handleMessage(const gloox::Message& message, gloox::MessageSession*) override {
    if (!message.body().empty()) {
      const auto* const delay = message.when();
      say(message.subtype() == gloox::Message::Error ? "bounced" : "message", message.from().full(), message.body(),
          delay ? delay->stamp() : std::string{});
    }
  }

  void say_presence(const gloox::JID& from, const std::string& resource, gloox::Presence::PresenceType type,
                    const std::string& status) {
    gloox::JID full{from};
    full.setResource(resource);
    if (type <= gloox::Presence::Unavailable) {
      say("presence", full.full(), std::string{type == gloox::Presence::Unavailable ? "unavailable" : "available"},
          status);
    }
  }
  void handleRosterPresence(const gloox::RosterItem& item, const std::string& resource,
                            gloox::Presence::PresenceType type, const std::string& status) override {
    say_presence(item.jidJID(), resource, type, status);
  }
  void handleSelfPresence(const gloox::RosterItem& item, const std::string& resource,
                          gloox::Presence::PresenceType type, const std::string& status) override {
    say_presence(item.jidJID(), resource, type, status);
  }
  bool handleSubscriptionRequest(const gloox::JID& from, const std::string&) override {
    say("asked", from.bare());
    return false;
  }
  bool handleUnsubscriptionRequest(const gloox::JID&, const std::string&) override { return false; }
  void handleNonrosterPresence(const gloox::Presence& presence) override {
    say_presence(presence.from(), presence.from().resource(), presence.presence(), presence.status());
  }
  void handleRosterError(const gloox::IQ&) override { say("failed", std::string{"the roster was refused"}); }
  void handleItemAdded(const gloox::JID&) override {}
  void handleItemSubscribed(const gloox::JID&) override {}
  void handleItemRemoved(const gloox::JID&) override {}
  void handleItemUpdated(const gloox::JID&) override {}
  void handleItemUnsubscribed(const gloox::JID&) override {}
  void handleRoster(const gloox::Roster&) override {}

  void handleDiscoInfo(const gloox::JID&, const gloox::Disco::Info& info, int) override {
    for (const auto& feature : info.features()) {
      say("feature", feature);
    }
    say("features");
  }
  void handleDiscoItems(const gloox::JID&, const gloox::Disco::Items&, int) override {}
  void handleDiscoError(const gloox::JID&, const gloox::Error*, int) override { say("features"); }

  // What it does on the wire goes to stderr, for who reads why a test failed.
  void handleLog(gloox::LogLevel, gloox::LogArea area, const std::string& text) override {
    fprintf(stderr, "%#x %s\n", unsigned(area), text.c_str());
  }

  lines in_{};
  std::optional<target> to_;  // whom to be connected to: from "connect" to "quit"
  std::unique_ptr<gloox::Client> client_;
  bool online_ = false, been_online_ = false, lost_ = false;
  clock_type::time_point again_;
};

}  // namespace

int main() {
  driven client;
  client.run();
}
