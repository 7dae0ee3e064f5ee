"""slixmpp, driven by lines (see driven_client.py). It leaves roster and presence on login to the program; and so is the
coming back here, since its own forgets that the connection was one of direct TLS.

    slixmpp_client.py [TLS-VERSION] [alpn=PROTOCOL]    the highest version to use, TLSv1_2 or TLSv1_3; what direct TLS
                                                       offers by ALPN, nothing without it
"""

import asyncio
import logging
import ssl
import sys

import slixmpp


def say(*fields):
    print(*("".join(" " if character in "\t\r\n" else character for character in str(field)) for field in fields),
          sep="\t", flush=True)


class Driven:
    def __init__(self):
        self.xmpp = None
        self.been_online = self.online = self.quitting = False

    def connect(self, method, host, port, jid, password, cafile):
        self.xmpp = slixmpp.ClientXMPP(jid, password)
        self.xmpp.register_plugin("xep_0030")
        self.xmpp.register_plugin("xep_0203")
        self.xmpp.ca_certs = cafile
        for each in sys.argv[1:]:
            if each.startswith("alpn="):
                self.xmpp.ssl_context.set_alpn_protocols([each.removeprefix("alpn=")])
            else:
                self.xmpp.ssl_context.maximum_version = ssl.TLSVersion[each]
        self.xmpp.default_port = int(port)  # of what the domain resolves to, which comes first
        self.xmpp.auto_authorize = None  # asks the program
        self.xmpp.add_event_handler("session_start", self.started)
        self.xmpp.add_event_handler("disconnected", self.ended)
        self.xmpp.add_event_handler("failed_all_auth", self.failed)
        self.xmpp.add_event_handler("ssl_invalid_chain", self.failed)
        self.xmpp.add_event_handler("connection_failed", self.not_connected)
        self.xmpp.add_event_handler("message", self.message)
        self.xmpp.add_event_handler("message_error", self.message)
        self.xmpp.add_event_handler("presence_available", lambda presence: self.presence_of(presence, "available"))
        self.xmpp.add_event_handler("presence_unavailable", lambda presence: self.presence_of(presence, "unavailable"))
        self.xmpp.add_event_handler("presence_subscribe", lambda presence: say("asked", presence["from"]))
        self.connect_now = lambda: self.xmpp.connect((host, int(port)), use_ssl=method == "direct",
                                                     disable_starttls=method == "direct")
        self.connect_now()

    async def started(self, _):
        self.been_online = self.online = True
        say("online", self.xmpp.boundjid.full)
        await self.xmpp.get_roster()
        self.xmpp.send_presence()

    def ended(self, why):
        if self.online:
            say("offline", why)
            if not self.quitting:
                asyncio.get_running_loop().call_later(1, self.connect_now)
        self.online = False

    def failed(self, why):
        if not self.been_online:
            say("failed", why)
            self.xmpp.abort()

    def not_connected(self, why):
        if isinstance(why, ssl.SSLError):
            self.failed(why)

    def message(self, message):
        if message["body"]:
            stamp = message["delay"]["stamp"]
            say("bounced" if message["type"] == "error" else "message", message["from"], message["body"],
                stamp.isoformat() if stamp else "")

    def presence_of(self, presence, kind):
        say("presence", presence["from"], kind, presence["status"])

    def presence(self, status):
        self.xmpp.send_presence(pstatus=status)

    def subscribe(self, jid):
        self.xmpp.send_presence_subscription(jid)

    def accept(self, jid):
        self.xmpp.send_presence_subscription(jid, ptype="subscribed")

    def remove(self, jid):
        self.xmpp.del_roster_item(jid)

    def send(self, jid, body):
        self.xmpp.send_message(jid, body, mtype="chat")

    async def contacts(self):
        # Its own roster also holds whoever sent presence; and get_roster() asks for what has changed.
        answer = await self.xmpp.make_iq_get("jabber:iq:roster").send()
        for jid, item in answer["roster"]["items"].items():
            say("contact", jid, item["subscription"])
        say("contacts")

    async def features(self, jid):
        info = await self.xmpp["xep_0030"].get_info(jid)
        for feature in info["disco_info"]["features"]:
            say("feature", feature)
        say("features")

    def quit(self):
        self.quitting = True
        if self.online:
            self.xmpp.disconnect()
        else:
            say("offline")


async def main():
    driven = Driven()
    loop = asyncio.get_running_loop()
    lines = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    while line := await lines.readline():
        name, *fields = line.decode().rstrip("\n").split("\t")
        done = getattr(driven, name)(*fields)
        if asyncio.iscoroutine(done):
            asyncio.ensure_future(done)


if __name__ == "__main__":
    # What it does on the wire goes to stderr, for who reads why a test failed.
    logging.basicConfig(level=logging.DEBUG)
    asyncio.get_event_loop().run_until_complete(main())
