"""What clients ask for when they log in, as Profanity, Gajim, Conversations, Pidgin and QXmpp were seen to: each request
gets one answer at once, whether it can be served or not. A client that waits for one is stuck at "connecting…"."""

import unittest

from harness import SystemTest
from xmpp_client import error_condition

PUBSUB = "http://jabber.org/protocol/pubsub"
DISCO_INFO = "<query xmlns='http://jabber.org/protocol/disco#info'%s/>"
DISCO_ITEMS = "<query xmlns='http://jabber.org/protocol/disco#items'%s/>"
BOOKMARKS = "<query xmlns='jabber:iq:private'><storage xmlns='storage:bookmarks'/></query>"
DEVICES = f"<pubsub xmlns='{PUBSUB}'><items node='eu.siacs.conversations.axolotl.devicelist'/></pubsub>"

SERVER, SELF, FRIEND, NOBODY = "localhost", "alice@localhost", "bob@localhost", "nobody@localhost"
ABSENT = "service-unavailable"

# (type, to, payload, the condition of the error; None for a result)
REQUESTS = (
    ("get", None, "<query xmlns='jabber:iq:roster'/>", None),
    ("get", None, "<query xmlns='jabber:iq:roster' ver=''/>", None),
    ("get", SELF, "<query xmlns='jabber:iq:roster'/>", None),
    ("get", None, "<query xmlns='jabber:iq:roster'><annotate xmlns='urn:xmpp:mix:roster:0'/></query>", None),
    ("set", None, "<session xmlns='urn:ietf:params:xml:ns:xmpp-session'/>", None),
    ("set", SERVER, "<session xmlns='urn:ietf:params:xml:ns:xmpp-session'/>", None),
    ("get", None, DISCO_INFO % "", None),
    ("get", SERVER, DISCO_INFO % "", None),
    ("get", SELF, DISCO_INFO % "", None),
    ("get", SERVER, DISCO_INFO % " node='urn:x'", "item-not-found"),
    ("get", SERVER, DISCO_ITEMS % "", None),
    ("get", SELF, DISCO_ITEMS % "", None),
    ("get", SERVER, DISCO_ITEMS % " node='http://jabber.org/protocol/commands'", "item-not-found"),
    ("get", None, "<ping xmlns='urn:xmpp:ping'/>", None),
    ("get", SERVER, "<ping xmlns='urn:xmpp:ping'/>", None),
    ("get", SERVER, "<query xmlns='jabber:iq:version'/>", None),
    ("get", SERVER, "<time xmlns='urn:xmpp:time'/>", None),
    ("get", SERVER, "<query xmlns='jabber:iq:last'/>", None),
    ("get", None, "<vCard xmlns='vcard-temp'/>", "item-not-found"),
    ("get", FRIEND, "<vCard xmlns='vcard-temp'/>", ABSENT),
    ("set", None, "<enable xmlns='urn:xmpp:carbons:2'/>", None),
    ("get", None, "<enable xmlns='urn:xmpp:carbons:2'/>", ABSENT),
    ("set", FRIEND, "<enable xmlns='urn:xmpp:carbons:2'/>", "not-allowed"),
    ("get", None, "<blocklist xmlns='urn:xmpp:blocking'/>", None),
    ("get", FRIEND, "<blocklist xmlns='urn:xmpp:blocking'/>", ABSENT),
    ("get", SERVER, "<blocklist xmlns='urn:xmpp:blocking'/>", ABSENT),
    ("set", None, "<block xmlns='urn:xmpp:blocking'><item jid='mallory@localhost'/></block>", None),
    ("set", None, "<block xmlns='urn:xmpp:blocking'/>", "bad-request"),
    ("set", None, "<unblock xmlns='urn:xmpp:blocking'><item jid='mallory@localhost'/></unblock>", None),
    ("get", None, "<query xmlns='jabber:iq:privacy'/>", ABSENT),
    ("get", None, BOOKMARKS, ABSENT),
    ("set", None, BOOKMARKS, ABSENT),
    ("get", None, DEVICES, ABSENT),
    ("get", SELF, DEVICES, ABSENT),
    ("get", FRIEND, DEVICES, ABSENT),
    ("get", NOBODY, DEVICES, ABSENT),
    ("set", None, f"<pubsub xmlns='{PUBSUB}'><publish node='urn:xmpp:avatar:metadata'><item/></publish></pubsub>", ABSENT),
    ("set", None, "<query xmlns='urn:xmpp:mam:2' queryid='1'/>", ABSENT),
    ("set", SELF, "<query xmlns='urn:xmpp:mam:2' queryid='1'/>", ABSENT),
    ("get", None, "<prefs xmlns='urn:xmpp:mam:2'/>", ABSENT),
    ("set", None, "<enable xmlns='urn:xmpp:push:0' jid='push.example.org' node='1'/>", ABSENT),
    ("get", SERVER, "<services xmlns='urn:xmpp:extdisco:2'/>", ABSENT),
    ("get", SERVER, "<request xmlns='urn:xmpp:http:upload:0' filename='a.png' size='1'/>", ABSENT),
    ("get", SERVER, "<query xmlns='jabber:iq:register'/>", ABSENT),
    ("get", SERVER, "<query xmlns='jabber:iq:search'/>", ABSENT),
    ("get", None, "<query xmlns='jabber:iq:auth'><username>alice</username></query>", ABSENT),
)


class ClientRequests(SystemTest):
    options = {"hosts": (SERVER,), "users": ("alice", "bob")}

    def test_each_gets_one_answer(self):  # THREATS F10, RFC 6120 §8.2.3, §8.4
        with self.server.client("alice") as alice:
            alice.login()
            alice.presence()
            for kind, to, payload, condition in REQUESTS:
                with self.subTest(to=to, payload=payload):
                    answer = alice.iq(kind, payload, to)
                    self.assertEqual(condition, error_condition(answer))
                    self.assertEqual(to, answer.get("from"))
            # Nothing answers twice, and what was asked for last comes last.
            alice.iq("get", "<ping xmlns='urn:xmpp:ping'/>")
            self.assertEqual([], [each for each in alice.pending() if each.get("type") in ("result", "error")])

    def test_what_quotes_negotiation_is_a_stanza(self):  # THREATS F10
        session = "<session xmlns='urn:ietf:params:xml:ns:xmpp-session'/>"
        bind = "<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/>"
        with self.server.login("alice") as alice, self.server.login("bob") as bob:
            alice.presence(bob.jid)  # so that bob may ask this resource
            bob.wait_for(lambda each: each.get("from") == alice.jid)
            for payload in (session, bind):
                for kind in ("get", "set"):
                    with self.subTest(kind=kind, payload=payload):
                        bob.send(f"<iq type='{kind}' id='x' to='{alice.jid}'>{payload}</iq>")
                        asked = alice.wait_for(lambda each: each.get("id") == "x")
                        self.assertEqual((kind, bob.jid), (asked.get("type"), asked.get("from")))
                        alice.send(f"<iq type='error' id='x' to='{bob.jid}'>{payload}<error type='cancel'>"
                                   "<service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>")
                        self.assertEqual(ABSENT, error_condition(bob.wait_for(lambda each: each.get("id") == "x")))
                # To the server itself, a request of another type is one that it does not know.
                self.assertEqual(ABSENT, error_condition(alice.iq("get", payload)))
            self.assertEqual("result", alice.iq("set", session).get("type"))
            self.assertEqual("not-allowed", error_condition(alice.iq("set", bind)))  # THREATS C7


if __name__ == "__main__":
    unittest.main(verbosity=2)
