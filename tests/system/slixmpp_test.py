"""slixmpp, a client that others wrote, does what its users do: log in by either method, find its roster, see and be
seen, chat, lose its connection, and get what came meanwhile."""

import asyncio
import datetime
import logging
import ssl
import unittest

import slixmpp
from slixmpp.exceptions import IqError

from harness import PASSWORD, PATIENCE, SystemTest, authority

METHODS = ("starttls", "direct")
PLUGINS = ("xep_0012", "xep_0030", "xep_0054", "xep_0092", "xep_0191", "xep_0199", "xep_0202", "xep_0203",
           "xep_0280", "xep_0352")


class Slixmpp(slixmpp.ClientXMPP):
    """A client that queues what happens to it. The events' names are slixmpp's."""

    def __init__(self, server, user, method, resource="", mechanism=None, tls_1_2=False):
        jid = f"{user}@{server.domain}" + (f"/{resource}" if resource else "")
        # slixmpp 1.8 binds by "tls-unique" alone, in TLS 1.3 too, which has none. And in a mechanism without binding it
        # says "y": it could bind, and takes the server for one that cannot. RFC 5802 §6: a server that can must refuse
        # that. So it is kept from the thought of binding, except where a test says otherwise.
        mechanism = mechanism or "SCRAM-SHA-512"
        options = {} if mechanism == "any" else {"use_mech": mechanism}
        if mechanism != "any" and not mechanism.endswith("-PLUS"):
            options["sasl_callback"] = self.credentials_without_binding
        super().__init__(jid, PASSWORD, plugin_config={"feature_mechanisms": options})
        if tls_1_2:
            self.ssl_context.maximum_version = ssl.TLSVersion.TLSv1_2
        self.ca_certs = authority().certificate
        self.default_domain = server.domain
        self.port = server.direct_port if method == "direct" else server.starttls_port
        self.method = method
        self.happened = asyncio.Queue()
        self.missed = []
        for name in PLUGINS:
            self.register_plugin(name)
        for name in ("session_start", "disconnected", "failed_all_auth", "message", "presence_subscribe",
                     "presence_subscribed", "presence_available", "presence_unavailable", "changed_status",
                     "stream_error", "roster_update", "carbon_received", "carbon_sent", "blocked", "unblocked", "message_error"):
            self.add_event_handler(name, lambda data, name=name: self.happened.put_nowait((name, data)))
        # Who answers subscription requests is the test.
        self.roster.auto_authorize = None
        self.roster.auto_subscribe = False

    def credentials_without_binding(self, required, optional):
        return self["feature_mechanisms"]._default_credentials(required, optional - {"channel_binding"})

    async def log_in(self):
        self.connect(("127.0.0.1", self.port), use_ssl=self.method == "direct")
        await self.comes("session_start")
        return self

    async def comes(self, name, what=lambda data: True):
        """The data of the next event of that name for which `what` holds; others stay for later calls."""
        for index, (other, data) in enumerate(self.missed):
            if other == name and what(data):
                del self.missed[index]
                return data
        async with asyncio.timeout(PATIENCE):
            while True:
                other, data = await self.happened.get()
                if other == name and what(data):
                    return data
                if other == "failed_all_auth":
                    raise AssertionError(f"{self.boundjid} was not let in")
                self.missed.append((other, data))

    async def leave(self):
        gone = self.disconnected
        self.disconnect()
        async with asyncio.timeout(PATIENCE):
            await gone


class SlixmppTest(SystemTest, unittest.IsolatedAsyncioTestCase):
    options = {"users": ["alice", "bob", "carol", "dave"]}

    async def log_in(self, user, method="starttls", **options):
        client = Slixmpp(self.server, user, method, **options)
        self.addAsyncCleanup(self.end, client)
        return await client.log_in()

    @staticmethod
    async def end(client):
        if client.is_connected():
            await client.leave()
        if client._run_out_filters is not None:
            client._run_out_filters.cancel()

    async def available(self, user, method="starttls", **options):
        client = await self.log_in(user, method, **options)
        client.send_presence()
        await client.comes("presence_available", lambda each: each["from"] == client.boundjid)
        return client

    async def test_mechanisms(self):  # RFC 5802, RFC 7677
        for method in METHODS:
            for mechanism in ("SCRAM-SHA-1", "SCRAM-SHA-256", "SCRAM-SHA-512", "PLAIN"):
                client = await self.log_in("alice", method, mechanism=mechanism)
                self.assertEqual(client["feature_mechanisms"].mech.name, mechanism)
                row, = self.server.ctl_json("connections")
                self.assertEqual((row["authentication"], row["method"]),
                                 (mechanism, "direct_tls" if method == "direct" else "starttls"))
                await client.leave()

    async def test_mechanisms_with_channel_binding(self):  # RFC 5929 §3, RFC 5802 §6.1
        for method in METHODS:
            for mechanism in ("SCRAM-SHA-1-PLUS", "SCRAM-SHA-256-PLUS", "SCRAM-SHA-512-PLUS"):
                client = await self.log_in("alice", method, mechanism=mechanism, tls_1_2=True)
                row, = self.server.ctl_json("connections")
                self.assertEqual((row["authentication"], row["tls_version"]), (mechanism, "TLSv1.2"))
                await client.leave()

    async def test_left_to_itself_it_gets_in(self):
        # In TLS 1.3 by PLAIN in the end, having tried to bind by what there is not (see above).
        for method in METHODS:
            for tls_1_2, mechanism in ((True, "SCRAM-SHA-512-PLUS"), (False, "PLAIN")):
                client = await self.log_in("alice", method, mechanism="any", tls_1_2=tls_1_2)
                self.assertEqual(client["feature_mechanisms"].mech.name, mechanism)
                await client.leave()

    async def test_a_wrong_password(self):
        client = Slixmpp(self.server, "alice", "starttls")
        client.credentials["password"] = "wrong"
        client.connect(("127.0.0.1", client.port))
        with self.assertRaises(AssertionError):
            await client.comes("session_start")
        await self.end(client)

    async def befriend(self, one, other):
        """Subscriptions both ways, each asked for and granted."""
        await one.get_roster()
        await other.get_roster()
        for asks, grants in ((one, other), (other, one)):
            asks.send_presence(pto=grants.boundjid.bare, ptype="subscribe")
            await grants.comes("presence_subscribe", lambda each, asks=asks: each["from"] == asks.boundjid.bare)
            grants.send_presence(pto=asks.boundjid.bare, ptype="subscribed")
            await asks.comes("presence_subscribed", lambda each, grants=grants: each["from"] == grants.boundjid.bare)

    async def test_subscribe_and_chat(self):  # RFC 6121 §3, §4, §5
        alice = await self.available("alice", "starttls", resource="home")
        bob = await self.available("bob", "direct", resource="work")
        await self.befriend(alice, bob)
        await alice.comes("presence_available", lambda each: each["from"] == bob.boundjid)
        await bob.comes("presence_available", lambda each: each["from"] == alice.boundjid)
        for client, friend in ((alice, bob), (bob, alice)):
            await client.get_roster()
            self.assertEqual(client.client_roster[friend.boundjid.bare]["subscription"], "both")

        alice.send_presence(pshow="away", pstatus="at lunch", ppriority=3)
        seen = await bob.comes("changed_status", lambda each: each["status"] == "at lunch")
        self.assertEqual((seen["show"], seen["priority"]), ("away", 3))

        for sender, recipient in ((alice, bob), (bob, alice)):
            for number in range(20):
                sender.send_message(recipient.boundjid, f"{number} \u00fc <&> \U0001f600", mtype="chat")
            for number in range(20):
                message = await recipient.comes("message")
                self.assertEqual((message["from"], message["body"]),
                                 (sender.boundjid, f"{number} \u00fc <&> \U0001f600"))

        # Renamed and put into a group: the other resource of the account hears of it (RFC 6121 §2.1.6).
        other = await self.log_in("alice", "direct", resource="phone")
        await other.get_roster()
        await alice.update_roster(bob.boundjid.bare, name="Bob", groups=["Friends"])
        push = await other.comes("roster_update", lambda each: each["type"] == "set")
        item = push["roster"]["items"][bob.boundjid.bare]
        self.assertEqual((item["name"], item["groups"]), ("Bob", ["Friends"]))
        await other.leave()

        await alice.leave()
        await bob.comes("presence_unavailable", lambda each: each["from"] == alice.boundjid)
        # Removed: the subscriptions end both ways (RFC 6121 §2.5).
        await bob.del_roster_item(alice.boundjid.bare)
        alice = await self.log_in("alice", "direct")
        roster = await alice.get_roster()
        self.assertEqual(roster["roster"]["items"][bob.boundjid.bare]["subscription"], "none")

    async def test_carbons(self):  # XEP-0280
        alice = await self.available("alice", resource="home")
        phone = await self.available("alice", "direct", resource="phone")
        bob = await self.available("bob", "direct", resource="work")
        await phone["xep_0280"].enable(timeout=PATIENCE)
        bob.send_message(alice.boundjid, "come", mtype="chat")
        alice.send_message(bob.boundjid, "coming", mtype="chat")
        for event, copied, sender in (("received", "come", bob), ("sent", "coming", alice)):
            carbon = await phone.comes(f"carbon_{event}")
            message = carbon[f"carbon_{event}"]
            self.assertEqual((carbon["from"], message["from"], message["body"]),
                             (alice.boundjid.bare, sender.boundjid, copied))
        self.assertEqual((await alice.comes("message"))["body"], "come")
        await phone["xep_0280"].disable(timeout=PATIENCE)
        bob.send_message(alice.boundjid, "now alone", mtype="chat")
        self.assertEqual((await alice.comes("message"))["body"], "now alone")
        await phone["xep_0199"].ping(phone.boundjid.host, timeout=PATIENCE)
        self.assertNotIn("carbon_received", [name for name, data in phone.missed])

    async def test_blocking(self):  # XEP-0191
        alice = await self.available("alice", resource="home")
        bob = await self.available("bob", "direct", resource="work")
        await self.befriend(alice, bob)
        await bob.comes("presence_available", lambda each: each["from"] == alice.boundjid)
        self.assertIn("urn:xmpp:blocking", (await alice["xep_0030"].get_info(self.server.domain, timeout=PATIENCE))
                      ["disco_info"]["features"])
        blocking = alice["xep_0191"]
        self.assertEqual((await blocking.get_blocked(timeout=PATIENCE))["blocklist"]["items"], set())
        await blocking.block(bob.boundjid.bare, timeout=PATIENCE)
        pushed = await alice.comes("blocked")
        self.assertEqual(pushed["block"]["items"], {bob.boundjid.bare})
        await bob.comes("presence_unavailable", lambda each: each["from"] == alice.boundjid)
        bob.send_message(alice.boundjid, "hear me", mtype="chat")
        self.assertEqual((await bob.comes("message_error"))["error"]["condition"], "service-unavailable")
        alice.send_message(bob.boundjid, "never mind", mtype="chat")
        refused = await alice.comes("message_error")
        self.assertEqual((refused["error"]["condition"], refused["error"]["type"]), ("not-acceptable", "cancel"))
        self.assertIsNotNone(refused.xml.find(".//{urn:xmpp:blocking:errors}blocked"))
        # Killed, the server has not forgotten: what it acknowledged was on the disk.
        self.server.kill()
        for client in (alice, bob):
            await client.comes("disconnected")
        self.server.start()
        alice = await self.available("alice", resource="home")
        bob = await self.available("bob", "direct", resource="work")
        bob.send_message(alice.boundjid.bare, "and now", mtype="chat")
        await bob.comes("message_error")
        blocking = alice["xep_0191"]
        self.assertEqual((await blocking.get_blocked(timeout=PATIENCE))["blocklist"]["items"], {bob.boundjid.bare})
        await blocking.unblock(bob.boundjid.bare, timeout=PATIENCE)
        await alice.comes("unblocked")
        await bob.comes("presence_available", lambda each: each["from"] == alice.boundjid)
        bob.send_message(alice.boundjid, "at last", mtype="chat")
        self.assertEqual((await alice.comes("message"))["body"], "at last")
        self.assertNotIn("message", [name for name, data in bob.missed])
        await bob.del_roster_item(alice.boundjid.bare)

    async def test_a_user_who_does_not_look(self):  # XEP-0352
        alice = await self.available("alice", resource="phone")
        bob = await self.available("bob", "direct", resource="work")
        await self.befriend(alice, bob)
        await alice.comes("presence_available", lambda each: each["from"] == bob.boundjid)
        self.assertTrue(alice["xep_0352"].enabled)
        alice["xep_0352"].send_inactive()
        await alice["xep_0199"].ping(self.server.domain, timeout=PATIENCE)
        for show in ("away", "xa"):
            bob.send_presence(pshow=show, pstatus=f"now {show}")
        bob.send_message(alice.boundjid, "wake up", mtype="chat")
        self.assertEqual((await alice.comes("message"))["body"], "wake up")
        # Of what had waited she got the newest, before the message.
        await alice.comes("changed_status", lambda each: each["status"] == "now xa")
        self.assertNotIn("now away", [data["status"] for name, data in alice.missed if name == "changed_status"])
        bob.send_presence(pshow="dnd", pstatus="now dnd")
        await bob["xep_0199"].ping(self.server.domain, timeout=PATIENCE)
        self.assertNotIn("now dnd", [data["status"] for name, data in alice.missed if name == "changed_status"])
        alice["xep_0352"].send_active()
        await alice.comes("changed_status", lambda each: each["status"] == "now dnd")
        bob.send_presence(pstatus="here")
        await alice.comes("changed_status", lambda each: each["status"] == "here")
        await bob.del_roster_item(alice.boundjid.bare)

    async def test_a_resource_conflict(self):  # RFC 6120 §7.7.2.2
        for method in METHODS:
            old = await self.log_in("carol", method, resource="same")
            new = await self.log_in("carol", "direct", resource="same")
            error = await old.comes("stream_error")
            self.assertEqual(error["condition"], "conflict")
            await old.comes("disconnected")
            self.assertEqual(new.boundjid.full, "carol@comity.test/same")
            await new["xep_0199"].ping(new.boundjid.host, timeout=PATIENCE)
            await new.leave()

    async def test_reconnect(self):
        for method in METHODS:
            client = await self.log_in("carol", method)
            for end in (client.abort, client.disconnect):  # the network goes; the user does
                end()
                await client.comes("disconnected")
                await client.log_in()
                await client["xep_0199"].ping(client.boundjid.host, timeout=PATIENCE)
            await client.leave()
        self.server.wait_metric(0, "comity_sessions")

    async def test_offline_messages(self):  # XEP-0160, XEP-0203
        carol = await self.available("carol", "starttls")
        before = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
        for number in range(5):
            carol.send_message(f"dave@{self.server.domain}", f"while you were out {number}", mtype="chat")
        await carol["xep_0199"].ping(carol.boundjid.host, timeout=PATIENCE)
        await carol.leave()
        dave = await self.log_in("dave", "direct")
        dave.send_presence()
        for number in range(5):
            message = await dave.comes("message")
            self.assertEqual(message["body"], f"while you were out {number}")
            self.assertEqual(message["from"].bare, "carol@comity.test")
            self.assertEqual(message["delay"]["from"], self.server.domain)
            now = datetime.datetime.now(datetime.timezone.utc)
            self.assertTrue(before <= message["delay"]["stamp"] <= now, message["delay"]["stamp"])
        await dave.leave()
        # Once.
        dave = await self.available("dave", "direct")
        await dave["xep_0199"].ping(dave.boundjid.host, timeout=PATIENCE)
        self.assertEqual([each for each in dave.missed if each[0] == "message"], [])

    async def test_what_the_server_says_of_itself(self):  # XEP-0012, 0030, 0092, 0199, 0202
        alice = await self.log_in("alice", "direct")
        host = self.server.domain
        info = await alice["xep_0030"].get_info(host, timeout=PATIENCE)
        self.assertIn(("server", "im"), {each[:2] for each in info["disco_info"]["identities"]})
        self.assertLessEqual({"http://jabber.org/protocol/disco#info", "http://jabber.org/protocol/disco#items",
                              "jabber:iq:version", "urn:xmpp:ping", "urn:xmpp:time", "jabber:iq:last", "vcard-temp",
                              "msgoffline"}, set(info["disco_info"]["features"]))
        items = await alice["xep_0030"].get_items(host, timeout=PATIENCE)
        self.assertEqual(items["disco_items"]["items"], set())
        account = await alice["xep_0030"].get_info(alice.boundjid.bare, timeout=PATIENCE, cached=False, local=False)
        self.assertIn(("account", "registered"), {each[:2] for each in account["disco_info"]["identities"]})
        version = await alice["xep_0092"].get_version(host, timeout=PATIENCE)
        self.assertEqual(version["software_version"]["name"], "Comity")
        self.assertRegex(version["software_version"]["version"], r"^\d+\.\d+\.\d+")
        await alice["xep_0199"].ping(host, timeout=PATIENCE)
        answer = await alice["xep_0202"].get_entity_time(host, timeout=PATIENCE)
        # Its own reader of <utc/> cannot read what XEP-0082 demands.
        utc = datetime.datetime.fromisoformat(answer["entity_time"].xml.findtext("{urn:xmpp:time}utc"))
        self.assertLess(abs(utc - datetime.datetime.now(datetime.timezone.utc)), datetime.timedelta(seconds=PATIENCE))
        up = await alice["xep_0012"].get_last_activity(host, timeout=PATIENCE)
        self.assertGreaterEqual(up["last_activity"]["seconds"], 0)

    async def test_vcards(self):  # XEP-0054
        alice = await self.log_in("alice", "direct")
        bob = await self.log_in("bob", "starttls")
        with self.assertRaises(IqError) as none:
            await alice["xep_0054"].get_vcard(alice.boundjid.bare, cached=False, local=False, timeout=PATIENCE)
        self.assertEqual(none.exception.condition, "item-not-found")
        card = alice["xep_0054"].make_vcard()
        card["FN"] = "Alice \u00c5"
        card["NICKNAME"] = "al"
        await alice["xep_0054"].publish_vcard(card, timeout=PATIENCE)
        for reader in (alice, bob):
            got = await reader["xep_0054"].get_vcard(alice.boundjid.bare, cached=False, local=False, timeout=PATIENCE)
            self.assertEqual((got["vcard_temp"]["FN"], got["vcard_temp"]["NICKNAME"]), ("Alice \u00c5", ["al"]))

    async def test_last_activity_of_a_friend(self):  # XEP-0012 §4
        carol = await self.available("carol")
        dave = await self.available("dave", "direct")
        with self.assertRaises(IqError) as forbidden:
            await carol["xep_0012"].get_last_activity(dave.boundjid.bare, timeout=PATIENCE, local=False)
        self.assertEqual(forbidden.exception.condition, "forbidden")
        await self.befriend(carol, dave)
        here = await carol["xep_0012"].get_last_activity(dave.boundjid.bare, timeout=PATIENCE, local=False)
        self.assertEqual(here["last_activity"]["seconds"], 0)
        dave.send_presence(ptype="unavailable", pstatus="gone fishing")
        await carol.comes("presence_unavailable", lambda each: each["from"] == dave.boundjid)
        await dave.leave()
        self.server.wait_metric(1, "comity_sessions")
        gone = await carol["xep_0012"].get_last_activity(dave.boundjid.bare, timeout=PATIENCE, local=False)
        self.assertLess(gone["last_activity"]["seconds"], PATIENCE)
        self.assertEqual(gone["last_activity"]["status"], "gone fishing")


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    unittest.main()
