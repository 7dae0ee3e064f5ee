// lines.h: the side of a driven client of the line protocol that driven_client.py describes; C and C++.
#pragma once

#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { lines_longest = 65536, lines_most_fields = 8 };

// Holds what has been read and not yet taken. Starts as all zeros.
struct lines {
  char text[lines_longest];
  size_t length;
  size_t taken;
  int ended;
};

// One command: its fields, "" for those it does not have.
struct command {
  const char* field[lines_most_fields];
};

// 1 and the next command; 0 where no whole line is there. Never waits. Once `ended` is set nobody drives the client.
// The fields live until the next call.
static inline int lines_next(struct lines* in, struct command* out) {
  memmove(in->text, in->text + in->taken, in->length - in->taken);
  in->length -= in->taken;
  in->taken = 0;
  struct pollfd input = {STDIN_FILENO, POLLIN, 0};
  while (!memchr(in->text, '\n', in->length) && in->length < sizeof in->text && poll(&input, 1, 0) > 0) {
    const ssize_t count = read(STDIN_FILENO, in->text + in->length, sizeof in->text - in->length);
    if (count <= 0) {
      in->ended = 1;
      return 0;
    }
    in->length += (size_t)count;
  }
  char* const end = (char*)memchr(in->text, '\n', in->length);
  if (!end) {
    return 0;
  }
  *end = '\0';
  in->taken = (size_t)(end - in->text) + 1;
  char* next = in->text;
  for (size_t i = 0; i < lines_most_fields; ++i) {
    out->field[i] = next;
    next += strcspn(next, "\t");
    if (*next) {
      *next++ = '\0';
    }
  }
  return 1;
}

// Says an event: its name and its fields, ended by NULL. What would divide a field becomes a space.
static inline void lines_say(const char* name, ...) {
  va_list fields;
  va_start(fields, name);
  for (const char* field = name; field; field = va_arg(fields, const char*)) {
    if (field != name) {
      putchar('\t');
    }
    for (; *field; ++field) {
      putchar(*field == '\t' || *field == '\n' || *field == '\r' ? ' ' : *field);
    }
  }
  va_end(fields);
  putchar('\n');
  fflush(stdout);
}
