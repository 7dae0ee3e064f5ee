"""A page in a real browser: headless Chromium loads strophe.js, logs in over WebSocket and chats with a client over TCP."""

import base64
import contextlib
import hashlib
import http.server
import json
import os
import pathlib
import queue
import subprocess
import tempfile
import threading
import unittest

from harness import PASSWORD, PATIENCE, Server, openssl
from xmpp_client import is_message

HERE = pathlib.Path(__file__).parent
FILES = {
    "/page.html": (HERE / "browser" / "page.html", "text/html; charset=utf-8"),
    "/page.js": (HERE / "browser" / "page.js", "text/javascript; charset=utf-8"),
    "/strophe.js": (HERE / "xmppjs" / "node_modules" / "strophe.js" / "dist" / "strophe.umd.min.js", "text/javascript"),
}
BODY = " grüß <b>dich</b> & \"alle\" 'hier' 🦑 שלום ]]> "


class Site:
    """The web site whose page it is: gives the files, hands commands out, takes in what happened."""

    def __init__(self):
        self.told, self.said, self.seen = queue.Queue(), queue.Queue(), []
        site = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                if self.path == "/told":
                    command = site.told.get()
                    if command is not None:
                        self.answer(json.dumps(command).encode(), "application/json")
                elif self.path in FILES:
                    file, kind = FILES[self.path]
                    self.answer(file.read_bytes(), kind)
                else:
                    self.send_error(404)

            def do_POST(self):
                site.said.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.answer(b"", "text/plain")

            def answer(self, body, kind):
                self.send_response(200)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                with contextlib.suppress(ConnectionError):
                    self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.web = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.web.daemon_threads = True
        self.port = self.web.server_address[1]
        threading.Thread(target=self.web.serve_forever, daemon=True).start()

    def close(self):
        self.told.put(None)
        self.web.shutdown()
        self.web.server_close()

    def tell(self, *command):
        self.told.put(command)

    def hears(self, *event):
        """The first event that begins so; those before it are kept in `seen`."""
        while True:
            try:
                got = self.said.get(timeout=PATIENCE)
            except queue.Empty:
                raise AssertionError(f"the page never said {event}, but {self.seen}") from None
            if got[:len(event)] == list(event):
                return got[len(event):]
            self.seen.append(got)


class BrowserTest(unittest.TestCase):
    def setUp(self):
        self.site = Site()
        self.addCleanup(self.site.close)

    @contextlib.contextmanager
    def page(self, server, host="127.0.0.1"):
        """Chromium with the page of `host` open. It trusts the server's key and knows no other name than ours."""
        key = openssl("pkey", "-in", server.key_of(server.domain), "-pubout", "-outform", "DER")
        pin = base64.b64encode(hashlib.sha256(key).digest()).decode()
        with tempfile.TemporaryDirectory(prefix="comity-chromium-", ignore_cleanup_errors=True) as profile, \
                tempfile.TemporaryFile() as diary:
            browser = subprocess.Popen(
                ["chromium", "--headless", *(["--no-sandbox"] if os.geteuid() == 0 else []), "--disable-gpu",
                 "--disable-dev-shm-usage", "--no-first-run", "--no-default-browser-check", "--disable-extensions",
                 "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-proxy-server",
                 f"--host-resolver-rules=MAP {server.domain} 127.0.0.1, MAP localhost 127.0.0.1, MAP * ~NOTFOUND, "
                 "EXCLUDE 127.0.0.1",
                 f"--ignore-certificate-errors-spki-list={pin}", f"--user-data-dir={profile}",
                 f"http://{host}:{self.site.port}/page.html"],
                stdin=subprocess.DEVNULL, stdout=diary, stderr=diary, start_new_session=True,
                env=os.environ | {"HOME": profile, "TMPDIR": profile})
            try:
                self.site.hears("loaded")
                yield
            except BaseException:
                diary.seek(0)
                print(f"--- Chromium\n{diary.read().decode(errors='replace')[-4000:]}\n--- the page said {self.site.seen}")
                raise
            finally:
                browser.terminate()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    browser.wait(PATIENCE)
                if browser.poll() is None:
                    browser.kill()
                    browser.wait()

    def connect(self, server):
        self.site.tell("connect", f"wss://{server.domain}:{server.web_port}/xmpp-websocket",
                       server.jid("alice") + "/page", PASSWORD)

    def test_a_page_logs_in_and_chats(self):  # RFC 7395, RFC 5802
        origin = f"http://127.0.0.1:{self.site.port}"
        with Server(users=["alice", "bob"], web=True, settings={"http": {"websocket_origins": [origin]}}) as server, \
                self.page(server), server.login("bob") as bob:
            self.connect(server)
            self.assertEqual(self.site.hears("CONNECTED"), ["alice@comity.test/page"])
            row, = (each for each in server.ctl_json("connections") if each["peer"] == "alice@comity.test/page")
            self.assertEqual((row["method"], row["scope"], row["alpn"]), ("websocket", "c2s", "http/1.1"))
            self.assertRegex(row["authentication"], r"^SCRAM-SHA-(256|512)$")
            for body in (BODY, "x" * 70000, "and bye"):
                self.site.tell("send", bob.jid, body)
                bob.wait_for(is_message(body, "alice@comity.test/page"))
                bob.message("alice@comity.test/page", body)
                self.assertEqual(self.site.hears("message", bob.jid), [body])
            labels = {"scope": "c2s", "direction": "inbound", "method": "websocket"}
            self.assertEqual(server.metric("comity_connections_established_total", **labels), 1)
            self.assertEqual(server.metric("comity_stanzas_sent_total", stanza="message", **labels), 3)
            self.site.tell("disconnect")
            self.site.hears("DISCONNECTED")
            server.wait_log(r"c2s\.closed .*method=websocket .*peer=alice@comity\.test/page cause=peer_closed")

    def test_a_page_of_another_site_is_refused(self):  # RFC 6455 §10.2
        origin = f"http://127.0.0.1:{self.site.port}"
        with Server(users=["alice"], web=True, settings={"http": {"websocket_origins": [origin]}}) as server, \
                self.page(server, host="localhost"):
            self.connect(server)
            self.site.hears("DISCONNECTED")
            self.assertFalse([each for each in self.site.seen if each[0] == "CONNECTED"])
            self.assertEqual(server.metric("comity_connection_attempts_total", method="websocket"), 0)


if __name__ == "__main__":
    unittest.main(verbosity=2)
