/* The modes that take events as files in the subscriber's own directory, of eventfs or a tmpfs. */
#include "subscriber.h"

#include <poll.h>
#include <sys/inotify.h>
#include <sys/stat.h>

void make_directory(struct subscriber *subscriber) {
  print_path(subscriber->directory, "%s/%d", subscriber->place, (int)getpid());
  if (mkdir(subscriber->directory, 0700) != 0) die("mkdir %s: %m", subscriber->directory);
}

/* Enters the directory: the kernel would walk a whole path at each call. */
static void enter_directory(const struct subscriber *subscriber) {
  if (chdir(subscriber->directory) != 0) die("cd %s: %m", subscriber->directory);
}

/* Takes an event's file: open, read, close, unlink. Returns false if the file is not there. */
static bool take_file(struct subscriber *subscriber, const char *name) {
  static char text[RECORD_BYTES_MOST + 1];
  int fd = open(name, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  ssize_t length = read_again(fd, text, sizeof text);
  subscriber->arrived_ns = now_ns();
  close(fd);
  /* A full queue may have dropped the event meanwhile, and counts it as lost. */
  if (length < 0 || unlink(name) != 0) return false;
  take_event(subscriber, text, (size_t)length);
  return true;
}

/* Reads the number of lost events in .status of an eventfs directory. */
static void read_losses(struct subscriber *subscriber, uint64_t missing) {
  static uint64_t learnt;
  char text[1024] = "";
  (void)missing;
  int fd = open(".status", O_RDONLY | O_CLOEXEC);
  if (fd < 0 || read(fd, text, sizeof text - 1) < 0) die("%s/.status: %m", subscriber->directory);
  close(fd);
  const char *found = strstr(text, "\nLOST=");
  if (!found) die("%s/.status: no LOST", subscriber->directory);
  uint64_t lost = strtoull(found + strlen("\nLOST="), NULL, 10);
  count_missing(subscriber, lost - learnt);
  learnt = lost;
}

/* Takes all events of an eventfs directory through its .stream. Losses are read in .status. */
static void take_by_stream(struct subscriber *subscriber) {
  static char records[RECORD_BYTES_MOST + 1];
  int fd = open(".stream", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) die("%s/.stream: %m", subscriber->directory);
  for (ssize_t length; (length = read_again(fd, records, sizeof records)) > 0;) {
    subscriber->arrived_ns = now_ns();
    const char *text = records, *end = records + length, *next;
    for (; text < end && (next = memmem(text, (size_t)(end - text), "\n\n", 2)); text = next + 2)
      if (!begins_with(text, (size_t)(end - text), OVERFLOW_HEAD))
        take_event(subscriber, text, (size_t)(next + 1 - text));
  }
  close(fd);
}

/* Mode of eventfs: poll(2) waits for an event, `head` names the next. It reads the name once: a
 * full queue could make `head` another event between read and unlink. */
void pop_head(struct subscriber *subscriber) {
  char name[NAME_MAX + 1];
  make_directory(subscriber);
  enter_directory(subscriber);
  struct pollfd waiting = {.fd = open(".stream", O_RDONLY | O_CLOEXEC), .events = POLLIN};
  if (waiting.fd < 0) die("%s/.stream: %m", subscriber->directory);
  subscriber->learn_losses = read_losses;
  say_ready(subscriber);
  for (;;) {
    if (*subscriber->drains) take_by_stream(subscriber);
    ssize_t length = readlink("head", name, sizeof name - 1);
    if (length < 0) {
      if (errno != ENOENT) die("%s/head: %m", subscriber->directory);
      if (poll(&waiting, 1, -1) < 0 && errno != EINTR) die("poll: %m");
      continue;
    }
    name[length] = '\0';
    take_file(subscriber, name);
  }
}

static int by_name(const void *left, const void *right) {
  return strcmp(*(char *const *)left, *(char *const *)right);
}

/*
 * Lists the names of the current directory, sorted or in the order of the listing (in eventfs the
 * order of arrival). The caller frees each name.
 */
static size_t list(bool sorted, char ***names) {
  static char **found;
  static size_t room;
  size_t count = 0;
  DIR *directory = opendir(".");
  if (!directory) die("opendir: %m");
  for (struct dirent *entry; (entry = readdir(directory));) {
    if (entry->d_name[0] == '.') continue;
    if (count == room && !(found = realloc(found, (room = room * 2 + 64) * sizeof *found)))
      die("realloc: %m");
    if (!(found[count++] = strdup(entry->d_name))) die("strdup: %m");
  }
  closedir(directory);
  if (sorted) qsort(found, count, sizeof *found, by_name);
  *names = found;
  return count;
}

/* Takes all events of the current directory. */
static void take_listed(struct subscriber *subscriber, bool is_eventfs) {
  char **names;
  size_t count = list(!is_eventfs, &names);
  for (size_t i = 0; i < count; i++) {
    bool by_stream = is_eventfs && *subscriber->drains;
    if (!by_stream) take_file(subscriber, names[i]);
    free(names[i]);
  }
  if (is_eventfs && *subscriber->drains) take_by_stream(subscriber);
}

/* Mode of eventfs: inotify reports a new event, and a listing names the events. */
void watch_directory(struct subscriber *subscriber) {
  static char notices[READ_BYTES];
  make_directory(subscriber);
  enter_directory(subscriber);
  int fd = inotify_init1(IN_CLOEXEC);
  if (fd < 0 || inotify_add_watch(fd, ".", IN_CREATE) < 0) die("inotify: %m");
  subscriber->learn_losses = read_losses;
  say_ready(subscriber);
  for (;;) {
    if (read_again(fd, notices, sizeof notices) <= 0) die("inotify: read: %m");
    take_listed(subscriber, true);
  }
}

/* Mode of a tmpfs: a byte in a FIFO reports a new event, and a listing names the events. The
 * subscriber's own writing end keeps the FIFO open. */
void take_links(struct subscriber *subscriber) {
  static char notices[4096];
  char path[PATH_MAX];
  make_directory(subscriber);
  enter_directory(subscriber);
  print_path(path, "%s/%s%d", subscriber->fifodir, FIFO_PREFIX, (int)getpid());
  if (mkfifo(path, 0622) != 0) die("mkfifo %s: %m", path);
  int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC),
      own = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0 || own < 0 || fcntl(fd, F_SETFL, 0) != 0) die("%s: %m", path);
  subscriber->learn_losses = count_missing;
  say_ready(subscriber);
  for (;;) {
    if (read_again(fd, notices, sizeof notices) <= 0) die("%s: read: %m", path);
    take_listed(subscriber, false);
  }
}
