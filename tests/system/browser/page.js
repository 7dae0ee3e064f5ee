// page.js: strophe.js in a page, driven by browser_test.py: what it is told comes from "told", one answer a command; what
// happens goes to "said", in order.
let saying = Promise.resolve();
function say(...fields) {
  saying = saying.then(() => fetch("said", { method: "POST", body: JSON.stringify(fields) }));
}

const NAMES = Object.fromEntries(Object.entries(Strophe.Status).map(([name, number]) => [number, name]));
let connection;

const commands = {
  connect(service, jid, password) {
    connection = new Strophe.Connection(service);
    connection.addHandler((message) => {
      const body = message.querySelector("body");
      if (body) {
        say("message", message.getAttribute("from"), body.textContent);
      }
      return true; // and the next one
    }, null, "message");
    connection.connect(jid, password, (status, why) => {
      say(NAMES[status], status === Strophe.Status.CONNECTED ? connection.jid : String(why ?? ""));
      if (status === Strophe.Status.CONNECTED) {
        connection.send($pres());
      }
    });
  },
  send(to, body) {
    connection.send($msg({ to, type: "chat" }).c("body").t(body));
  },
  disconnect() {
    connection.disconnect("enough");
  },
};

window.addEventListener("error", (event) => say("error", event.message));
(async () => {
  say("loaded", navigator.userAgent);
  for (;;) {
    const answer = await fetch("told");
    const [name, ...fields] = await answer.json();
    commands[name](...fields);
  }
})();
