// client.js: @xmpp/client, driven by lines (see driven_client.py). Reconnection is the library's own; it leaves roster
// and presence on login to the program. The authority to trust comes by NODE_EXTRA_CA_CERTS, read when node starts.
import readline from "node:readline";
import { client, jid, xml } from "@xmpp/client";
import WebSocket from "ws";

globalThis.WebSocket ??= WebSocket; // what browsers and newer releases of node have

const ROSTER = "jabber:iq:roster";
const DISCO = "http://jabber.org/protocol/disco#info";
const DELAY = "urn:xmpp:delay";
const SERVICES = {
  starttls: (at) => `xmpp://${at}`,
  direct: (at) => `xmpps://${at}`,
  websocket: (at) => `wss://${at}/xmpp-websocket`,
};

let xmpp;
let beenOnline = false;
let online = false;

function say(...fields) {
  process.stdout.write(fields.map((field) => String(field ?? "").replace(/[\t\r\n]/g, " ")).join("\t") + "\n");
}

function ended(why) {
  if (online) {
    say("offline", why);
  }
  online = false;
}

async function connect(method, host, port, address, password) {
  const { local, domain, resource } = jid(address);
  xmpp = client({
    service: SERVICES[method](`${host}:${port}`),
    domain,
    username: local,
    password,
    resource: resource || undefined,
    timeout: 60_000, // ms for each step; its own 2 s are little on a loaded machine
  });
  // What it does on the wire goes to stderr, for who reads why a test failed.
  xmpp.on("send", (element) => console.error("sent", element.toString()));
  xmpp.on("element", (element) => console.error("got", element.toString()));
  xmpp.on("error", (error) => console.error(String(error)));
  xmpp.on("disconnect", () => ended("disconnected"));
  const nowOnline = () => {
    online = beenOnline = true;
    say("online", xmpp.jid);
    becomeAvailable().catch((error) => console.error(String(error))); // as when the connection ends meanwhile
  };
  xmpp.on("online", nowOnline);
  // The session of before goes on (XEP-0198), which is no news to the library's users; here it is.
  xmpp.streamManagement.on("resumed", nowOnline);
  xmpp.on("stanza", (stanza) => {
    const { from, type = "" } = stanza.attrs;
    if (stanza.is("message") && stanza.getChild("body")) {
      const delay = stanza.getChild("delay", DELAY);
      say(type === "error" ? "bounced" : "message", from, stanza.getChildText("body"), delay?.attrs.stamp);
    } else if (stanza.is("presence") && type === "subscribe") {
      say("asked", from);
    } else if (stanza.is("presence") && ["", "unavailable"].includes(type)) {
      say("presence", from, type || "available", stanza.getChildText("status"));
    }
  });
  try {
    await xmpp.start();
  } catch (error) {
    if (!beenOnline) {
      xmpp.reconnect.stop();
      say("failed", error);
      await xmpp.stop(); // for it would leave the stream open
    }
  }
}

async function becomeAvailable() {
  await xmpp.iqCaller.get(xml("query", { xmlns: ROSTER }));
  await xmpp.send(xml("presence"));
}

const commands = {
  connect,
  presence: (status) => xmpp.send(xml("presence", {}, xml("status", {}, status))),
  subscribe: (to) => xmpp.send(xml("presence", { type: "subscribe", to })),
  accept: (to) => xmpp.send(xml("presence", { type: "subscribed", to })),
  remove: (jid) =>
    xmpp.iqCaller.set(xml("query", { xmlns: ROSTER }, xml("item", { jid, subscription: "remove" }))),
  send: (to, body) => xmpp.send(xml("message", { type: "chat", to }, xml("body", {}, body))),
  async contacts() {
    const roster = await xmpp.iqCaller.get(xml("query", { xmlns: ROSTER }));
    for (const { attrs } of roster.getChildren("item")) {
      say("contact", attrs.jid, attrs.subscription);
    }
    say("contacts");
  },
  async features(of) {
    const info = await xmpp.iqCaller.get(xml("query", { xmlns: DISCO }), of);
    for (const { attrs } of info.getChildren("feature")) {
      say("feature", attrs.var);
    }
    say("features");
  },
  async quit() {
    if (!online) {
      say("offline", "");
    }
    await xmpp?.stop();
  },
};

// A refused login rejects start() and, now and then, a promise inside the library that nobody awaits.
process.on("unhandledRejection", (error) => console.error(String(error)));
const input = readline.createInterface({ input: process.stdin });
input.on("line", (line) => {
  const [name, ...fields] = line.split("\t");
  Promise.resolve(commands[name](...fields)).catch((error) => console.error(name, String(error)));
});
input.on("close", () => process.exit(0));
