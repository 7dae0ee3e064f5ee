"""SASL as hostile clients speak it: THREATS C1, C3, C4, C8."""

import base64
import hashlib
import hmac
import os
import ssl
import unittest

from harness import PASSWORD, SystemTest, authority
from xmpp_client import SASL, STREAM, AuthenticationFailed, local, server_end_point

MECHANISMS = {f"SCRAM-SHA-{size}{plus}" for size in (1, 256, 512) for plus in ("", "-PLUS")} | {"PLAIN"}


def encoded(octets):
    return base64.b64encode(octets.encode() if isinstance(octets, str) else octets).decode()


class SaslTest(SystemTest):
    # What guesses cost their address would keep these tests waiting (limits_test.cpp).
    options = {"users": ["alice", "victim"], "hosts": ("comity.test", "other.test"),
               "settings": {"limits": {"connections_per_ip": 100000}}}

    def opened(self, method="direct", version=ssl.TLSVersion.TLSv1_3):
        """A client that is at SASL."""
        context = authority().context()
        context.minimum_version = context.maximum_version = version
        client = self.server.client("alice", method, context=context)
        client.connect()
        client.open_stream()
        if method == "starttls":
            client.start_tls()
        self.addCleanup(client.abort)
        return client

    def ask(self, client, element):
        """Sends it and returns ("failure", condition), ("challenge", octets), ("success", octets) or ("error", condition)."""
        client.send(element)
        answer = client.next()
        self.assertIn(answer.tag, {f"{{{SASL}}}{name}" for name in ("failure", "challenge", "success")}
                      | {f"{{{STREAM}}}error"})
        if local(answer) in ("failure", "error"):
            return local(answer), next(local(child) for child in answer)
        return local(answer), base64.b64decode(answer.text or "")

    def auth(self, client, mechanism, octets=None, text=None):
        content = text if text is not None else "" if octets is None else encoded(octets)
        return self.ask(client, f"<auth xmlns='{SASL}' mechanism='{mechanism}'>{content}</auth>")

    def respond(self, client, octets=None, text=None):
        return self.ask(client, f"<response xmlns='{SASL}'>{text if text is not None else encoded(octets)}</response>")


class Mechanisms(SaslTest):
    def test_offered(self):  # RFC 6120 §13.8.1, XEP-0440; PLAIN last
        for method in ("starttls", "direct"):
            for version, kinds in ((ssl.TLSVersion.TLSv1_3, {"tls-exporter", "tls-server-end-point"}),
                                   (ssl.TLSVersion.TLSv1_2, {"tls-exporter", "tls-server-end-point", "tls-unique"})):
                client = self.opened(method, version)
                self.assertEqual(set(client.mechanisms()), MECHANISMS)
                self.assertEqual(client.mechanisms()[-1], "PLAIN")
                # L04, RFC 9266 §3
                self.assertEqual({each.get("type") for each in
                                  client.features.iter("{urn:xmpp:sasl-cb:0}channel-binding")}, kinds)

    def test_what_is_offered_is_what_is_accepted(self):  # THREATS C4, CVE-2017-10807
        for mechanism in MECHANISMS:
            for method in ("starttls", "direct"):
                with self.server.login("alice", method, mechanism=mechanism, available=False) as client:
                    self.assertEqual(client.used_mechanism, mechanism)
        client = self.opened()
        for mechanism in ("ANONYMOUS", "X-OAUTH2", "plain", "EXTERNAL", "DIGEST-MD5", "SCRAM-MD5", "scram-sha-1", "",
                          "SCRAM-SHA-256-PLUS-PLUS"):
            self.assertEqual(self.auth(client, mechanism, b"\0alice\0" + PASSWORD.encode()),
                             ("failure", "invalid-mechanism"), mechanism)

    def test_nothing_is_offered_behind_the_login(self):  # RFC 6120 §6.4.6
        with self.server.login("alice") as client:
            self.assertEqual(client.mechanisms(), [])
            client.send(f"<auth xmlns='{SASL}' mechanism='PLAIN'>{encoded(b'x')}</auth>")
            self.assertEqual(client.stream_error(), "not-authorized")


class Plain(SaslTest):
    def test_messages_that_are_none(self):  # THREATS C1, RFC 4616 §2
        word = PASSWORD.encode()
        for octets, condition in ((b"\0a\0b\0c", "malformed-request"), (b"alice", "malformed-request"),
                                  (b"\0alice", "malformed-request"), (b"\0\0" + word, "malformed-request"),
                                  (b"\0alice\0", "malformed-request"), (b"", "malformed-request"),
                                  (b"\0\0", "malformed-request"),
                                  (b"victim@comity.test\0alice\0" + word, "invalid-authzid"),
                                  (b"alice@other.test\0alice\0" + word, "invalid-authzid"),
                                  (b"victim\0alice\0" + word, "invalid-authzid"),
                                  (b"\0alice\0wrong", "not-authorized"), (b"\0nobody\0" + word, "not-authorized"),
                                  (b"\0al@ice\0" + word, "not-authorized"), (b"\0\xff\0" + word, "not-authorized"),
                                  (b"\0alice\0" + word + b" ", "not-authorized")):
            with self.subTest(octets):
                client = self.opened()
                got = self.auth(client, "PLAIN", octets, text="=" if octets == b"" else None)
                self.assertEqual(got, ("failure", condition))
                client.abort()

    def test_encodings_that_are_none(self):  # RFC 6120 §6.5.5
        for text in ("!", "A", "AA", "AAA", "AAAA=", "AA==AA==", "AGFsaWNlAGI", "A GFsaWNlAGI=", "=A", "=="):
            client = self.opened()
            self.assertEqual(self.auth(client, "PLAIN", text=text), ("failure", "incorrect-encoding"), text)
            client.abort()

    def test_a_message_that_fills_the_limit(self):  # THREATS C1, A10
        client = self.opened()
        client.send(f"<auth xmlns='{SASL}' mechanism='PLAIN'>{'A' * (1 << 20)}")
        self.assertEqual(client.stream_error(), "policy-violation")

    def test_the_bound_address_is_the_authenticated_one(self):  # THREATS C1
        for authzid in ("", "alice@comity.test", "ALICE@comity.test"):
            client = self.opened()
            message = f"{authzid}\0alice\0{PASSWORD}"
            self.assertEqual(self.auth(client, "PLAIN", message)[0], "success")
            client.open_stream()
            self.assertEqual(client.bind("r"), "alice@comity.test/r")
            client.abort()

    def test_without_an_initial_response(self):  # RFC 6120 §6.4.2
        client = self.opened()
        self.assertEqual(self.auth(client, "PLAIN"), ("challenge", b""))
        self.assertEqual(self.respond(client, f"\0alice\0{PASSWORD}")[0], "success")


class Scram(SaslTest):
    def first(self, client, message, mechanism="SCRAM-SHA-256"):
        return self.auth(client, mechanism, message)

    def final(self, bare, server_first, header=b"n,,", nonce=None, proof=None, binding=None):
        """client-final-message for alice, right unless told otherwise."""
        fields = dict(part.split("=", 1) for part in server_first.decode().split(","))
        salted = hashlib.pbkdf2_hmac("sha256", PASSWORD.encode(), base64.b64decode(fields["s"]), int(fields["i"]))
        without = f"c={encoded(header) if binding is None else binding},r={fields['r'] if nonce is None else nonce}"
        key = hmac.digest(salted, b"Client Key", "sha256")
        signature = hmac.digest(hashlib.sha256(key).digest(), f"{bare},{server_first.decode()},{without}".encode(),
                                "sha256")
        right = bytes(a ^ b for a, b in zip(key, signature))
        return f"{without},p={encoded(right if proof is None else proof)}"

    def test_first_messages(self):  # THREATS C3, RFC 5802 §7
        malformed = ("failure", "malformed-request")
        for message, answer in (
                ("y,,n=alice,r=abc", ("failure", "not-authorized")),  # while -PLUS is offered: somebody hid it
                ("p=tls-unique,,n=alice,r=abc", malformed), ("p=tls-exporter,,n=alice,r=abc", malformed),
                ("p=,,n=alice,r=abc", malformed), ("x,,n=alice,r=abc", malformed), ("n,n=alice,r=abc", malformed),
                ("n,,n=alice,r=", malformed), ("n,,n=alice", malformed), ("n,,r=abc,n=alice", malformed),
                ("n,,n=alice,r=a,r=b", malformed), ("n,,n=alice,n=bob,r=a", malformed),
                ("n,,m=x,n=alice,r=abc", malformed), ("n,,n=alice,r=abc,m=x", malformed),
                ("n,,n=al=ice,r=abc", malformed), ("n,,n=al=2cice,r=abc", malformed), ("n,,n=,r=abc", malformed),
                ("n,,n=alice,r=" + "x" * 6000, malformed), ("n,,n=alice,r=a b", malformed), ("", malformed),
                ("n,a=victim@comity.test,n=alice,r=abc", ("failure", "invalid-authzid")),
                ("n,a=victim,n=alice,r=abc", ("failure", "invalid-authzid")),
                ("n,b=alice,n=alice,r=abc", malformed),
                ("c=biws,r=abc,p=AAAA", malformed)):
            with self.subTest(message[:40]):
                client = self.opened()
                self.assertEqual(self.auth(client, "SCRAM-SHA-256", message, text="=" if message == "" else None), answer)
                client.abort()
        for message in ("y,,n=alice,r=abc", "n,,n=alice,r=abc", "p=tls-unique,,n=alice,r=abc",
                        "p=no-such-type,,n=alice,r=abc"):
            with self.subTest(message):
                client = self.opened()
                self.assertEqual(self.first(client, message, "SCRAM-SHA-256-PLUS"), malformed)
                client.abort()

    def challenged(self, message="n,,n=alice,r=abc", mechanism="SCRAM-SHA-256"):
        client = self.opened()
        kind, octets = self.first(client, message, mechanism)
        self.assertEqual(kind, "challenge")
        return client, octets

    def test_the_servers_nonce(self):  # THREATS C3: 144 bits, and ours in front of it
        nonces = set()
        for _ in range(5):
            _, challenge = self.challenged()
            self.assertRegex(challenge, rb"^r=abc[A-Za-z0-9_-]{24,},s=[A-Za-z0-9+/=]{24},i=\d+$")
            nonces.add(challenge.split(b",")[0])
        self.assertEqual(len(nonces), 5)

    def test_final_messages(self):  # THREATS C3
        bare = "n=alice,r=abc"
        refused = ("failure", "not-authorized")
        malformed = ("failure", "malformed-request")
        for label, change, answer in (
                ("wrong proof", {"proof": bytes(32)}, refused), ("short proof", {"proof": bytes(31)}, refused),
                ("long proof", {"proof": bytes(33)}, refused), ("no proof", {"proof": b""}, malformed),
                ("our nonce only", {"nonce": "abc"}, refused), ("no nonce", {"nonce": ""}, malformed),
                ("other header", {"header": b"y,,"}, refused), ("binding where none is", {"header": b"n,,x"}, refused),
                ("binding that is no base64", {"binding": "!"}, malformed)):
            with self.subTest(label):
                client, challenge = self.challenged()
                self.assertEqual(self.respond(client, self.final(bare, challenge, **change)), answer)
        for label, around in (("an unknown attribute twice", lambda m: m + ",p=AAAA"), ("behind the proof",
                              lambda m: m + ",x=y"), ("mandatory extension", lambda m: m.replace(",p=", ",m=x,p=")),
                              ("nonce twice", lambda m: m.replace(",p=", ",r=abc,p="))):
            with self.subTest(label):
                client, challenge = self.challenged()
                self.assertEqual(self.respond(client, around(self.final(bare, challenge))), malformed)
        client, challenge = self.challenged()
        self.assertEqual(self.respond(client, text="!")[1], "incorrect-encoding")
        client, challenge = self.challenged()
        self.assertEqual(self.respond(client, self.final(bare, challenge))[0], "success")

    def test_a_binding_of_another_connection(self):  # THREATS C3, RFC 5929, L04
        header = b"p=tls-server-end-point,,"
        message = header.decode() + "n=alice,r=abc"
        for binding in (b"", bytes(32), os.urandom(32)):
            client, challenge = self.challenged(message, "SCRAM-SHA-256-PLUS")
            self.assertEqual(self.respond(client, self.final("n=alice,r=abc", challenge, header + binding)),
                             ("failure", "not-authorized"))
        # That of another connection, which in TLS 1.2 Python can tell (RFC 5929 §3).
        unique = b"p=tls-unique,,"
        other = self.opened(version=ssl.TLSVersion.TLSv1_2).socket.get_channel_binding("tls-unique")
        for right in (False, True):
            client = self.opened(version=ssl.TLSVersion.TLSv1_2)
            _, challenge = self.first(client, unique.decode() + "n=alice,r=abc", "SCRAM-SHA-256-PLUS")
            binding = client.socket.get_channel_binding("tls-unique") if right else other
            answer = self.respond(client, self.final("n=alice,r=abc", challenge, unique + binding))
            self.assertEqual(answer[0], "success" if right else "failure")
        client, challenge = self.challenged(message, "SCRAM-SHA-256-PLUS")
        own = server_end_point(client.socket.getpeercert(binary_form=True))
        self.assertEqual(self.respond(client, self.final("n=alice,r=abc", challenge, header + own))[0], "success")

    def test_messages_out_of_turn(self):  # THREATS C3
        client = self.opened()
        self.assertEqual(self.respond(client, "n,,n=alice,r=abc"), ("failure", "malformed-request"))
        client, challenge = self.challenged()
        self.assertEqual(self.ask(client, f"<abort xmlns='{SASL}'/>"), ("failure", "aborted"))
        self.assertEqual(self.respond(client, self.final("n=alice,r=abc", challenge)), ("failure", "malformed-request"))
        client, challenge = self.challenged()
        self.assertEqual(self.first(client, "n,,n=alice,r=abc"), ("failure", "malformed-request"))  # <auth/> in an exchange
        self.assertEqual(self.first(client, "n,,n=alice,r=abc")[0], "challenge")  # and from the beginning
        client, challenge = self.challenged()
        self.assertEqual(self.ask(client, f"<success xmlns='{SASL}'/>"), ("failure", "malformed-request"))

    def test_an_exchange_cannot_be_replayed(self):  # THREATS C3
        client, challenge = self.challenged()
        final = self.final("n=alice,r=abc", challenge)
        self.assertEqual(self.respond(client, final)[0], "success")
        client, _ = self.challenged()
        self.assertEqual(self.respond(client, final), ("failure", "not-authorized"))

    def test_an_absent_user_looks_like_a_present_one(self):  # THREATS C2
        def salts(user):
            found = []
            for _ in range(2):
                _, challenge = self.challenged(f"n,,n={user},r=abc")
                found.append(challenge.split(b",", 1)[1])
            self.assertEqual(found[0], found[1], user)
            return found[0]
        before = {user: salts(user) for user in ("alice", "nobody", "somebody")}
        self.assertEqual(len({len(each) for each in before.values()}), 1)
        self.assertEqual(len({each.split(b",")[1] for each in before.values()}), 1)
        self.assertEqual(len(set(before.values())), 3)
        client, challenge = self.challenged("n,,n=nobody,r=abc")
        self.assertEqual(self.respond(client, self.final("n=nobody,r=abc", challenge)), ("failure", "not-authorized"))
        # And after a restart.
        self.server.stop()
        self.server.start()
        self.assertEqual({user: salts(user) for user in before}, before)


class Guessing(SaslTest):
    def test_five_wrong_passwords_a_stream(self):  # THREATS C8, RFC 6120 §6.4.5
        for method in ("starttls", "direct"):
            client = self.opened(method)
            for _ in range(5):
                self.assertEqual(self.auth(client, "PLAIN", "\0alice\0wrong"), ("failure", "not-authorized"))
            self.assertEqual(self.auth(client, "PLAIN", "\0alice\0wrong"), ("failure", "not-authorized"))
            self.assertEqual(client.stream_error(), "policy-violation")
            self.assertTrue(client.closed())
        # No lock-out: who knows the password is let in (XEP-0205).
        self.server.login("alice").close()

    def test_the_right_password_at_last(self):  # THREATS C8
        client = self.opened()
        for _ in range(5):
            self.auth(client, "PLAIN", "\0alice\0wrong")
        self.assertEqual(self.auth(client, "PLAIN", f"\0alice\0{PASSWORD}")[0], "success")

    def test_refusals_of_every_kind_have_an_end(self):  # THREATS C8
        client = self.opened()
        for _ in range(12):
            self.assertEqual(self.auth(client, "NONE", "x"), ("failure", "invalid-mechanism"))
        self.assertEqual(self.auth(client, "NONE", "x"), ("failure", "invalid-mechanism"))
        self.assertEqual(client.stream_error(), "policy-violation")

    def test_a_flood_of_passwords_holds_nobody_up(self):  # THREATS C8: hashing is off the loops, its queue bounded
        clients = [self.opened() for _ in range(40)]
        with self.server.control():
            for client in clients:
                client.send(f"<auth xmlns='{SASL}' mechanism='PLAIN'>{encoded(b'%calice%cwrong' % (0, 0))}</auth>")
            answers = [next(local(child) for child in client.next()) for client in clients]
            self.assertLessEqual(set(answers), {"not-authorized", "temporary-auth-failure"})
            for client in clients:
                client.close()

    def test_failures_are_counted_by_mechanism_and_condition(self):
        before = self.server.counter("comity_auth_failures_total", mechanism="PLAIN", cause="not-authorized")
        with self.assertRaises(AuthenticationFailed):
            self.server.login("alice", mechanism="PLAIN", password="wrong")
        self.server.wait_metric(before + 1, "comity_auth_failures_total", mechanism="PLAIN", cause="not-authorized")


if __name__ == "__main__":
    unittest.main()
