/*
 * Calls random operations on a mount: `churn MOUNT SEED`. A line on its standard input pauses it,
 * which it answers with `paused`; the next line resumes it; end of file ends it.
 */
#include "common.h"
#include <poll.h>
#include <sys/stat.h>

enum { DIRECTORIES = 12, NAMES = 60, MOST_OPEN = 600 };

static const char *mount_path;
static int open_files[MOST_OPEN], count_open;
static char bytes[65536];

static long pick(long below) { return random() % below; }

/* Returns the path of a directory, or of a file in it; names are up to 200 bytes long. */
static const char *path_of(long directory, long file, const char *dot) {
  static char paths[4][1024];
  static int turn;
  char *path = paths[turn++ % 4];
  char pad[200];
  memset(pad, 'p', sizeof pad);
  int length = snprintf(path, 1024, "%s/%d.%ld", mount_path, (int)getpid(), directory);
  if (dot) snprintf(path + length, 1024 - (size_t)length, "/%s", dot);
  else if (file >= 0)
    snprintf(path + length, 1024 - (size_t)length, "/%ld-%.*s", file, (int)(file * 37 % 190), pad);
  return path;
}

static const char *any_file(void) { return path_of(pick(DIRECTORIES), pick(NAMES), NULL); }

static void keep(int fd) {
  if (fd < 0) return;
  if (count_open < MOST_OPEN) open_files[count_open++] = fd;
  else {
    long which = pick(MOST_OPEN);
    close(open_files[which]);
    open_files[which] = fd;
  }
}

static void write_some(int fd) {
  if (fd < 0) return;
  if (write(fd, bytes, (size_t)(pick(4) == 0 ? pick(65536) : pick(600))) < 0) return;
}

static void set_filter(void) {
  char *text = NULL;
  size_t length = 0;
  FILE *to = open_memstream(&text, &length);
  for (long n = pick(pick(20) == 0 ? 2000 : 30); n >= 0; n--)
    fprintf(to, "KEY%ld==%ld|%ld*\n", n, random(), pick(9));
  fclose(to);
  int fd = open(path_of(pick(DIRECTORIES), 0, ".filter"), O_WRONLY | O_TRUNC);
  if (fd >= 0 && pick(3) > 0 && write(fd, text, length) < 0) errno = 0;
  free(text);
  keep(fd);
}

static void open_stream(void) {
  char path[1024];
  if (pick(3) == 0) snprintf(path, sizeof path, "%s/stream", mount_path);
  else if (pick(2) == 0)
    snprintf(path, sizeof path, "%s/match/KEY%ld!=%ld", mount_path, pick(30), random());
  else snprintf(path, sizeof path, "%s", path_of(pick(DIRECTORIES), 0, ".stream"));
  keep(open(path, O_RDONLY | O_NONBLOCK));
}

/*
 * Starts a child that owns a directory with files, opens some of these here, and lets the child
 * die.
 */
static void let_child_die(void) {
  pid_t child = fork_child();
  if (child == 0) {
    if (mkdir(path_of(99, -1, NULL), 0777) != 0) _exit(1);
    for (long n = pick(20); n >= 0; n--) {
      int fd = open(path_of(99, n, NULL), O_WRONLY | O_CREAT, 0666);
      write_some(fd);
    }
    usleep(2000);
    _exit(0);
  }
  char path[1024];
  snprintf(path, sizeof path, "%s/%d.99/0-", mount_path, (int)child);
  for (int n = 0; n < 20; n++) keep(open(path, O_RDONLY));
  waitpid(child, NULL, 0);
}

/* Makes a dangling symlink, sometimes with a long target; it may be open when it is removed. */
static void make_symlink(void) {
  char target[4096];
  const char *path = any_file();
  snprintf(target, sizeof target, "none/%.*s", (int)(pick(3) == 0 ? pick(4090) : pick(60)), bytes);
  if (symlink(target, path) == 0 && pick(3) == 0) keep(open(path, O_PATH | O_NOFOLLOW));
}

static void act(void) {
  switch (pick(25)) {
    case 0:
      if (mkdir(path_of(pick(DIRECTORIES), -1, NULL), 0755) < 0) errno = 0;
      break;
    case 1: {
      long directory = pick(DIRECTORIES);
      for (long n = 0; n < NAMES; n++) unlink(path_of(directory, n, NULL));
      rmdir(path_of(directory, -1, NULL));
      break;
    }
    case 2:
    case 3:
    case 4:
    case 5: {
      int fd = open(any_file(), O_RDWR | O_CREAT | O_NONBLOCK, 0644); /* it may be a FIFO */
      write_some(fd);
      if (pick(3) == 0) keep(fd);
      else if (fd >= 0) close(fd);
      break;
    }
    case 6:
    case 7:
      if (truncate(any_file(), pick(2) * pick(65537)) < 0) errno = 0;
      break;
    case 8:
    case 9: unlink(any_file()); break;
    case 10:
    case 11:
      if (link(any_file(), any_file()) < 0) errno = 0;
      break;
    case 12:
      if (rename(any_file(), any_file()) < 0) errno = 0;
      break;
    case 13: keep(open(any_file(), (pick(2) ? O_RDONLY : O_RDWR) | O_NONBLOCK)); break;
    case 14: open_stream(); break;
    case 15:
      keep(open(path_of(pick(DIRECTORIES), 0, pick(2) ? ".status" : ".since"), O_RDONLY));
      break;
    case 16: set_filter(); break;
    case 17:
      if (mkfifo(any_file(), 0644) < 0) errno = 0;
      break;
    case 24: make_symlink(); break;
    case 18: keep(open(path_of(pick(DIRECTORIES), -1, NULL), O_RDONLY | O_DIRECTORY)); break;
    case 19:
      if (pick(20) == 0) let_child_die();
      break;
    case 20: {
      char path[1024];
      snprintf(path, sizeof path, "%s/log/.status", mount_path);
      keep(open(path, O_RDONLY));
      break;
    }
    case 21:
    case 22:
      if (count_open > 0 && read(open_files[pick(count_open)], bytes, (size_t)(1 + pick(500))) < 0)
        errno = 0;
      break;
    default:
      if (count_open == 0) break;
      long which = pick(count_open);
      close(open_files[which]);
      open_files[which] = open_files[--count_open];
  }
}

int main(int argc, char **argv) {
  if (argc != 3) die("usage: churn MOUNT SEED");
  mount_path = argv[1];
  srandom((unsigned)atol(argv[2]));
  memset(bytes, 'x', sizeof bytes);
  for (;;) {
    for (int n = 0; n < 64; n++) act();
    struct pollfd input = {.fd = 0, .events = POLLIN};
    if (poll(&input, 1, 0) == 0) continue;
    char byte;
    if (read(0, &byte, 1) <= 0) return 0;
    puts("paused");
    fflush(stdout);
    if (read(0, &byte, 1) <= 0) return 0;
  }
}
