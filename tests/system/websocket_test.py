"""WebSocket on the wire (RFC 7395, RFC 6455), against the daemon: what its HTTP hands over, and what the methods share."""

import re
import unittest

from front_test import FrontServer, Port
from harness import SystemTest, assert_chat, free_ports, wait_until
from websocket_client import BINARY, CLOSE, CONTINUATION, PING, PONG, STREAM_END, WebSocket, frame, opening
from xmpp_client import CLIENT, SASL, is_message

CHAT = "<message xmlns='jabber:client' type='chat' to='{}'><body>{}</body></message>"


class WebSocketTest(SystemTest):
    options = {"users": ["alice", "bob"], "web": True}

    def counted(self, family, **labels):
        return self.server.counter(family, scope="c2s", direction="inbound", method="websocket", **labels)

    def test_chats_with_a_client_over_tcp(self):  # RFC 7395 §3
        before = {family: self.counted(f"comity_{family}_total")
                  for family in ("connection_attempts", "connections_established", "tls_handshakes")}
        with WebSocket(self.server) as alice, self.server.login("bob") as bob:
            jid = alice.log_in("alice")
            self.assertEqual(jid, "alice@comity.test/web")
            alice.send("<presence xmlns='jabber:client'/>")
            self.assertEqual(alice.receive().get("from"), jid)
            for size in (1, 200, 70000):  # each length of a frame's header, both ways
                alice.send(CHAT.format(bob.jid, "x" * size))
                self.assertEqual(bob.wait_for(lambda each: each.tag == f"{{{CLIENT}}}message").get("from"), jid)
                bob.message(jid, "y" * size)
                self.assertEqual(alice.receive().findtext(f"{{{CLIENT}}}body"), "y" * size)
            row, = (each for each in self.server.ctl_json("connections") if each["peer"] == jid)
            self.assertEqual((row["method"], row["scope"], row["tls_version"], row["authentication"]),
                             ("websocket", "c2s", "TLSv1.3", "PLAIN"))
            alice.close()
        self.server.wait_log(r"c2s\.closed .*method=websocket .*peer=alice@comity\.test/web cause=peer_closed")
        for family, number in before.items():
            self.assertEqual(self.counted(f"comity_{family}_total"), number + 1, family)
        wait_until(lambda: self.counted("comity_connections") == 0, "it is gone from the gauge")

    def test_what_is_said_with_the_handshake_is_heard(self):
        with WebSocket(self.server) as one:
            one.send_bytes(frame(opening()) + frame("now", PING) + frame("<iq xmlns='jabber:client'/>"))
            frames = [one.receive_frame() for _ in range(3)]
            self.assertTrue(frames[0].payload.startswith(b"<open "))
            self.assertTrue(frames[1].payload.startswith(b"<stream:features "))
            self.assertNotIn(b"starttls", frames[1].payload)  # RFC 7395 §3.9
            self.assertIn(b"<not-authorized ", frames[2].payload)  # H07, THREATS C7

    def test_hostile_frames_end_their_connection_alone(self):  # THREATS A1, A2, A4, A8, A10
        bomb = "<!DOCTYPE s [<!ENTITY a0 'lol'><!ENTITY a1 '&a0;&a0;'>]><s>&a1;</s>"
        cases = [
            (frame(bomb), "restricted-xml", 1000),
            (frame("<!-- x -->"), "restricted-xml", 1000),
            (frame(b"<a xmlns='u'>\xeb\x3c\x3e</a>"), "not-well-formed", 1007),
            (frame(" "), "bad-format", 1000),  # RFC 7395 §3.8
            (frame("<a xmlns='u'/><a xmlns='u'/>"), "bad-format", 1000),
            (frame(opening()), "bad-format", 1000),
            (frame("<", announced=10_001), "policy-violation", 1009),
            (frame("<", announced=1 << 62), "policy-violation", 1009),
            (frame("<a>", fin=False) + frame("x", CONTINUATION, announced=10_000), "policy-violation", 1009),
            (frame("<a xmlns='u'/>", BINARY), "bad-format", 1003),
            (frame("<a xmlns='u'/>", mask=False), "bad-format", 1002),
            (frame("<a xmlns='u'/>", reserved=4), "bad-format", 1002),
            (frame("<a xmlns='u'/>", opcode=3), "bad-format", 1002),
            (frame("x", CONTINUATION), "bad-format", 1002),
            (frame("x" * 126, PING), "bad-format", 1002),
            (frame((1005).to_bytes(2, "big"), CLOSE), "bad-format", 1002),
        ]
        with self.server.control():
            for said, condition, code in cases:
                with self.subTest(said[:40]), WebSocket(self.server) as one:
                    one.open_stream()
                    one.send_bytes(said)
                    texts, closed = one.receive_all()
                    self.assertIn(f"<{condition} ", texts[0])
                    self.assertEqual(condition == "policy-violation", "<stanza-too-big" in texts[0])
                    self.assertEqual((texts[1:], closed), ([STREAM_END], code))
                    one.send_bytes(frame((1000).to_bytes(2, "big"), CLOSE))
                    self.assertTrue(one.ended())

    def test_pings_are_answered_and_cost_nothing(self):  # RFC 6455 §5.5.2, §5.5.3
        with self.server.control(), WebSocket(self.server) as one:
            one.open_stream()
            one.send_bytes(frame("first", PING))
            self.assertEqual(one.receive_frame()[::4], (PONG, b"first"))
            one.send_bytes(frame("x" * 125, PING) * 20_000 + frame("last", PING))
            while True:  # not each of them, but the last one
                found = one.receive_frame()
                self.assertEqual(found.opcode, PONG)
                if found.payload == b"last":
                    break

    def test_a_close_without_an_end_of_the_stream(self):  # RFC 7395 §3.6
        with WebSocket(self.server) as one:
            jid = one.log_in("alice", "gone")
            one.send_bytes(frame((1001).to_bytes(2, "big") + b"away", CLOSE))
            self.assertEqual(one.receive_all(), ([], 1001))
            self.assertTrue(one.ended())
            self.server.wait_log(rf"c2s\.closed .*peer={re.escape(jid)} cause=peer_closed")

    def test_is_told_of_a_stop(self):  # RFC 6120 §4.9.3.21, RFC 7395 §3.5
        with WebSocket(self.server) as one:
            one.log_in("alice")
            self.server.ctl("close", "alice@comity.test")
            texts, code = one.receive_all()
            self.assertTrue(texts[0].startswith("<stream:error xmlns:stream="))
            self.assertEqual((texts[1:], code), ([STREAM_END], 1000))
        with WebSocket(self.server) as one:
            one.log_in("alice")
            self.server.process.terminate()
            texts, code = one.receive_all()
            self.assertIn("<system-shutdown ", texts[0])
            self.assertEqual((texts[1:], code), ([STREAM_END], 1000))
            one.send_bytes(frame((1000).to_bytes(2, "big"), CLOSE))
            self.assertTrue(one.ended())
        self.server.assert_stops()
        self.server.start()

class OtherPorts(unittest.TestCase):
    """Where it shares its port, and where a proxy ends TLS."""

    def test_one_port_for_everything(self):  # D08, D13
        number, = free_ports(1)
        listen = f'[[listen]]\naddress = "127.0.0.1:{number}"\nprotocol = "auto"\ntls = "direct"\n'
        with FrontServer(listen, users=["alice", "bob", "carol", "dave"]) as server:
            port = Port(server, number)
            with port.login("alice") as alice, port.login("bob", alpn=()) as bob, \
                    WebSocket(server, port=number) as carol, WebSocket(server, port=number, alpn=()) as dave:
                assert_chat(alice, bob)
                names = {carol: carol.log_in("carol"), dave: dave.log_in("dave")}
                for one, other in ((carol, dave), (dave, carol)):
                    one.send(CHAT.format(names[other], "between pages"))
                    self.assertEqual(other.receive().findtext(f"{{{CLIENT}}}body"), "between pages")
                    alice.message(names[one], "from a stream")
                    self.assertEqual(one.receive().get("from"), alice.jid)
                    one.send(CHAT.format(bob.jid, "from a page"))
                    bob.wait_for(is_message("from a page", names[one]))
                rows = {row["peer"].split("@")[0]: (row["method"], row["alpn"]) for row in server.ctl_json("connections")}
                self.assertEqual(rows, {"alice": ("direct_tls", "xmpp-client"), "bob": ("direct_tls", ""),
                                        "carol": ("websocket", "http/1.1"), "dave": ("websocket", "")})
            for method in ("direct_tls", "websocket"):
                self.assertEqual(server.metric("comity_connections_established_total", scope="c2s", method=method), 2)
            for offered, routed in (("xmpp_client", "c2s"), ("http", "http"), ("none", "http"), ("none", "c2s")):
                self.assertEqual(server.metric("comity_alpn_total", offered=offered, routed=routed), 1)

    def test_behind_a_proxy_that_ends_tls(self):  # THREATS B3
        number, = free_ports(1)
        listen = f'[[listen]]\naddress = "127.0.0.1:{number}"\nprotocol = "http"\ntls = "none"\n'
        with FrontServer(listen, users=["alice", "bob"], settings={"http": {"trusted_proxies": ["127.0.0.1"]}}) as server, \
                server.login("bob") as bob, \
                WebSocket(server, port=number, tls=False,
                          headers={"X-Forwarded-For": "192.0.2.7", "X-Forwarded-Proto": "https"}) as alice:
            jid = alice.log_in("alice")
            row, = (each for each in server.ctl_json("connections") if each["peer"] == jid)
            self.assertEqual((row["method"], row["address"], row["tls_version"]), ("websocket", "192.0.2.7", ""))
            alice.send(CHAT.format(bob.jid, "by way of a proxy"))
            bob.wait_for(is_message("by way of a proxy", jid))
            alice.close()

    def test_behind_a_proxy_the_client_pays_for_its_guesses(self):  # THREATS C8
        number, = free_ports(1)
        listen = f'[[listen]]\naddress = "127.0.0.1:{number}"\nprotocol = "http"\ntls = "none"\n'
        # A guess costs a second of what an address may begin: a dozen, more than this test takes.
        settings = {"http": {"trusted_proxies": ["127.0.0.1"]}, "limits": {"connections_per_ip": 100}}

        def client(address):
            return WebSocket(server, port=number, tls=False,
                             headers={"X-Forwarded-For": address, "X-Forwarded-Proto": "https"})
        with FrontServer(listen, users=["alice", "bob"], settings=settings) as server:
            with client("192.0.2.7") as one, client("192.0.2.7") as other:
                for mallory in (one, other):
                    mallory.open_stream()
                    for _ in range(6):
                        mallory.send(f"<auth xmlns='{SASL}' mechanism='PLAIN'>AGFsaWNlAGd1ZXNz</auth>")
                        self.assertEqual(mallory.receive().tag, f"{{{SASL}}}failure")
            with self.assertRaisesRegex(AssertionError, "HTTP/1.1 429 "):
                client("192.0.2.7")
            self.assertEqual(server.metric("comity_connections_rejected_total", cause="per_ip_limit"), 1)
            with client("192.0.2.8") as alice:
                alice.log_in("alice")
                alice.close()
            server.login("bob").close()  # from the proxy's own address


if __name__ == "__main__":
    unittest.main(verbosity=2)
