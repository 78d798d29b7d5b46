/*
 *   eventfs-emit [--mount DIR] [--environment] [--] [KEY=VALUE ...]
 *   eventfs-emit [--mount DIR] - < events
 *
 * Without KEY=VALUE, or with --environment, the event has the device variables of the environment,
 * as mdev, mdevd, vdev and udev's RUN+= set them.
 *
 * Exit codes: 0; 1 the event was not published; 100 wrong usage; 102 no daemon serves the mount;
 * 111 a system call failed.
 */
#include "emit.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char *mount_path = "/dev/events";

/* The most bytes of a message. A longer one lacks a part in its middle: the hint is at its end. */
enum { MOST_MESSAGE_BYTES = 1000, MESSAGE_END_BYTES = 300 };

/*
 * Prints a part of a message. Bytes that control a terminal become as in \x1b, also those from 0x80
 * to 0x9f unless they are a part of a character in UTF-8.
 */
static void print_visible(const char *text, size_t length) {
  unsigned char before = 0;
  for (size_t i = 0; i < length; i++) {
    unsigned char byte = (unsigned char)text[i];
    bool is_alone = before < 0x80 || before == 0xc2;
    bool controls = byte < ' ' || byte == 0x7f || (byte >= 0x80 && byte < 0xa0 && is_alone);
    if (controls) fprintf(stderr, "\\x%02x", byte);
    else fputc(byte, stderr);
    before = byte;
  }
}

void die(int code, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  char *text;
  int length = vasprintf(&text, format, arguments);
  va_end(arguments);
  fputs("eventfs: emit: ", stderr);
  if (length > MOST_MESSAGE_BYTES) {
    print_visible(text, MOST_MESSAGE_BYTES - MESSAGE_END_BYTES);
    fputs(" [...] ", stderr);
    print_visible(text + length - MESSAGE_END_BYTES, MESSAGE_END_BYTES);
  } else if (length > 0) {
    print_visible(text, (size_t)length);
  }
  fputc('\n', stderr);
  _exit(code);
}

void *larger(void *old, size_t size) {
  void *memory = realloc(old, size);
  if (memory == NULL) die(EXIT_SYSTEM_CALL, "%s", strerror(errno));
  return memory;
}

/* Reads standard input to its end. Dies if it is empty. */
static char *read_input(size_t *length) {
  char *text = NULL;
  size_t have = 0, size = 0;
  for (;;) {
    if (have == size) text = larger(text, size = size * 2 + 65536);
    ssize_t got = read(STDIN_FILENO, text + have, size - have);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN) { /* another process has made it non-blocking */
      struct pollfd input = {STDIN_FILENO, POLLIN, 0};
      poll(&input, 1, -1);
      continue;
    }
    if (got < 0) die(EXIT_SYSTEM_CALL, "standard input: %s", strerror(errno));
    if (got == 0) break;
    have += (size_t)got;
  }
  if (have == 0)
    die(EXIT_USAGE, "standard input is empty (write an event to it, or give KEY=VALUE)");
  *length = have;
  return text;
}

int main(int argc, char **argv) {
  int environment = 0, input = 0, given = 0;
  bool options = true;
  char **arguments = argv + 1;
  for (int i = 0; i < argc - 1; i++) {
    if (!options) arguments[given++] = arguments[i];
    else if (strcmp(arguments[i], "--") == 0) options = false;
    else if (strcmp(arguments[i], "--environment") == 0) environment = 1;
    else if (strcmp(arguments[i], "--mount") == 0 && i + 2 < argc) mount_path = arguments[++i];
    else if (strncmp(arguments[i], "--mount=", 8) == 0) mount_path = arguments[i] + 8;
    else if (strcmp(arguments[i], "-") == 0) input = 1;
    else if (arguments[i][0] != '-') arguments[given++] = arguments[i];
    else {
      die(EXIT_USAGE,
          "unknown option '%s' (this program has --mount DIR and --environment; try eventfs emit "
          "--help)",
          arguments[i]);
    }
  }
  if (mount_path[0] == '\0') die(EXIT_USAGE, "--mount: it is empty (give a directory)");
  size_t length;
  if (input && given > 0) die(EXIT_USAGE, "-: an argument must be KEY=VALUE, or - alone");
  if (input) {
    char *event = read_input(&length);
    publish(event, length);
    return 0;
  }
  if (environment || given == 0) set_from_environment();
  for (int i = 0; i < given; i++) {
    const char *equals = strchr(arguments[i], '=');
    if (equals == NULL || equals == arguments[i]) {
      die(EXIT_USAGE, "%s: an argument must be KEY=VALUE, or - alone",
          arguments[i][0] == '\0' ? "''" : arguments[i]);
    }
    set(arguments[i], (size_t)(equals - arguments[i]), equals + 1);
  }
  char *event = build_event(&length);
  publish(event, length);
  return 0;
}
