/*
 * eventfs-notify MOUNT MINOR: the daemon starts it, and it ends with the daemon.
 * eventfs-notify MOUNT MINOR CPU: makes requests on that CPU, and ends. The daemon starts it if
 * requests wait in io_uring on that CPU (fs/drivers/devfuse/io-uring/ring-stall-rescuer.ts).
 *
 * Messages come on standard input, each ended by a NUL, in batches. In a batch:
 *
 *   D<inode> <name>   a directory; the following messages are about it
 *   S<tid> <ms>       a thread asked for it that many milliseconds ago
 *   N<name>           an event has come
 *   G<name>           the directory of a dead owner
 *   F<inode>          a directory has ended
 *   .                 the end of the batch
 *
 * The answer to a batch on standard output is a line Q<inode> for each directory without a watch,
 * and a line `.`.
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
#include <unistd.h>

/* The most bytes of one line of the answer. */
#define ANSWER_LINE_BYTES 32

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

void *room_for_one(void *list, size_t count, size_t item_bytes) {
  bool is_full = (count & (count - 1)) == 0; /* its room is the next power of two */
  return is_full ? grow(list, (count ? count * 2 : 1) * item_bytes) : list;
}

uint64_t now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* Returns the milliseconds since the machine's start (CLOCK_BOOTTIME). */
static uint64_t boot_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_BOOTTIME, &now);
  return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* ---- messages */

static void push_name(const char ***list, size_t *count, const char *name) {
  *list = room_for_one(*list, *count, sizeof **list);
  (*list)[(*count)++] = name;
}

/* `<inode> <name>` */
static void begin_part(struct notifier *n, const char *text) {
  struct batch *batch = &n->batch;
  char *end;
  uint64_t ino = strtoull(text, &end, 10);
  const char *name = *end == ' ' ? end + 1 : end;
  size_t count = batch->part_count++;
  batch->parts = room_for_one(batch->parts, count, sizeof *batch->parts);
  batch->parts[count] = (struct part){
      .directory = enter_directory(n, ino, name),
      .first_name = batch->name_count,
  };
}

/* The part that a message continues. */
static struct part *last_part(struct batch *batch, const char *message) {
  if (batch->part_count == 0) die(1, "a message without a directory: %s", message);
  return &batch->parts[batch->part_count - 1];
}

/* `<tid> <ms>` */
static void take_candidate(struct notifier *n, const char *text) {
  char *age;
  int tid = (int)strtol(text, &age, 10);
  uint64_t asked_ms = boot_ms() - strtoull(age, NULL, 10);
  add_candidate(n, last_part(&n->batch, text)->directory, tid, asked_ms);
}

static void take_name(struct batch *batch, const char *name) {
  last_part(batch, name)->name_count++;
  push_name(&batch->names, &batch->name_count, name);
}

/* Takes one message. Returns true at the end of a batch. */
static bool take(struct notifier *n, const char *message) {
  const char *rest = message + 1;
  switch (message[0]) {
    case 'D': begin_part(n, rest); return false;
    case 'S': take_candidate(n, rest); return false;
    case 'N': take_name(&n->batch, rest); return false;
    case 'G': push_name(&n->batch.ghosts, &n->batch.ghost_count, rest); return false;
    case 'F': forget_directory(n, strtoull(rest, NULL, 10)); return false;
    case '.': return true;
    default: die(1, "unknown message: %s", message);
  }
}

/* ---- a batch */

static void raise_part(struct notifier *n, struct part *part) {
  part->is_raised = true;
  raise_created(n, part->directory, n->batch.names + part->first_name, part->name_count);
}

/* Writes a whole answer. Ends the process if the daemon is gone. */
static void write_answer(const char *text, size_t length) {
  while (length > 0) {
    ssize_t written = write(STDOUT_FILENO, text, length);
    if (written < 0 && errno != EINTR) exit(0);
    if (written <= 0) continue;
    text += written;
    length -= (size_t)written;
  }
}

/* Names and forgets each directory without a watch. With the lock, which it releases meanwhile. */
static void answer(struct notifier *n) {
  struct batch *batch = &n->batch;
  size_t length = 0;
  if (batch->answer_room < batch->part_count * ANSWER_LINE_BYTES + 3) {
    batch->answer_room = batch->part_count * 2 * ANSWER_LINE_BYTES + 3;
    batch->answer = grow(batch->answer, batch->answer_room);
  }
  char *text = batch->answer;
  for (size_t i = 0; i < batch->part_count; i++) {
    const struct directory *directory = batch->parts[i].directory;
    if (directory->candidate_count > 0 || may_be_watched(n, directory)) continue;
    length += (size_t)sprintf(text + length, "Q%llu\n", (unsigned long long)directory->ino);
    forget_directory(n, directory->ino);
  }
  unlock(n);
  memcpy(text + length, ".\n", 2);
  write_answer(text, length + 2);
  lock(n);
}

/*
 * Raises the events of a batch, and answers it. A directory that is known to be watched waits for
 * no scan. With the lock, which it releases meanwhile: only this thread forgets directories.
 */
static void work(struct notifier *n) {
  struct batch *batch = &n->batch;
  bool is_any_left = false;
  for (size_t i = 0; i < batch->part_count; i++) {
    struct part *part = &batch->parts[i];
    request_scans(n, part->directory);
    part->is_raised = is_known_watched(part->directory);
    is_any_left |= !part->is_raised;
  }
  unlock(n);
  open_mount(n);
  for (size_t i = 0; i < batch->part_count; i++) {
    if (batch->parts[i].is_raised) raise_part(n, &batch->parts[i]);
  }
  for (size_t i = 0; i < batch->ghost_count; i++) raise_deleted(n, batch->ghosts[i]);
  lock(n);
  if (is_any_left) wait_for_scans(n);
  for (size_t i = 0; i < batch->part_count; i++) {
    struct part *part = &batch->parts[i];
    if (part->is_raised || !may_be_watched(n, part->directory)) continue;
    unlock(n);
    raise_part(n, part);
    lock(n);
  }
  unlock(n);
  close_mount(n);
  lock(n);
  answer(n);
  batch->part_count = batch->name_count = batch->ghost_count = 0;
}

/* Returns whether the input ends with the message `.`. */
static bool ends_batch(const char *text, size_t length) {
  if (length < 2 || text[length - 1] != '\0' || text[length - 2] != '.') return false;
  return length == 2 || text[length - 3] == '\0';
}

/* Works on batch after batch until the daemon is gone. The daemon sends one at a time. */
static void serve(struct notifier *n) {
  size_t room = 1 << 16, length = 0;
  char *text = grow(NULL, room);
  for (;;) {
    if (length == room) text = grow(text, room *= 2);
    ssize_t got = read(STDIN_FILENO, text + length, room - length);
    if (got == 0) return;
    if (got < 0 && errno != EINTR) die(1, "read: %s", strerror(errno));
    if (got < 0) continue;
    length += (size_t)got;
    if (!ends_batch(text, length)) continue;
    lock(n); /* so that no scan begins in this batch before all its candidates are known */
    n->batch.number++;
    for (size_t at = 0; at < length; at += strlen(text + at) + 1) {
      if (take(n, text + at)) work(n);
    }
    unlock(n);
    length = 0;
  }
}

int main(int count, char **arguments) {
  static struct notifier notifier;
  struct notifier *n = &notifier;
  if (count != 3 && count != 4) die(1, "only the daemon starts this program");
  n->mount.path = arguments[1];
  n->mount.root = -1;
  n->device = strtoull(arguments[2], NULL, 10);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  syscall(SYS_close_range, 3u, ~0u, 0u);
  umask(0);
  /*
   * A terminal or a service manager signals the whole process group, but the daemon ends this
   * process
   */
  const int ignored[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE, SIGUSR1, SIGUSR2};
  for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++) signal(ignored[i], SIG_IGN);
  if (count == 3) {
    start_scanning(n);
    serve(n);
  } else {
    open_mount(n);
    make_requests_on(n, atoi(arguments[3]));
  }
  return 0;
}
