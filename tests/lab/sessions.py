"""The users of a lab: each logged in once, all read together, and a ledger of what they sent each other.

The ledger knows every stanza by its id: what was delivered to whom, how often, and what came back as an error to whom.
At a scenario's end each must have been delivered or returned exactly once.
"""

import collections
import dataclasses
import itertools
import select
import ssl
import time

from harness import PASSWORD, PATIENCE
from software import PORTS
from xmpp_client import CLIENT, Client, StreamClosed, error_condition, local

PING = "urn:xmpp:ping"


@dataclasses.dataclass
class Sent:
    kind: str
    sender: str
    target: str
    error: str | None  # the condition that must come back in place of a delivery
    delivered: list = dataclasses.field(default_factory=list)
    returned: list = dataclasses.field(default_factory=list)

    def complete(self):
        return bool(self.delivered or self.returned)

    def fault(self, identifier):
        """What is wrong with what became of it; None if nothing is."""
        wanted = ([], [self.error]) if self.error else ([self.target], [])
        if (self.delivered, self.returned) == wanted:
            return None
        became = [f"delivered to {each}" for each in self.delivered] + [f"returned: {each}" for each in self.returned]
        return (f"{self.kind} {identifier} from {self.sender} to {self.target} was to be "
                f"{'returned: ' + self.error if self.error else 'delivered once'}; it was {', '.join(became) or 'lost'}")


class User:
    def __init__(self, jid, client):
        self.jid, self.client = jid, client
        self.presence = collections.deque()
        self.heard = collections.deque()  # messages from others than the lab's own users: (sender, body)
        self.answers = {}


def _any_certificate():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


class Sessions:
    """`host_of` gives the software.Host that serves a domain, `certificate_of` its certificate, DER, and `logins` are
    the settings of a scenario by JID."""

    def __init__(self, host_of, certificate_of, logins):
        self.host_of, self.certificate_of, self.logins = host_of, certificate_of, logins
        self.users = {}
        self.ledger = {}
        self.numbers = itertools.count(1)

    def user(self, jid):
        """Logs in at first use."""
        if jid not in self.users:
            local_part, _, domain = jid.partition("@")
            host, settings = self.host_of(domain), self.logins.get(jid, {})
            method = settings.get("method", "starttls")
            port = settings.get("port", PORTS["c2s" if method == "starttls" else "c2s_direct"])
            client = Client(host.namespace.addresses[0], port, domain, local_part, settings.get("password", PASSWORD),
                            method=method, context=_any_certificate(), alpn=settings.get("alpn", ("xmpp-client",)),
                            mechanism=settings.get("mechanism", host.mechanism), resource="lab", timeout=PATIENCE)
            with host.namespace.inside():
                client.connect()
            client.open_stream()
            if method == "starttls":
                client.start_tls()
            # What servers make of a certificate is what scenarios are about; a user knows the one of its own server.
            if client.socket.getpeercert(binary_form=True) != self.certificate_of(host, domain):
                raise AssertionError(f"{host.name} shows the client of {domain} another certificate")
            client.authenticate(client.mechanism)
            client.bind(client.resource)
            # Subscription answers come only to those who asked for their roster (RFC 6121 §2.2, §3.1.6).
            client.iq("get", "<query xmlns='jabber:iq:roster'/>")
            client.presence()
            self.users[jid] = User(jid, client)
        return self.users[jid]

    def forget(self, domain_served):
        """Drops the sessions of a host that was stopped; they log in again at their next use."""
        for jid in [each for each in self.users if domain_served(each.partition("@")[2])]:
            self.users.pop(jid).client.abort()

    def close(self):
        for each in self.users.values():
            each.client.close(timeout=2)
        self.users = {}

    def abort(self):
        for each in self.users.values():
            each.client.abort()
        self.users = {}

    # Reading

    def pump(self, seconds):
        """Reads for all until something came for one, at most this long."""
        waiting = {each.client.socket: each for each in self.users.values()}
        if not waiting:
            time.sleep(seconds)
            return
        ready = [one for one in waiting if isinstance(one, ssl.SSLSocket) and one.pending()]
        if not ready:
            ready = select.select(list(waiting), [], [], seconds)[0]
        for each in ready:
            self._read(waiting[each])

    def _read(self, user):
        try:
            while True:
                self._take(user, user.client.next(0.005))
        except TimeoutError:
            pass
        except StreamClosed as end:
            raise AssertionError(f"the stream of {user.jid} ended: {end}") from None

    def wait(self, condition, what, seconds=None):
        deadline = time.monotonic() + (PATIENCE if seconds is None else seconds)
        while not condition():
            left = deadline - time.monotonic()
            if left <= 0:
                raise AssertionError(f"not within the time: {what()}")
            self.pump(min(left, 0.05))

    def _take(self, user, element):
        identifier = element.get("id", "")
        sent = self.ledger.get(identifier)
        if local(element) == "presence":
            user.presence.append(element)
        elif element.get("type") == "error" and sent is not None:
            sent.returned.append(error_condition(element))
        elif local(element) == "message" and sent is not None:
            sent.delivered.append(user.jid)
        elif local(element) == "message" and (body := element.findtext(f"{{{CLIENT}}}body")):
            user.heard.append((element.get("from"), body))
        elif local(element) == "iq" and element.get("type") in ("get", "set"):
            user.client.send(f"<iq type='result' id='{identifier}' to='{element.get('from')}'/>")
        elif local(element) == "iq" and element.get("type") == "result" and sent is not None:
            sent.delivered.append(sent.target)  # only its answer shows a request's delivery
        elif local(element) == "iq":
            user.answers[identifier] = element

    # Sending

    def _entry(self, kind, sender, target, error):
        identifier = f"lab{next(self.numbers)}"
        self.ledger[identifier] = Sent(kind, sender, target, error)
        return identifier

    def message(self, sender, target, error=None):
        self.user(sender)
        if error is None:
            self.user(target)
        identifier = self._entry("message", sender, target, error)
        self.users[sender].client.message(target, f"{identifier} says hello", identifier=identifier)
        return identifier

    def ping(self, sender, target, error=None):
        """An IQ to the other's resource, or to a bare domain."""
        self.user(sender)
        if "@" in target and error is None:
            self.user(target)
        full = f"{target}/lab" if "@" in target else target
        identifier = self._entry("iq", sender, target, error)
        self.users[sender].client.send(f"<iq type='get' id='{identifier}' to='{full}'><ping xmlns='{PING}'/></iq>")
        return identifier

    def settle(self, identifiers, seconds):
        """Waits until each of these was delivered or returned, and complains about those that went wrong."""
        self.wait(lambda: all(self.ledger[each].complete() for each in identifiers),
                  lambda: "; ".join(filter(None, (self.ledger[each].fault(each) for each in identifiers))), seconds)
        self.judge(identifiers)

    def judge(self, identifiers=None):
        faults = [self.ledger[each].fault(each) for each in (self.ledger if identifiers is None else identifiers)]
        if any(faults):
            raise AssertionError("\n".join(filter(None, faults)))

    def subscribe(self, one, other, seconds):
        """Each asks for the other's presence, the other agrees, and both see each other come and go (RFC 6121 §3)."""
        a, b = self.user(one), self.user(other)
        for asking, asked in ((a, b), (b, a)):
            asking.client.presence(to=asked.jid, kind="subscribe")
            self._presence(asked, asking.jid, "subscribe", seconds)
            asked.client.presence(to=asking.jid, kind="subscribed")
            self._presence(asking, asked.jid, "subscribed", seconds)
            self._presence(asking, asked.jid, None, seconds)
        for shown, watching in ((a, b), (b, a)):
            watching.presence.clear()
            # An earlier presence may still be on its way.
            status = f"changed {next(self.numbers)}"
            shown.client.presence(content=f"<show>away</show><status>{status}</status>")
            self._presence(watching, shown.jid, None, seconds, status)
            shown.client.presence()

    def _presence(self, user, sender, kind, seconds, status=None):
        def fits(element):
            return (element.get("from", "").split("/")[0] == sender and element.get("type") == kind
                    and status in (None, element.findtext(f"{{{CLIENT}}}status")))
        self.wait(lambda: any(map(fits, user.presence)),
                  lambda: f"{user.jid} gets presence {kind or 'available'} {status or ''} from {sender}; it has "
                          f"{[(each.get('from'), each.get('type')) for each in user.presence]}", seconds)
        user.presence.remove(next(filter(fits, user.presence)))
