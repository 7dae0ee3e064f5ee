#!/usr/bin/env python3
"""That the lab sees what is wrong: each of its judgements is shown something bad, and must say so."""

import pathlib
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import types
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "system")]

import certificates
import lab
import network
import observer
import sessions
import software
import steps
import zones


class Ledger(unittest.TestCase):
    def entry(self, error=None, delivered=(), returned=()):
        return sessions.Sent("message", "a@a.org", "b@b.org", error, list(delivered), list(returned)).fault("m1")

    def test_delivered_once_is_right(self):
        self.assertIsNone(self.entry(delivered=["b@b.org"]))

    def test_an_expected_error_once_is_right(self):
        self.assertIsNone(self.entry("remote-server-not-found", returned=["remote-server-not-found"]))

    def test_names_what_is_lost(self):
        self.assertIn("lost", self.entry())

    def test_names_a_double(self):
        self.assertIn("delivered to b@b.org, delivered to b@b.org", self.entry(delivered=["b@b.org", "b@b.org"]))

    def test_names_one_both_delivered_and_returned(self):
        self.assertIn("returned", self.entry(delivered=["b@b.org"], returned=["remote-server-timeout"]))

    def test_names_the_wrong_condition(self):
        self.assertIn("remote-server-timeout", self.entry("remote-server-not-found", returned=["remote-server-timeout"]))

    def test_names_a_delivery_in_place_of_an_error(self):
        self.assertIn("delivered", self.entry("remote-server-not-found", delivered=["b@b.org"]))

    def test_names_the_wrong_receiver(self):
        self.assertIn("c@b.org", self.entry(delivered=["c@b.org"]))


class Steps(unittest.TestCase):
    def test_an_unknown_word_is_refused(self):
        with self.assertRaisesRegex(ValueError, "mesage"):
            steps.check({"mesage": "a@a.org -> b@b.org"}, "scenario.toml")

    def test_two_deeds_in_one_step_are_refused(self):
        with self.assertRaisesRegex(ValueError, "more than one"):
            steps.check({"message": "a@a.org -> b@b.org", "stop": "b"}, "scenario.toml")

    def test_a_pair_is_written_right(self):
        with self.assertRaises(ValueError):
            list(steps._pairs("a@a.org => b@b.org"))

    def test_every_scenario_reads(self):
        folders = sorted(each.parent.name for each in lab.SCENARIOS.glob("*/scenario.toml"))
        self.assertTrue(folders)
        for each in folders:
            with self.subTest(scenario=each):
                self.assertTrue(lab.read(each)["step"], "a scenario without steps shows nothing")


class Place:
    """A lab of one host, of which each test says what is to be seen there; nothing is waited for."""

    def __init__(self, dialled=(), metrics="", descriptors=0):
        observed = types.SimpleNamespace(since_mark=lambda: list(dialled))
        host = types.SimpleNamespace(name="a", http=lambda _: (200, metrics), descriptors=lambda: descriptors,
                                     log=lambda: "one line", ctl=lambda *_: "b.org outbound", namespace=self)
        self.hosts, self.observers, self.descriptors = {"a": host}, {"a": observed}, {"a": 10}
        self.sessions = self

    @staticmethod
    def expand(text):
        return text.replace("{ip4 b}", "192.0.2.2")

    @staticmethod
    def run(*command, timeout):
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=timeout)

    @staticmethod
    def wait(condition, what, _seconds=None):
        if not condition():
            raise AssertionError(what())


METRICS = """# TYPE comity_connections gauge
comity_connections{scope="s2s",direction="outbound"} 1
comity_connections{scope="c2s",direction="inbound"} 2
# TYPE comity_failures_total counter
"""


class Expectations(unittest.TestCase):
    def look(self, place, **step):
        before = {"a": {key: 0.0 for key in steps.metrics_of(place.hosts["a"])}}
        (name, wanted), = step.items()
        steps.EXPECTATIONS[name](place, {name: wanted}, before)

    def refuses(self, said, place, **step):
        with self.assertRaisesRegex(AssertionError, said):
            self.look(place, **step)

    def test_dialled(self):
        one, other = "b 5269 starttls b.org", "c 5270 refused"
        self.look(Place([one, other]), dialled={"a": [one, other]})
        self.look(Place([other]), dialled={"a": [f"{one} | {other}"]})
        self.refuses("a dialled", Place([other, one]), dialled={"a": [one, other]})  # the order
        self.refuses("a dialled", Place([one, one]), dialled={"a": [one]})  # one more
        self.refuses("a dialled", Place([]), dialled={"a": [one]})
        self.refuses("a dialled", Place(["b 5269 starttls b.org xmpp-server"]), dialled={"a": [one]})  # ALPN

    def test_metrics(self):
        place = Place(metrics=METRICS)
        self.look(place, metrics={"a": ['comity_connections{scope="s2s"} 1', "comity_connections 3",
                                        'comity_failures_total{cause="policy"} 0']})
        self.refuses("it is 1", place, metrics={"a": ['comity_connections{scope="s2s"} 0']})
        self.refuses("it is 0", place, metrics={"a": ['comity_connections{scope="bosh"} 1']})
        self.refuses("no family", place, metrics={"a": ["comity_conections 0"]})

    def test_state(self):
        self.look(Place(metrics=METRICS), state={"a": ['comity_connections{scope="c2s"} 2']})
        self.refuses("it is 2", Place(metrics=METRICS), state={"a": ['comity_connections{scope="c2s"} 1']})

    def test_gone(self):
        none = METRICS.replace('"outbound"} 1', '"outbound"} 0')
        self.look(Place(metrics=none, descriptors=12 + steps.RESOLVER), gone=["a"])
        self.refuses("1 streams", Place(metrics=METRICS, descriptors=12), gone=["a"])
        self.refuses("1 descriptors", Place(metrics=none, descriptors=13 + steps.RESOLVER), gone=["a"])

    def test_log_and_comityctl(self):
        self.look(Place(), log={"a": ["one", "line$"]})
        self.refuses("the log of a has two", Place(), log={"a": ["one", "two"]})
        steps.ctl(Place(), {"ctl": "a connections --s2s", "shows": ["b.org +outbound"]}, 0)
        with self.assertRaisesRegex(AssertionError, "shows no inbound"):
            steps.ctl(Place(), {"ctl": "a connections --s2s", "shows": ["inbound"]}, 0)


    def test_programs(self):
        steps.run_program(Place(), {"run": "a echo 'from  {ip4 b}'", "shows": ["^from  {ip4 b}$"]}, 10)
        with self.assertRaisesRegex(AssertionError, "shows no 192"):
            steps.run_program(Place(), {"run": "a echo", "shows": ["{ip4 b}"]}, 10)
        with self.assertRaisesRegex(AssertionError, "ends with 3"):
            steps.run_program(Place(), {"run": "a sh -c 'exit 3'"}, 10)


def hello(name, protocols):
    """A ClientHello, by Python's ssl."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if protocols:
        context.set_alpn_protocols(protocols)
    stream = context.wrap_bio(incoming, outgoing, server_hostname=name)
    try:
        stream.do_handshake()
    except ssl.SSLWantReadError:
        pass
    return outgoing.read()


class ClientHello(unittest.TestCase):
    def test_name_and_protocols(self):
        self.assertEqual(observer.client_hello(hello("b.org", ["xmpp-server", "http/1.1"])),
                         ("b.org", ("xmpp-server", "http/1.1")))

    def test_neither(self):
        self.assertEqual(observer.client_hello(hello(None, [])), (None, ()))

    def test_cut_anywhere_it_is_no_error(self):
        whole = hello("b.org", ["xmpp-server"])
        for length in range(len(whole)):
            observer.client_hello(whole[:length])


class Observed(unittest.TestCase):
    """By connections of this process, in namespaces of its own."""

    @classmethod
    def setUpClass(cls):
        cls.network = network.Network({"a": ["10.77.0.11", "fd77::11"], "b": ["10.77.0.12", "fd77::12"]}, ["10.77.0.253"])
        cls.network.__enter__()

    @classmethod
    def tearDownClass(cls):
        cls.network.close()

    def setUp(self):
        self.a, self.b = self.network.hosts["a"], self.network.hosts["b"]
        self.observer = observer.Observer(self.a)

    def tearDown(self):
        self.observer.close()

    def dial(self, address, data=b"", listening=True):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with self.b.inside():
            server = socket.create_server((address, 5269), family=family) if listening else None
        with self.a.inside():
            client = socket.socket(family)
        client.settimeout(20)
        try:
            client.connect((address, 5269))
            client.sendall(data)
            accepted = server.accept()[0]
            accepted.recv(1 << 16)
            accepted.close()
        except OSError:
            pass
        finally:
            client.close()
            if server is not None:
                server.close()
        return [each.describe() for each in self.observer.dialled()]

    def test_starttls(self):
        self.assertEqual(self.dial("10.77.0.12", b"<stream:stream><starttls/>" + hello("b.org", [])),
                         [("starttls", "b.org", ())])

    def test_direct_tls_over_ipv6(self):
        self.assertEqual(self.dial("fd77::12", hello("b.org", ["xmpp-server"])),
                         [("direct_tls", "b.org", ("xmpp-server",))])

    def test_no_tls(self):
        self.assertEqual(self.dial("10.77.0.12", b"<stream:stream>"), [("plain", None, ())])

    def test_refused(self):
        self.assertEqual(self.dial("10.77.0.12", listening=False), [("refused", None, ())])

    def test_silent(self):
        with self.a.inside(), socket.socket() as client:
            client.settimeout(0.2)
            with self.assertRaises(TimeoutError):
                client.connect(("10.77.0.253", 5269))
        self.assertEqual([each.describe() for each in self.observer.dialled()], [("silent", None, ())])

    def test_what_another_host_dials_is_not_its_own(self):
        with self.b.inside(), socket.socket() as client:
            client.connect_ex(("10.77.0.11", 5269))
        self.assertEqual(self.observer.dialled(), [])


class Dns(unittest.TestCase):
    """What signed, falsified and expired zones are to the resolver: the lab's words for them are true."""

    def setUp(self):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="comity-lab-self-test-"))
        self.addCleanup(shutil.rmtree, self.directory, ignore_errors=True)
        names = {"good.org": {}, "plain.org": {"signed": False}, "old.org": {"expired": True},
                 "false.org": {"bogus": ["false.org A"]}, "dead.org": {"served": False}, "gone.org": {"served": False, "signed": False}, "hashed.org": {"nsec3": True}}
        self.zones = zones.Zones(self.directory / "zones", {
            name: {**table, "records": "@ A 192.0.2.1"} for name, table in names.items()}, ["10.77.0.2"], "10.77.0.3", "10.77.0.253")
        self.zones.make()

    def test_each_is_what_it_is_called(self):
        with network.Network({"dns": ["10.77.0.2", "10.77.0.3"]}, ["10.77.0.253"]) as net:
            server = software.DnsHost(self.zones, net.hosts["dns"], ["10.77.0.2"], ["10.77.0.3"], self.directory)
            self.addCleanup(server.kill)
            server.start()
            server.wait_ready()
            place = types.SimpleNamespace(dns=server)
            for owner, security in (("good.org", "secure"), ("hashed.org", "secure"), ("plain.org", "insecure"),
                                    ("old.org", "bogus"), ("false.org", "bogus"), ("dead.org", "servfail"), ("gone.org", "servfail"),
                                    ("none.good.org", "nxdomain")):
                with self.subTest(owner):
                    self.assertEqual(steps.security(place, owner, "A"), security)
            self.assertEqual(steps.security(place, "good.org", "AAAA"), "nodata")
            with self.assertRaisesRegex(AssertionError, "insecure, not secure"):
                steps.resolve(place, {"resolve": "plain.org A", "is": "secure"}, 0)
            server.kill()

    def test_a_record_that_is_not_there_cannot_be_falsified(self):
        self.zones.zones["good.org"]["bogus"] = ["good.org TLSA"]
        with self.assertRaisesRegex(ValueError, "no record good.org TLSA"):
            self.zones.make()


class Certificates(unittest.TestCase):
    def test_names_dates_and_issuers(self):
        directory = pathlib.Path(tempfile.mkdtemp(prefix="comity-lab-self-test-"))
        self.addCleanup(shutil.rmtree, directory, ignore_errors=True)
        authorities = certificates.Authorities(directory / "authorities")

        def verdict(wish):
            made = authorities.issue("b.org", wish, directory / "crt", directory / "key")
            with open(directory / "said", "wb") as said:
                done = subprocess.run(["openssl", "verify", "-CAfile", str(authorities.authority("lab").chain),
                                       "-verify_hostname", "b.org", str(made.chain)], stdout=said, stderr=said, check=False)
            text = (directory / "said").read_text(encoding="utf-8")
            return "good" if done.returncode == 0 else text
        self.assertEqual(verdict({}), "good")
        self.assertEqual(verdict({"chain": True}), "good")
        self.assertEqual(verdict({"days": [-5, 5]}), "good")
        self.assertIn("expired", verdict({"days": [-20, -10]}))
        self.assertIn("not yet valid", verdict({"days": [10, 20]}))
        self.assertIn("hostname mismatch", verdict({"dns": ["c.org"]}))
        self.assertIn("self-signed", verdict({"authority": "self"}))
        self.assertIn("self-signed", verdict({"authority": "self", "days": [-5, 5]}))
        self.assertIn("unable to get local issuer", verdict({"authority": "other"}))
        with self.assertRaisesRegex(ValueError, "colour"):
            verdict({"colour": "blue"})


if __name__ == "__main__":
    unittest.main()
