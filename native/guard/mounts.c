/* The places of the mount: it may have been moved or bound since (proc_pid_mountinfo(5)). */
#include "guard.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* The longest line of mountinfo that is read. Longer ones are left out. */
enum { LINE_BYTES = 32 * 1024 };
static char line[LINE_BYTES];

/* The minor number of the mount's device; -1 before `note_mount`. */
static int device = -1;

/* Decodes a path, which has blanks, line ends and backslashes as three octal digits. */
static void unescape(char *text) {
  char *to = text;
  for (const char *from = text; *from != '\0'; from++) {
    if (from[0] == '\\' && from[1] && from[2] && from[3]) {
      *to++ = (char)((from[1] - '0') * 64 + (from[2] - '0') * 8 + from[3] - '0');
      from += 3;
    } else {
      *to++ = *from;
    }
  }
  *to = '\0';
}

/* Returns the path of a line if it is that of a FUSE mount; else NULL. */
static const char *parse(int *minor_number) {
  int major_number, at = 0, end = 0;
  int fields = sscanf(line, "%*d %*d %d:%d %*s %n%*s%n", &major_number, minor_number, &at, &end);
  if (fields < 2 || end == 0 || major_number != 0) return NULL;
  const char *type = strstr(line + end, " - ");
  if (type == NULL || strncmp(type + 3, "fuse", 4) != 0) return NULL;
  line[end] = '\0';
  unescape(line + at);
  return line + at;
}

/* Calls `visit` for each FUSE mount, until it returns false. */
static void for_each(bool (*visit)(const char *path, int minor_number)) {
  static char bytes[LINE_BYTES];
  int mounts = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
  if (mounts < 0) return;
  size_t length = 0;
  bool is_whole = true, goes_on = true;
  for (ssize_t got; goes_on && (got = read(mounts, bytes, sizeof bytes)) != 0;) {
    if (got < 0 && errno != EINTR) break;
    for (ssize_t i = 0; i < got && goes_on; i++) {
      if (bytes[i] != '\n') {
        if (length + 1 < sizeof line) line[length++] = bytes[i];
        else is_whole = false;
        continue;
      }
      line[length] = '\0';
      int minor_number;
      const char *path = is_whole ? parse(&minor_number) : NULL;
      if (path != NULL) goes_on = visit(path, minor_number);
      length = 0;
      is_whole = true;
    }
  }
  close(mounts);
}

static bool note(const char *path, int minor_number) {
  if (strcmp(path, options.mount) == 0) device = minor_number; /* the last one is on top */
  return true;
}

/*
 * Returns the minor number of the connection's device, as mountinfo has it. The mount may have been
 * moved already, so its path does not tell. Returns -1 before Linux 6.16, where /proc does not name
 * the connection.
 */
static int connection_minor(void) {
  static const char NAME[] = "\nfuse_connection:";
  char path[64], text[1024];
  snprintf(path, sizeof path, "/proc/self/fdinfo/%d", find_kept("fuse"));
  int file = open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return -1;
  ssize_t length = read(file, text, sizeof text - 1);
  close(file);
  text[length > 0 ? length : 0] = '\0';
  const char *found = strstr(text, NAME);
  int minor_number;
  return found != NULL && sscanf(found + sizeof NAME - 1, "%d", &minor_number) == 1 ? minor_number
                                                                                    : -1;
}

void note_mount(void) {
  device = connection_minor();
  if (device < 0) for_each(note);
}

static bool (*detach_at)(const char *path);
static bool has_detached;

static bool detach_own(const char *path, int minor_number) {
  has_detached = minor_number == device && detach_at(path);
  return !has_detached; /* the list has changed: it is read anew */
}

bool detach_one(bool (*detach)(const char *path)) {
  if (device < 0) return detach(options.mount);
  detach_at = detach;
  has_detached = false;
  for_each(detach_own);
  return has_detached;
}
