/* Events as files in a directory of the subscriber's own, of an eventfs or of a tmpfs. */
#include "subscriber.h"
#include <poll.h>
#include <sys/inotify.h>
#include <sys/stat.h>

void make_directory(struct subscriber *subscriber) {
  print_path(subscriber->directory, "%s/%d", subscriber->place, (int)getpid());
  if (mkdir(subscriber->directory, 0700) != 0) die("mkdir %s: %m", subscriber->directory);
}

/* Takes an event's file: open, read, close, unlink. False when it isn't there. */
static bool take_file(struct subscriber *subscriber, const char *path) {
  static char text[RECORD_BYTES_MOST + 1];
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  ssize_t length = read_again(fd, text, sizeof text);
  subscriber->arrived_ns = now_ns();
  close(fd);
  if (length < 0 || unlink(path) != 0) return false; /* a full queue has let go of it meanwhile, and counts it */
  take_event(subscriber, text, (size_t)length);
  return true;
}

/* eventfs: the directory's .status knows. */
static void read_losses(struct subscriber *subscriber, uint64_t missing) {
  static uint64_t learnt;
  char path[PATH_MAX], text[1024] = "";
  (void)missing;
  print_path(path, "%s/.status", subscriber->directory);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0 || read(fd, text, sizeof text - 1) < 0) die("%s: %m", path);
  close(fd);
  const char *found = strstr(text, "\nLOST=");
  if (!found) die("%s: no LOST", path);
  uint64_t lost = strtoull(found + strlen("\nLOST="), NULL, 10);
  count_missing(subscriber, lost - learnt);
  learnt = lost;
}

/* eventfs: takes all that the directory holds through its .stream. What was lost, .status tells. */
static void take_in_a_hurry(struct subscriber *subscriber) {
  static char records[RECORD_BYTES_MOST + 1];
  char path[PATH_MAX];
  print_path(path, "%s/.stream", subscriber->directory);
  int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) die("%s: %m", path);
  for (ssize_t length; (length = read_again(fd, records, sizeof records)) > 0;) {
    subscriber->arrived_ns = now_ns();
    const char *text = records, *end = records + length, *next;
    for (; text < end && (next = memmem(text, (size_t)(end - text), "\n\n", 2)); text = next + 2)
      if (!begins_with(text, (size_t)(end - text), OVERFLOW_HEAD)) take_event(subscriber, text, (size_t)(next + 1 - text));
  }
  close(fd);
}

/* eventfs: poll(2) says that there is something, `head` says what. The name is asked for once, so that a full queue can't
 * make it another event's between read and unlink. */
void pop_head(struct subscriber *subscriber) {
  char head[PATH_MAX], path[PATH_MAX], name[NAME_MAX + 1];
  make_directory(subscriber);
  print_path(path, "%s/.stream", subscriber->directory);
  struct pollfd waiting = {.fd = open(path, O_RDONLY | O_CLOEXEC), .events = POLLIN};
  if (waiting.fd < 0) die("%s: %m", path);
  print_path(head, "%s/head", subscriber->directory);
  subscriber->learn_losses = read_losses;
  say_ready(subscriber);
  for (;;) {
    if (*subscriber->in_a_hurry) take_in_a_hurry(subscriber);
    ssize_t length = readlink(head, name, sizeof name - 1);
    if (length < 0) {
      if (errno != ENOENT) die("%s: %m", head);
      if (poll(&waiting, 1, -1) < 0 && errno != EINTR) die("poll: %m");
      continue;
    }
    name[length] = '\0';
    print_path(path, "%s/%s", subscriber->directory, name);
    take_file(subscriber, path);
  }
}

static int by_name(const void *left, const void *right) { return strcmp(*(char *const *)left, *(char *const *)right); }

/* The names in the directory, from malloc: in the order of the listing, which in an eventfs is that of arrival, or by name. */
static size_t list(const char *path, bool sorted, char ***names) {
  static char **found;
  static size_t room;
  size_t count = 0;
  DIR *directory = opendir(path);
  if (!directory) die("%s: %m", path);
  for (struct dirent *entry; (entry = readdir(directory));) {
    if (entry->d_name[0] == '.') continue;
    if (count == room && !(found = realloc(found, (room = room * 2 + 64) * sizeof *found))) die("realloc: %m");
    if (!(found[count++] = strdup(entry->d_name))) die("strdup: %m");
  }
  closedir(directory);
  if (sorted) qsort(found, count, sizeof *found, by_name);
  *names = found;
  return count;
}

/* Takes everything that the directory holds. */
static void take_listed(struct subscriber *subscriber, bool is_eventfs) {
  char **names, path[PATH_MAX];
  size_t count = list(subscriber->directory, !is_eventfs, &names);
  for (size_t i = 0; i < count; i++) {
    bool hurries = is_eventfs && *subscriber->in_a_hurry;
    print_path(path, "%s/%s", subscriber->directory, names[i]);
    if (!hurries) take_file(subscriber, path);
    free(names[i]);
  }
  if (is_eventfs && *subscriber->in_a_hurry) take_in_a_hurry(subscriber);
}

/* eventfs: inotify says that there is something, and a listing what. */
void watch_directory(struct subscriber *subscriber) {
  static char notices[READ_BYTES];
  make_directory(subscriber);
  int fd = inotify_init1(IN_CLOEXEC);
  if (fd < 0 || inotify_add_watch(fd, subscriber->directory, IN_CREATE) < 0) die("inotify: %m");
  subscriber->learn_losses = read_losses;
  say_ready(subscriber);
  for (;;) {
    if (read_again(fd, notices, sizeof notices) <= 0) die("inotify: read: %m");
    take_listed(subscriber, true);
  }
}

/* tmpfs: a byte in a FIFO says that there is something, a listing what. Its own writing end keeps the FIFO open. */
void take_links(struct subscriber *subscriber) {
  static char notices[4096];
  char path[PATH_MAX];
  make_directory(subscriber);
  print_path(path, "%s/%s%d", subscriber->fifodir, FIFO_PREFIX, (int)getpid());
  if (mkfifo(path, 0622) != 0) die("mkfifo %s: %m", path);
  int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC), own = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0 || own < 0 || fcntl(fd, F_SETFL, 0) != 0) die("%s: %m", path);
  subscriber->learn_losses = count_missing;
  say_ready(subscriber);
  for (;;) {
    if (read_again(fd, notices, sizeof notices) <= 0) die("%s: read: %m", path);
    take_listed(subscriber, false);
  }
}
