/*
 * Measures one operation: `client OPERATION PATH COUNT`.
 *
 *   open FILE     open, read, close          list DIR      opendir, readdir to the end, closedir
 *   stat PATH     stat                       create DIR    create, write 300 bytes, close, unlink
 *   getxattr DIR  user.eventfs.pending       link FILE     link beside it, unlink
 *   mkdir ROOT    mkdir, rmdir               rename FILE   rename and back
 *   pop DIR       open head, read, close, unlink head, after DIR was filled
 *   pop-each DIR  the same, with an event published before each, so that as many wait each time
 *
 * Runs COUNT operations in ten slices after a warm-up, and prints the median and the best slice.
 * Preparations are not counted.
 */
#include "record.h"

#include <dirent.h>
#include <limits.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#define SLICES 10
#define LIMIT_S 120
#define EVENT_BYTES 300

static char
    other_path[PATH_MAX + 32]; /* The second name that some operations need: PATH and a suffix. */

static void open_read_close(const char *path) {
  char text[4096];
  int fd = open(path, O_RDONLY);
  if (fd < 0) die("%s: open: %m", path);
  if (read(fd, text, sizeof text) <= 0) die("%s: read: no data: %m", path);
  close(fd);
}

static void stat_path(const char *path) {
  struct stat attributes;
  if (stat(path, &attributes) != 0) die("%s: stat: %m", path);
}

static void get_attribute(const char *path) {
  char value[64];
  if (getxattr(path, "user.eventfs.pending", value, sizeof value) < 0)
    die("%s: getxattr: %m", path);
}

static void list(const char *path) {
  DIR *directory = opendir(path);
  if (!directory) die("%s: opendir: %m", path);
  while (errno = 0, readdir(directory)) continue;
  if (errno) die("%s: readdir: %m", path);
  closedir(directory);
}

static void make_and_remove(const char *path) {
  (void)path;
  if (mkdir(other_path, 0700) != 0) die("%s: mkdir: %m", other_path);
  if (rmdir(other_path) != 0) die("%s: rmdir: %m", other_path);
}

static void create_event(const char *path) {
  static const char text[EVENT_BYTES] = "add@/x\n";
  int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
  if (fd < 0) die("%s: create: %m", path);
  if (write(fd, text, sizeof text) != sizeof text) die("%s: write: %m", path);
  close(fd);
}

static void create_and_unlink(const char *path) {
  (void)path;
  create_event(other_path);
  if (unlink(other_path) != 0) die("%s: unlink: %m", other_path);
}

static void link_and_unlink(const char *path) {
  if (link(path, other_path) != 0) die("%s: link: %m", other_path);
  if (unlink(other_path) != 0) die("%s: unlink: %m", other_path);
}

static void rename_and_back(const char *path) {
  if (rename(path, other_path) != 0) die("%s: rename: %m", other_path);
  if (rename(other_path, path) != 0) die("%s: rename: %m", path);
}

static void pop(const char *path) {
  (void)path;
  open_read_close(other_path);
  if (unlink(other_path) != 0) die("%s: unlink: %m", other_path);
}

static void fill(const char *path, long count) {
  static long serial;
  for (long i = 0; i < count; i++) {
    char name[PATH_MAX + 32];
    snprintf(name, sizeof name, "%s/%ld", path, ++serial);
    create_event(name);
  }
}

/* Publishes to the mount that DIR is in. */
static void publish(const char *path, long count) {
  static int fd = -1;
  static char *record;
  if (fd < 0) {
    char publish_path[PATH_MAX + 32];
    snprintf(publish_path, sizeof publish_path, "%s/../publish", path);
    fd = open(publish_path, O_WRONLY | O_CLOEXEC);
    if (fd < 0) die("%s: %m", publish_path);
    record = record_new(EVENT_BYTES + 1);
  }
  for (long i = 0; i < count; i++)
    if (write(fd, record, EVENT_BYTES) != EVENT_BYTES) die("publish: write: %m");
}

static const struct operation {
  const char *name;
  void (*run)(const char *path);
  const char *other; /* The suffix that makes `other_path` of PATH; %d is the PID. */
  void (*prepare)(const char *path, long count);
  bool prepares_each; /* Prepares one before each operation, instead of all first. */
} operations[] = {
    {"open", open_read_close, "", NULL, false},
    {"stat", stat_path, "", NULL, false},
    {"getxattr", get_attribute, "", NULL, false},
    {"list", list, "", NULL, false},
    {"mkdir", make_and_remove, "/%d.x", NULL, false},
    {"create", create_and_unlink, "/made", NULL, false},
    {"link", link_and_unlink, ".2", NULL, false},
    {"rename", rename_and_back, ".2", NULL, false},
    {"pop", pop, "/head", fill, false},
    {"pop-each", pop, "/head", publish, true},
};

static const struct operation *find_operation(const char *name) {
  for (size_t i = 0; i < sizeof operations / sizeof *operations; i++)
    if (strcmp(operations[i].name, name) == 0) return &operations[i];
  die("no operation '%s'", name);
}

/* Returns the microseconds of one operation, the mean of `count`. */
static double time_operations(const struct operation *operation, const char *path, long count) {
  uint64_t prepared_ns = 0;
  if (operation->prepare && !operation->prepares_each) operation->prepare(path, count);
  uint64_t start_ns = now_ns();
  for (long i = 0; i < count; i++) {
    if (operation->prepares_each) {
      uint64_t from_ns = now_ns();
      operation->prepare(path, 1);
      prepared_ns += now_ns() - from_ns;
    }
    operation->run(path);
  }
  return (double)(now_ns() - start_ns - prepared_ns) / (double)NS_PER_US / (double)count;
}

int main(int argc, char **argv) {
  if (argc != 4) die("usage: client OPERATION PATH COUNT");
  const struct operation *operation = find_operation(argv[1]);
  long slice_count = parse_number(argv[3], "COUNT", SLICES, 1000000000) / SLICES;
  char other[32];
#pragma GCC diagnostic ignored "-Wformat-nonliteral" /* The format is in the table above. */
  snprintf(other, sizeof other, operation->other, (int)getpid());
  snprintf(other_path, sizeof other_path, "%s%s", argv[2], other);

  limit_time(LIMIT_S);
  time_operations(operation, argv[2], slice_count);
  double slices_us[SLICES];
  for (int i = 0; i < SLICES; i++) slices_us[i] = time_operations(operation, argv[2], slice_count);
  sort_doubles(slices_us, SLICES);
  printf("us=%.3f best=%.3f count=%ld\n", quantile(slices_us, SLICES, 0.5), slices_us[0],
         slice_count * SLICES);
  return 0;
}
