// qxmpp_client.cpp: QXmpp, driven by lines. Roster and presence on login are QXmpp's own; so is the coming back after a
// failed socket, but where the server closes the stream it is left to the program.
#include <QXmppClient.h>
#include <QXmppConfiguration.h>
#include <QXmppDiscoveryIq.h>
#include <QXmppDiscoveryManager.h>
#include <QXmppLogger.h>
#include <QXmppMessage.h>
#include <QXmppPresence.h>
#include <QXmppRosterManager.h>

#include <QCoreApplication>
#include <QDateTime>
#include <QSocketNotifier>
#include <QSslCertificate>
#include <QTimer>
#include <string>

#include "tests/system/clients/lines.h"

namespace {

// Every field by value, since lines_say wants them to live while it writes.
template <class... Fields>
void say(const char* name, const Fields&... fields) {
  lines_say(name, fields.toUtf8().toStdString().c_str()..., static_cast<char*>(nullptr));
}

class driven {
public:
  driven() {
    auto* const log = new QXmppLogger{&client_};
    log->setLoggingType(QXmppLogger::SignalLogging);
    QObject::connect(log, &QXmppLogger::message, [](QXmppLogger::MessageType, const QString& text) {
      fprintf(stderr, "%s\n", text.toUtf8().constData());
    });
    client_.setLogger(log);
    QObject::connect(&client_, &QXmppClient::connected, [this] {
      been_online_ = online_ = true;
      socket_failed_ = false;
      say("online", client_.configuration().jid());
    });
    QObject::connect(&client_, &QXmppClient::disconnected, [this] {
      ended(QString{});
      if (been_online_ && !socket_failed_ && client_.configuration().autoReconnectionEnabled()) {
        QTimer::singleShot(1000, &client_, [this] { client_.connectToServer(client_.configuration()); });
      }
    });
    QObject::connect(&client_, &QXmppClient::error, [this](QXmppClient::Error error) {
      socket_failed_ = socket_failed_ || error == QXmppClient::SocketError;
      ended(QStringLiteral("error %1, stream error %2, %3")
                .arg(int(error))
                .arg(int(client_.xmppStreamError()))
                .arg(client_.socketErrorString()));
    });
    QObject::connect(&client_, &QXmppClient::messageReceived, [](const QXmppMessage& message) {
      if (!message.body().isEmpty()) {
        say(message.type() == QXmppMessage::Error ? "bounced" : "message", message.from(), message.body(),
            message.stamp().toUTC().toString(Qt::ISODate));
      }
    });
    QObject::connect(&client_, &QXmppClient::presenceReceived, [](const QXmppPresence& presence) {
      if (presence.type() == QXmppPresence::Available || presence.type() == QXmppPresence::Unavailable) {
        say("presence", presence.from(),
            presence.type() == QXmppPresence::Available ? QStringLiteral("available") : QStringLiteral("unavailable"),
            presence.statusText());
      }
    });
    roster_ = client_.findExtension<QXmppRosterManager>();
    QObject::connect(roster_, &QXmppRosterManager::subscriptionReceived,
                     [](const QString& from) { say("asked", from); });
    disco_ = client_.findExtension<QXmppDiscoveryManager>();
    QObject::connect(disco_, &QXmppDiscoveryManager::infoReceived, [](const QXmppDiscoveryIq& info) {
      for (const auto& feature : info.features()) {
        say("feature", feature);
      }
      say("features");
    });
  }

  void read() {
    command next;
    while (lines_next(&in_, &next)) {
      obey(next);
    }
    if (in_.ended) {
      QCoreApplication::quit();
    }
  }

private:
  static QString text(const command& of, int field) { return QString::fromUtf8(of.field[field]); }

  void obey(const command& of) {
    const std::string name{of.field[0]};
    if (name == "connect") {
      QXmppConfiguration to;
      to.setStreamSecurityMode(text(of, 1) == "direct" ? QXmppConfiguration::LegacySSL
                                                       : QXmppConfiguration::TLSRequired);
      to.setHost(text(of, 2));
      to.setPort(text(of, 3).toInt());
      to.setJid(text(of, 4));
      to.setPassword(text(of, 5));
      to.setCaCertificates(QSslCertificate::fromPath(text(of, 6)));
      client_.connectToServer(to);
    } else if (name == "presence") {
      QXmppPresence presence;
      presence.setStatusText(text(of, 1));
      client_.setClientPresence(presence);
    } else if (name == "subscribe") {
      roster_->subscribe(text(of, 1));
    } else if (name == "accept") {
      roster_->acceptSubscription(text(of, 1));
    } else if (name == "remove") {
      roster_->removeItem(text(of, 1));
    } else if (name == "contacts") {
      const auto contacts = roster_->getRosterBareJids();
      for (const auto& contact : contacts) {
        say("contact", contact, subscription(roster_->getRosterEntry(contact).subscriptionType()));
      }
      say("contacts");
    } else if (name == "features") {
      disco_->requestInfo(text(of, 1));
    } else if (name == "send") {
      client_.sendMessage(text(of, 1), text(of, 2));
    } else if (name == "quit") {
      client_.configuration().setAutoReconnectionEnabled(false);
      been_online_ ? client_.disconnectFromServer() : say("offline");
    }
  }

  static QString subscription(QXmppRosterIq::Item::SubscriptionType type) {
    switch (type) {
      case QXmppRosterIq::Item::None:
        return QStringLiteral("none");
      case QXmppRosterIq::Item::From:
        return QStringLiteral("from");
      case QXmppRosterIq::Item::To:
        return QStringLiteral("to");
      case QXmppRosterIq::Item::Both:
        return QStringLiteral("both");
      default:
        return QStringLiteral("not set");
    }
  }

  // A connection was lost, or never was.
  void ended(const QString& why) {
    if (online_) {
      say("offline", why);
    } else if (!been_online_ && !failed_) {
      failed_ = true;
      client_.configuration().setAutoReconnectionEnabled(false);
      say("failed", why);
    }
    online_ = false;
  }

  lines in_{};
  QXmppClient client_;
  QXmppRosterManager* roster_ = nullptr;    // the client's
  QXmppDiscoveryManager* disco_ = nullptr;  // the client's
  bool online_ = false, been_online_ = false, failed_ = false, socket_failed_ = false;
};

}  // namespace

int main(int argc, char** argv) {
  QCoreApplication application{argc, argv};
  driven client;
  QSocketNotifier input{STDIN_FILENO, QSocketNotifier::Read};
  QObject::connect(&input, &QSocketNotifier::activated, [&] { client.read(); });
  return QCoreApplication::exec();
}
