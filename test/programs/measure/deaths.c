/*
 * Tests the promise: `deaths MOUNT COUNT` kills COUNT owners, one after the other. Once waitpid(2)
 * has returned, it uses the owner's things in seven ways. Each success counts as stale.
 *
 * An owner makes two directories: <pid> with a file `e`, and <pid>.stream, whose filter matches no
 * event, so that a reader stays blocked in its .stream. `--ordinary` is the negative control: on a
 * filesystem without owners (.stream is made as a FIFO then) every access is stale and the reader
 * hangs.
 */
#include "owner.h"
#include <getopt.h>
#include <pthread.h>
#include <sys/stat.h>

#define ENDS_MOST_NS NS_PER_S /* a blocked read must have ended by then */
#define STUCK_MOST 30         /* more make a run pointless */
#define LIMIT_S 60
#define ROUNDS_PER_LIMIT_S 50 /* a round takes 1 to 2 ms; this allows for a slow machine */
#define DIR_FORMAT "%s/%d"
#define STREAM_DIR_FORMAT "%s/%d.stream"
#define EVENT_TEXT "ten bytes\n"

enum access { STAT, OPEN, READDIR, READ, READDIR_HELD, BLOCKED, LISTING, ACCESSES };
static const char *const access_names[] = {"stat",         "open",    "readdir", "read",
                                           "readdir_held", "blocked", "listing"};

static struct {
  long rounds, stuck, wrong_errno;
  long stale[ACCESSES];
  int first_wrong_errno;
  enum access first_wrong_access;
} results;

static bool is_ordinary;

static void judge(enum access access, bool succeeded, int expected_errno) {
  if (succeeded) {
    results.stale[access]++;
  } else if (errno != expected_errno) {
    if (results.wrong_errno++ == 0) {
      results.first_wrong_errno = errno;
      results.first_wrong_access = access;
    }
  }
}

/* --- the owner's process --- */

static void write_file(const char *path, int flags, const char *text) {
  int fd = open(path, O_WRONLY | O_CLOEXEC | flags, 0644);
  if (fd < 0) die("%s: %m", path);
  if (write(fd, text, strlen(text)) != (ssize_t)strlen(text)) die("%s: write: %m", path);
  close(fd);
}

static void make_directory(const char *path) {
  if (mkdir(path, 0755) != 0) die("%s: mkdir: %m", path);
}

static void make_directories(const char *mount) {
  char path[PATH_MAX];
  int self = (int)getpid();
  format_path(path, DIR_FORMAT, mount, self);
  make_directory(path);
  format_path(path, DIR_FORMAT "/e", mount, self);
  write_file(path, O_CREAT | O_EXCL, EVENT_TEXT);
  format_path(path, STREAM_DIR_FORMAT, mount, self);
  make_directory(path);
  format_path(path, STREAM_DIR_FORMAT "/.filter", mount, self);
  write_file(path, is_ordinary ? O_CREAT : 0, "ACTION==none-such\n");
  format_path(path, STREAM_DIR_FORMAT "/.stream", mount, self);
  if (is_ordinary && mkfifo(path, 0644) != 0) die("%s: mkfifo: %m", path);
}

/* --- the blocked reader: a thread that reads once each round --- */

static struct {
  pthread_t thread;
  pthread_mutex_t lock;
  pthread_cond_t changed;
  enum { IDLE, ASKED, READING, ENDED } state;
  pid_t tid;
  char path[PATH_MAX];
  ssize_t result;
  int error;
} reader;

static void reader_enter(int state) {
  pthread_mutex_lock(&reader.lock);
  reader.state = state;
  pthread_cond_broadcast(&reader.changed);
  pthread_mutex_unlock(&reader.lock);
}

/* Waits for the reader's state; returns false if it did not become `state` within `most_ns`. */
static bool reader_await(int state, uint64_t most_ns) {
  uint64_t end_ns = now_ns() + most_ns;
  struct timespec end = {.tv_sec = (time_t)(end_ns / NS_PER_S),
                         .tv_nsec = (long)(end_ns % NS_PER_S)};
  int error = 0;
  pthread_mutex_lock(&reader.lock);
  while ((int)reader.state != state && error == 0)
    error = pthread_cond_timedwait(&reader.changed, &reader.lock, &end);
  bool became = (int)reader.state == state;
  pthread_mutex_unlock(&reader.lock);
  return became;
}

static void read_once(void) {
  char text[4096];
  /* O_RDWR on a FIFO: doesn't wait for a writer, then blocks in read(2) */
  int fd = open(reader.path, (is_ordinary ? O_RDWR : O_RDONLY) | O_CLOEXEC);
  if (fd < 0) die("%s: %m", reader.path);
  reader_enter(READING);
  reader.result = read(fd, text, sizeof text);
  reader.error = errno;
  close(fd);
}

static void *run_reader(void *unused) {
  (void)unused;
  reader.tid = (pid_t)syscall(SYS_gettid);
  for (;;) {
    while (!reader_await(ASKED, NS_PER_S)) continue;
    read_once();
    reader_enter(ENDED);
  }
  return NULL;
}

static void on_wake(int signal_number) { (void)signal_number; }

static void start_reader_thread(void) {
  /* No SA_RESTART: it ends a read with EINTR */
  struct sigaction interrupt = {.sa_handler = on_wake};
  sigaction(SIGUSR1, &interrupt, NULL);
  pthread_condattr_t monotonic;
  pthread_condattr_init(&monotonic);
  pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
  pthread_cond_init(&reader.changed, &monotonic);
  pthread_mutex_init(&reader.lock, NULL);
  if ((errno = pthread_create(&reader.thread, NULL, run_reader, NULL)) != 0)
    die("pthread_create: %m");
}

/* Makes the reader read its stream; returns when the reader sleeps in read(2). */
static void block_reader(const char *mount, pid_t owner) {
  format_path(reader.path, STREAM_DIR_FORMAT "/.stream", mount, (int)owner);
  reader_enter(ASKED);
  uint64_t end_ns = now_ns() + ENDS_MOST_NS;
  while (reader_await(ASKED, 0) || !is_blocked_in_read(reader.tid)) {
    if (reader_await(ENDED, 0)) {
      errno = reader.error;
      die("%s: a read of an empty stream has ended: %zd, %m", reader.path, reader.result);
    }
    if (now_ns() > end_ns) die("%s: the reader doesn't block", reader.path);
    sleep_ns(10 * NS_PER_US);
  }
}

static void interrupt_stuck_reader(void) {
  results.stuck++;
  for (int attempts = 0; attempts < 100; attempts++) {
    pthread_kill(reader.thread, SIGUSR1);
    if (reader_await(ENDED, 20 * NS_PER_MS)) return;
  }
  die("%s: a blocked read that can't even be interrupted", reader.path);
}

static void judge_blocked_read(void) {
  if (reader_await(ENDED, ENDS_MOST_NS)) {
    errno = reader.error;
    judge(BLOCKED, reader.result >= 0, ESTALE); /* end of file is a success too */
  } else {
    interrupt_stuck_reader();
  }
  reader_enter(IDLE);
}

/* --- the accesses: by path, then through what was held --- */

static void try_stat(const char *path) {
  struct stat attributes;
  judge(STAT, stat(path, &attributes) == 0, ENOENT);
}

static void try_open(const char *path) {
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  judge(OPEN, fd >= 0, ENOENT);
  if (fd >= 0) close(fd);
}

static bool lists_anything(int fd) {
  char dirents[4096];
  return lseek(fd, 0, SEEK_SET) == 0 && syscall(SYS_getdents64, fd, dirents, sizeof dirents) >= 0;
}

static void try_readdir(const char *path) {
  int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  judge(READDIR, fd >= 0 && lists_anything(fd), ENOENT);
  if (fd >= 0) close(fd);
}

static void try_read_held(int fd) {
  char text[sizeof EVENT_TEXT];
  judge(READ, pread(fd, text, sizeof text, 0) >= 0, ESTALE);
}

/*
 * Lists a held directory. Once its ghost is removed, the kernel itself fails with ENOENT, as for
 * any removed directory.
 */
static void try_readdir_held(int fd) {
  bool succeeded = lists_anything(fd);
  judge(READDIR_HELD, succeeded, !succeeded && errno == ENOENT ? ENOENT : ESTALE);
}

static int open_held(const char *path, int flags) {
  int fd = open(path, O_RDONLY | O_CLOEXEC | flags);
  if (fd < 0) die("%s: %m", path);
  return fd;
}

/* --- the rounds --- */

/* Removes what is left of an owner. It would be in the way of a later process with the same PID. */
static void remove_leftovers(const char *mount, pid_t owner) {
  static const char *const files[] = {DIR_FORMAT "/e", STREAM_DIR_FORMAT "/.filter",
                                      STREAM_DIR_FORMAT "/.stream"};
  static const char *const directories[] = {DIR_FORMAT, STREAM_DIR_FORMAT};
  char path[PATH_MAX];
  for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
    snprintf(path, sizeof path, files[i], mount, (int)owner);
    unlink(path);
  }
  for (size_t i = 0; i < sizeof directories / sizeof *directories; i++) {
    snprintf(path, sizeof path, directories[i], mount, (int)owner);
    rmdir(path);
  }
}

static void run_round(const char *mount) {
  char directory[PATH_MAX], event[PATH_MAX];
  pid_t owner = start_owner(mount, make_directories);
  format_path(directory, DIR_FORMAT, mount, (int)owner);
  format_path(event, DIR_FORMAT "/e", mount, (int)owner);
  /*
   * The reader first: the daemon serves requests in order, so the READ is parked once these opens
   * have their replies.
   */
  block_reader(mount, owner);
  int event_fd = open_held(event, 0), directory_fd = open_held(directory, O_DIRECTORY);

  end_child(owner);
  try_stat(directory);
  try_open(event);
  try_readdir(directory);
  try_read_held(event_fd);
  try_readdir_held(directory_fd);
  judge_blocked_read();
  bool listed = is_listed(mount, owner);
  judge(LISTING, listed, errno);

  results.rounds++;
  close(event_fd);
  close(directory_fd);
  if (listed) remove_leftovers(mount, owner);
}

static void print_results(void) {
  long stale = 0;
  for (int i = 0; i < ACCESSES; i++) stale += results.stale[i];
  printf("rounds=%ld accesses=%ld stale=%ld ", results.rounds, results.rounds * ACCESSES, stale);
  for (int i = 0; i < ACCESSES; i++) printf("%s=%ld ", access_names[i], results.stale[i]);
  printf("stuck=%ld wrong_errno=%ld first_wrong=", results.stuck, results.wrong_errno);
  if (results.wrong_errno)
    printf("%s:%d\n", access_names[results.first_wrong_access], results.first_wrong_errno);
  else printf("none\n");
}

int main(int argc, char **argv) {
  static const struct option options[] = {{"ordinary", no_argument, NULL, 'o'}, {0}};
  for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
    if (option != 'o') _exit(1); /* getopt has printed the error */
    is_ordinary = true;
  }
  if (argc - optind != 2) die("usage: deaths MOUNT COUNT [--ordinary]");
  const char *mount = argv[optind];
  long count = parse_number(argv[optind + 1], "COUNT", 1, 1000000);
  limit_time((unsigned)(LIMIT_S + count / ROUNDS_PER_LIMIT_S));
  start_reader_thread();
  while (results.rounds < count && results.stuck < STUCK_MOST) run_round(mount);
  print_results();
  return 0;
}
