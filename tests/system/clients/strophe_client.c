// strophe_client.c: libstrophe, driven by lines. libstrophe itself knows stanzas and nothing above them, so what a
// client does once it is in (its roster, then its presence) and the coming back after a lost connection stand here.
#include <stdlib.h>
#include <strophe.h>
#include <time.h>

#include "tests/system/clients/lines.h"

static struct {
  xmpp_ctx_t* context;
  xmpp_conn_t* connection;  // NULL between two connections
  char direct, host[256], port[16], jid[1024], password[1024], authority[4096];
  int wanted;  // to be connected: from "connect" to "quit"
  int been_online, online, lost;
  time_t again;  // when to connect again
} state;

static const char* or_empty(const char* text) {
  return text ? text : "";
}

// The text of a stanza's child element; the caller frees it by xmpp_free().
static char* text_of(xmpp_stanza_t* stanza, const char* child) {
  xmpp_stanza_t* const found = xmpp_stanza_get_child_by_name(stanza, child);
  return found ? xmpp_stanza_get_text(found) : NULL;
}

static int on_message(xmpp_conn_t* connection, xmpp_stanza_t* stanza, void* nothing) {
  (void)connection, (void)nothing;
  char* const body = xmpp_message_get_body(stanza);
  xmpp_stanza_t* const delay = xmpp_stanza_get_child_by_ns(stanza, "urn:xmpp:delay");
  if (body) {
    lines_say(strcmp(or_empty(xmpp_stanza_get_type(stanza)), "error") == 0 ? "bounced" : "message",
              or_empty(xmpp_stanza_get_from(stanza)), body,
              delay ? or_empty(xmpp_stanza_get_attribute(delay, "stamp")) : "", (char*)NULL);
    xmpp_free(state.context, body);
  }
  return 1;
}

static int on_presence(xmpp_conn_t* connection, xmpp_stanza_t* stanza, void* nothing) {
  (void)connection, (void)nothing;
  const char* const type = or_empty(xmpp_stanza_get_type(stanza));
  const char* const from = or_empty(xmpp_stanza_get_from(stanza));
  if (strcmp(type, "subscribe") == 0) {
    lines_say("asked", from, (char*)NULL);
  } else if (strcmp(type, "") == 0 || strcmp(type, "unavailable") == 0) {
    char* const status = text_of(stanza, "status");
    lines_say("presence", from, *type ? type : "available", or_empty(status), (char*)NULL);
    xmpp_free(state.context, status);
  }
  return 1;
}

static void send_and_release(xmpp_stanza_t* stanza) {
  if (state.online) {
    xmpp_send(state.connection, stanza);
  }
  xmpp_stanza_release(stanza);
}

static void send_presence(const char* type, const char* to, const char* status) {
  xmpp_stanza_t* const presence = xmpp_presence_new(state.context);
  if (*type) {
    xmpp_stanza_set_type(presence, type);
  }
  if (*to) {
    xmpp_stanza_set_to(presence, to);
  }
  if (*status) {
    xmpp_stanza_t* const child = xmpp_stanza_new(state.context);
    xmpp_stanza_t* const text = xmpp_stanza_new(state.context);
    xmpp_stanza_set_name(child, "status");
    xmpp_stanza_set_text(text, status);
    xmpp_stanza_add_child(child, text);
    xmpp_stanza_add_child(presence, child);
    xmpp_stanza_release(text);
    xmpp_stanza_release(child);
  }
  send_and_release(presence);
}

static void query(const char* ns, const char* to, xmpp_handler on_answer) {
  if (!state.online) {
    return;
  }
  char* const id = xmpp_uuid_gen(state.context);
  xmpp_stanza_t* const iq = xmpp_iq_new(state.context, "get", id);
  xmpp_stanza_t* const child = xmpp_stanza_new(state.context);
  xmpp_stanza_set_name(child, "query");
  xmpp_stanza_set_ns(child, ns);
  xmpp_stanza_add_child(iq, child);
  xmpp_stanza_release(child);
  if (*to) {
    xmpp_stanza_set_to(iq, to);
  }
  xmpp_id_handler_add(state.connection, on_answer, id, NULL);
  send_and_release(iq);
  xmpp_free(state.context, id);
}

static void remove_contact(const char* jid) {
  char* const id = xmpp_uuid_gen(state.context);
  xmpp_stanza_t* const iq = xmpp_iq_new(state.context, "set", id);
  xmpp_stanza_t* const roster = xmpp_stanza_new(state.context);
  xmpp_stanza_t* const item = xmpp_stanza_new(state.context);
  xmpp_stanza_set_name(roster, "query");
  xmpp_stanza_set_ns(roster, XMPP_NS_ROSTER);
  xmpp_stanza_set_name(item, "item");
  xmpp_stanza_set_attribute(item, "jid", jid);
  xmpp_stanza_set_attribute(item, "subscription", "remove");
  xmpp_stanza_add_child(roster, item);
  xmpp_stanza_add_child(iq, roster);
  xmpp_stanza_release(item);
  xmpp_stanza_release(roster);
  xmpp_free(state.context, id);
  send_and_release(iq);
}

static int on_roster(xmpp_conn_t* connection, xmpp_stanza_t* stanza, void* nothing) {
  (void)connection, (void)nothing;
  xmpp_stanza_t* const roster = xmpp_stanza_get_child_by_ns(stanza, XMPP_NS_ROSTER);
  for (xmpp_stanza_t* item = roster ? xmpp_stanza_get_children(roster) : NULL; item;
       item = xmpp_stanza_get_next(item)) {
    lines_say("contact", or_empty(xmpp_stanza_get_attribute(item, "jid")),
              or_empty(xmpp_stanza_get_attribute(item, "subscription")), (char*)NULL);
  }
  lines_say("contacts", (char*)NULL);
  return 0;
}

static int on_first_roster(xmpp_conn_t* connection, xmpp_stanza_t* stanza, void* nothing) {
  (void)connection, (void)stanza, (void)nothing;
  send_presence("", "", "");
  return 0;
}

static int on_disco(xmpp_conn_t* connection, xmpp_stanza_t* stanza, void* nothing) {
  (void)connection, (void)nothing;
  xmpp_stanza_t* const info = xmpp_stanza_get_child_by_ns(stanza, XMPP_NS_DISCO_INFO);
  for (xmpp_stanza_t* each = info ? xmpp_stanza_get_children(info) : NULL; each; each = xmpp_stanza_get_next(each)) {
    if (strcmp(or_empty(xmpp_stanza_get_name(each)), "feature") == 0) {
      lines_say("feature", or_empty(xmpp_stanza_get_attribute(each, "var")), (char*)NULL);
    }
  }
  lines_say("features", (char*)NULL);
  return 0;
}

static void on_connection(xmpp_conn_t* connection, xmpp_conn_event_t event, int error,
                          xmpp_stream_error_t* stream_error, void* nothing) {
  (void)nothing;
  if (event == XMPP_CONN_CONNECT) {
    state.online = state.been_online = 1;
    xmpp_handler_add(connection, on_message, NULL, "message", NULL, NULL);
    xmpp_handler_add(connection, on_presence, NULL, "presence", NULL, NULL);
    query(XMPP_NS_ROSTER, "", on_first_roster);
    lines_say("online", or_empty(xmpp_conn_get_bound_jid(connection)), (char*)NULL);
    return;
  }
  char why[64];
  snprintf(why, sizeof why, "event %d, error %d, stream error %d", (int)event, error,
           stream_error ? (int)stream_error->type : -1);
  if (!state.been_online) {
    state.wanted = 0;
    lines_say("failed", why, (char*)NULL);
  } else if (state.online) {
    lines_say("offline", why, (char*)NULL);
  }
  state.online = 0;
  state.lost = 1;
  state.again = time(NULL) + 1;
}

static void connect_now(void) {
  state.connection = xmpp_conn_new(state.context);
  xmpp_conn_set_flags(state.connection, state.direct ? XMPP_CONN_FLAG_LEGACY_SSL : XMPP_CONN_FLAG_MANDATORY_TLS);
  xmpp_conn_set_jid(state.connection, state.jid);
  xmpp_conn_set_pass(state.connection, state.password);
  xmpp_conn_set_cafile(state.connection, state.authority);
  if (xmpp_connect_client(state.connection, state.host, (unsigned short)atoi(state.port), on_connection, NULL) !=
      XMPP_EOK) {
    on_connection(state.connection, XMPP_CONN_FAIL, 0, NULL, NULL);
  }
}

static void obey(const struct command* command) {
  const char* const* const field = command->field;
  if (strcmp(field[0], "connect") == 0) {
    state.direct = strcmp(field[1], "direct") == 0;
    snprintf(state.host, sizeof state.host, "%s", field[2]);
    snprintf(state.port, sizeof state.port, "%s", field[3]);
    snprintf(state.jid, sizeof state.jid, "%s", field[4]);
    snprintf(state.password, sizeof state.password, "%s", field[5]);
    snprintf(state.authority, sizeof state.authority, "%s", field[6]);
    state.wanted = 1;
  } else if (strcmp(field[0], "presence") == 0) {
    send_presence("", "", field[1]);
  } else if (strcmp(field[0], "subscribe") == 0) {
    send_presence("subscribe", field[1], "");
  } else if (strcmp(field[0], "accept") == 0) {
    send_presence("subscribed", field[1], "");
  } else if (strcmp(field[0], "remove") == 0) {
    remove_contact(field[1]);
  } else if (strcmp(field[0], "contacts") == 0) {
    query(XMPP_NS_ROSTER, "", on_roster);
  } else if (strcmp(field[0], "features") == 0) {
    query(XMPP_NS_DISCO_INFO, field[1], on_disco);
  } else if (strcmp(field[0], "send") == 0) {
    char* const id = xmpp_uuid_gen(state.context);
    xmpp_stanza_t* const message = xmpp_message_new(state.context, "chat", field[1], id);
    xmpp_message_set_body(message, field[2]);
    xmpp_free(state.context, id);
    send_and_release(message);
  } else if (strcmp(field[0], "quit") == 0) {
    state.wanted = 0;
    if (state.online) {
      xmpp_disconnect(state.connection);
    } else {
      lines_say("offline", "", (char*)NULL);
    }
  }
}

int main(void) {
  static struct lines in;
  struct command command;
  xmpp_initialize();
  // What it does on the wire goes to stderr, for who reads why a test failed.
  state.context = xmpp_ctx_new(NULL, xmpp_get_default_logger(XMPP_LEVEL_DEBUG));
  while (!in.ended) {
    while (lines_next(&in, &command)) {
      obey(&command);
    }
    if (state.lost) {
      xmpp_conn_release(state.connection);
      state.connection = NULL;
      state.lost = 0;
    }
    if (state.wanted && !state.connection && time(NULL) >= state.again) {
      connect_now();
    }
    xmpp_run_once(state.context, 20);
  }
  if (state.connection) {
    xmpp_conn_release(state.connection);
  }
  xmpp_ctx_free(state.context);
  xmpp_shutdown();
  return 0;
}
