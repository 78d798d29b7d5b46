/*
 * eventfs-notify MOUNT MINOR: started by the daemon, ends with it.
 * eventfs-notify MOUNT MINOR CPU: asks the daemon one thing from that CPU, and ends (fs/drivers/devfuse/io-uring/ring-stall-rescuer.ts).
 *
 * Messages come on standard input, each ended by a NUL, in batches. In a batch:
 *
 *   D<inode> <name>   a directory; what follows is about it
 *   S<tid> <ms>       a thread has asked for it so long ago
 *   N<name>           an event has come
 *   G<name>           the directory of a dead owner
 *   F<inode>          a directory has ended
 *   .                 the end of the batch
 *
 * The answer to a batch, on standard output: a line Q<inode> for each directory that nobody watches, and a line `.`.
 */
#include "notifier.h"

#include <errno.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

uint32_t batch;
uint64_t device;

/* What a batch says. Names stay where they were read. */
struct part {
  struct directory *directory;
  size_t first_name;
  size_t name_count;
  bool is_raised;
};

static struct part *parts;
static size_t part_count;
static const char **names;
static size_t name_count;
static const char **ghosts;
static size_t ghost_count;

void die(int code, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  dprintf(STDERR_FILENO, "eventfs-notify: ");
  vdprintf(STDERR_FILENO, format, arguments);
  dprintf(STDERR_FILENO, "\n");
  va_end(arguments);
  exit(code);
}

void *grow(void *memory, size_t bytes) {
  void *grown = realloc(memory, bytes);
  if (!grown) die(EXIT_TRY_LATER, "out of memory");
  return grown;
}

uint64_t boot_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_BOOTTIME, &now);
  return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

uint64_t now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* `<number> <rest>`: the number, and where the rest is. */
static uint64_t take_number(const char *text, const char **rest) {
  char *end;
  uint64_t number = strtoull(text, &end, 10);
  *rest = *end == ' ' ? end + 1 : end;
  return number;
}

static void push_name(const char ***list, size_t *count, const char *name) {
  if ((*count & (*count - 1)) == 0) *list = grow(*list, (*count ? *count * 2 : 1) * sizeof **list);
  (*list)[(*count)++] = name;
}

static void begin_part(const char *text) {
  const char *name;
  uint64_t ino = take_number(text, &name);
  if ((part_count & (part_count - 1)) == 0) parts = grow(parts, (part_count ? part_count * 2 : 1) * sizeof *parts);
  parts[part_count++] = (struct part){enter_directory(ino, name), name_count, 0, false};
}

static void take_asker(const char *text) {
  if (part_count == 0) die(1, "a thread without a directory");
  char *age;
  int tid = (int)strtol(text, &age, 10);
  add_asker(parts[part_count - 1].directory, tid, boot_ms() - strtoull(age, NULL, 10));
}

static void take_name(const char *name) {
  if (part_count == 0) die(1, "an event without a directory");
  push_name(&names, &name_count, name);
  parts[part_count - 1].name_count++;
}

static void raise_part(struct part *part) {
  part->is_raised = true;
  raise_created(part->directory, names + part->first_name, part->name_count);
}

/* Writes all of the answer; ends the process when the daemon is gone. */
static void answer(const char *text, size_t length) {
  while (length > 0) {
    ssize_t written = write(STDOUT_FILENO, text, length);
    if (written < 0 && errno != EINTR) exit(0);
    if (written <= 0) continue;
    text += written;
    length -= (size_t)written;
  }
}

/* Names each directory that nobody watches, and forgets it. With the lock. */
static void answer_quiet(void) {
  static char *text;
  static size_t room;
  size_t length = 0;
  if (room < part_count * 32 + 3) text = grow(text, room = part_count * 64 + 3);
  for (size_t i = 0; i < part_count; i++) {
    const struct directory *directory = parts[i].directory;
    if (directory->asker_count > 0 || may_be_watched(directory)) continue;
    length += (size_t)sprintf(text + length, "Q%llu\n", (unsigned long long)directory->ino);
    forget_directory(directory->ino);
  }
  unlock_all();
  memcpy(text + length, ".\n", 2);
  answer(text, length + 2);
  lock_all();
}

/*
 * Does what the batch says, and answers. Directories that are known to be watched wait for no look. With the lock, which
 * is let go of meanwhile: only this thread forgets directories.
 */
static void work(const char *mount) {
  bool is_any_left = false;
  for (size_t i = 0; i < part_count; i++) {
    ask_for_looks(parts[i].directory);
    parts[i].is_raised = is_known_watched(parts[i].directory);
    is_any_left |= !parts[i].is_raised;
  }
  unlock_all();
  open_mount(mount);
  for (size_t i = 0; i < part_count; i++)
    if (parts[i].is_raised) raise_part(&parts[i]);
  for (size_t i = 0; i < ghost_count; i++) raise_deleted(ghosts[i]);
  lock_all();
  if (is_any_left) wait_for_looks();
  for (size_t i = 0; i < part_count; i++) {
    if (parts[i].is_raised || !may_be_watched(parts[i].directory)) continue;
    unlock_all();
    raise_part(&parts[i]);
    lock_all();
  }
  unlock_all();
  close_mount();
  lock_all();
  answer_quiet();
  part_count = name_count = ghost_count = 0;
}

/* One message. True when it ends a batch. */
static bool take(const char *message) {
  const char *rest = message + 1;
  switch (message[0]) {
    case 'D': begin_part(rest); return false;
    case 'S': take_asker(rest); return false;
    case 'N': take_name(rest); return false;
    case 'G': push_name(&ghosts, &ghost_count, rest); return false;
    case 'F': forget_directory(strtoull(rest, NULL, 10)); return false;
    case '.': return true;
    default: die(1, "no such message: %s", message);
  }
}

/* Reads batch after batch until the daemon is gone. Only one is under way at a time. */
static void serve(const char *mount) {
  size_t room = 1 << 16, length = 0, seen = 0;
  char *text = grow(NULL, room);
  for (;;) {
    if (length == room) text = grow(text, room *= 2);
    ssize_t got = read(STDIN_FILENO, text + length, room - length);
    if (got == 0) return;
    if (got < 0 && errno != EINTR) die(1, "read: %s", strerror(errno));
    if (got < 0) continue;
    length += (size_t)got;
    if (length < 2 || text[length - 1] != '\0' || text[length - 2] != '.' || (length > 2 && text[length - 3] != '\0')) continue;
    lock_all(); /* so that no look begins in this batch before all its askers are there */
    batch++;
    for (seen = 0; seen < length; seen += strlen(text + seen) + 1)
      if (take(text + seen)) work(mount);
    unlock_all();
    length = 0;
  }
}

int main(int count, char **arguments) {
  if (count != 3 && count != 4) die(1, "it is started by the daemon");
  device = strtoull(arguments[2], NULL, 10);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  syscall(SYS_close_range, 3u, ~0u, 0u);
  umask(0);
  /* A terminal and a service manager signal all of us: the daemon decides when it is over. */
  const int ignored[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE, SIGUSR1, SIGUSR2};
  for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++) signal(ignored[i], SIG_IGN);
  if (count == 3) {
    start_looking();
    serve(arguments[1]);
  } else {
    open_mount(arguments[1]);
    ask_on(atoi(arguments[3]));
  }
  return 0;
}
