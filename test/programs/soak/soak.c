/*
 * The processes of the soak (test/mounted/stress/soak.test.ts). Each runs until SIGTERM or the end
 * of its parent, and prints its counts in one line of KEY=VALUE words.
 *
 *   soak publish MOUNT ID RATE            publishes events ID,0 ID,1 ..., about RATE a second
 *   soak read PATH THREADS PAUSE_MS       reads `stream`, or the `SUBSYSTEM=soak` events of another
 *                                         one, in that many open files, and checks them; it pauses
 *                                         now and then, and so falls behind. `%` in PATH stands for
 *                                         its PID; then it makes the directory of that name first,
 *                                         with a filter. After SIGTERM it reads the rest
 *   soak operate MOUNT COUNT SEED DEATHS  starts COUNT processes that call all operations on the
 *                                         mount; DEATHS times a second it kills one, and then looks
 *                                         for its things
 *   soak uevents RATE                     makes the kernel send an event, about RATE times a second
 */
#include "reading.h"
#include <dirent.h>
#include <limits.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/xattr.h>

/* ---- publish */

static int publish(const char *mount, long id, uint64_t rate) {
  char path[PATH_MAX], text[2048], padding[1024];
  snprintf(path, sizeof path, "%s/publish", mount);
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0) die("%s: %m", path);
  memset(padding, 'p', sizeof padding);
  uint64_t start = now_ns(), n = 0;
  for (; !finishing && n < MOST_NUMBERS; n++) {
    int length =
        snprintf(text, sizeof text,
                 "add@/devices/soak\nACTION=add\nSUBSYSTEM=soak\nID=%ld\nN=%llu\nPADDING=%.*s\n",
                 id, (unsigned long long)n, (int)(n * 7919 % 400), padding);
    while (write(fd, text, (size_t)length) != length)
      if (errno != EINTR) die("publish: %m");
    if (n % 16 == 0) keep_pace(start, n, rate);
  }
  printf("published=%llu\n", (unsigned long long)n);
  return 0;
}

/* ---- operators */

/* The counts and PIDs that all operators share. */
static struct common {
  atomic_ulong operations, unexpected;
  atomic_int errors[256];
  _Atomic pid_t operators[MOST_OPERATORS];
} * common;

static const char *mount_path;
static unsigned seed;

static unsigned below(unsigned limit) { return (unsigned)rand_r(&seed) % limit; }

/* Returns the path of an operator's directory, mostly of this process's. */
static void any_directory(char *path, long count) {
  pid_t pid = below(3) > 0 ? getpid() : common->operators[below((unsigned)count)];
  snprintf(path, PATH_MAX, "%s/%d%s", mount_path, (int)pid, below(4) == 0 ? ".b" : "");
}

/* Returns one of a few names in such a directory, so that the operators' names collide. */
static void any_file(char *path, long count) {
  static const char *const names[] = {"a", "b", "c", "d",       "e",       "head", "tail",
                                      "a", "b", "c", ".filter", ".status", "fifo", "socket"};
  char directory[PATH_MAX];
  any_directory(directory, count);
  if (below(20) == 0)
    snprintf(path, PATH_MAX + 16, "%s/log/%s", mount_path, below(2) ? "head" : "tail");
  else
    snprintf(path, PATH_MAX + 16, "%s/%s", directory, names[below(sizeof names / sizeof *names)]);
}

/* Counts a result, and the errnos that only a broken filesystem returns. */
static void did(long result) {
  common->operations++;
  if (result >= 0 || errno <= 0 || errno >= 256) return;
  common->errors[errno]++;
  if (errno == EIO || errno == ENOSYS || errno == EPROTO || errno == ENOTCONN || errno == EFAULT ||
      errno == ENOMEM || errno == ECONNABORTED || errno == ECANCELED)
    common->unexpected++;
}

static void pop(const char *directory) {
  char head[PATH_MAX + 16], text[4096];
  snprintf(head, sizeof head, "%s/head", directory);
  int fd = open(head, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  did(fd);
  if (fd < 0) return;
  did(read(fd, text, sizeof text));
  close(fd);
  did(unlink(head));
}

static void write_file(const char *path, int flags) {
  static const char text[16384] = "some@/text\nACTION=some\n";
  int fd = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC | flags, 0666);
  did(fd);
  if (fd < 0) return;
  did(write(fd, text, 24 + below(sizeof text - 24)));
  if (below(4) == 0) did(ftruncate(fd, below(20000)));
  close(fd);
}

static void write_filter(const char *directory) {
  static const char *const filters[] = {"SUBSYSTEM==soak, N==*7\n", "SUBSYSTEM==mem\n",
                                        "ACTION==change|some\n", "nonsense", "SUBSYSTEM==none\n"};
  char path[PATH_MAX + 16];
  const char *filter = filters[below(5)];
  snprintf(path, sizeof path, "%s/.filter", directory);
  if (below(2)) {
    did(setxattr(directory, "user.eventfs.filter", filter, strlen(filter), 0));
    return;
  }
  int fd = open(path, O_WRONLY | O_CLOEXEC | (below(2) ? O_TRUNC : O_APPEND));
  did(fd);
  if (fd < 0) return;
  did(write(fd, filter, strlen(filter)));
  close(fd);
}

static void list(const char *directory) {
  DIR *listed = opendir(directory);
  did(listed ? 0 : -1);
  if (!listed) return;
  for (struct dirent *entry; (entry = readdir(listed)) != NULL;) {
    if (below(8) == 0) {
      struct stat info;
      did(fstatat(dirfd(listed), entry->d_name, &info, AT_SYMLINK_NOFOLLOW));
    }
    if (entry->d_name[0] != '.' && below(8) == 0) did(unlinkat(dirfd(listed), entry->d_name, 0));
  }
  closedir(listed);
}

/*
 * Holds open files of all kinds, and reads them. One in five reads may block until the process is
 * killed or an event comes.
 */
static void hold(int *held, long count) {
  static const char *const streams[] = {"stream", "match/SUBSYSTEM=soak", "match/ACTION=change",
                                        "match/N==*99"};
  char path[PATH_MAX + 32], directory[PATH_MAX];
  int *slot = &held[below(HELD)];
  if (*slot >= 0) {
    char text[8192];
    if (below(3) == 0) poll(&(struct pollfd){.fd = *slot, .events = POLLIN}, 1, (int)below(5));
    did(read(*slot, text, 1 + below(sizeof text)));
    if (below(2)) return;
    close(*slot);
    *slot = -1;
    return;
  }
  any_directory(directory, count);
  if (below(2)) snprintf(path, sizeof path, "%s/%s", mount_path, streams[below(4)]);
  else if (below(2)) snprintf(path, sizeof path, "%s/.stream", directory);
  else any_file(path, count);
  *slot = open(path, O_RDONLY | O_CLOEXEC | (below(40) > 0 ? O_NONBLOCK : 0));
  did(*slot);
}

static void make_socket(const char *directory) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  if ((size_t)snprintf(address.sun_path, sizeof address.sun_path, "%s/socket", directory) >=
      sizeof address.sun_path)
    return;
  int server = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  did(bind(server, (struct sockaddr *)&address, sizeof address));
  close(server);
}

static void publish_one(void) {
  char path[PATH_MAX], text[6000];
  snprintf(path, sizeof path, "%s/publish", mount_path);
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  int length =
      snprintf(text, sizeof text,
               "change@/devices/soak-operator\nACTION=change\nSUBSYSTEM=operator\nPADDING=%0*d\n",
               (int)below(4000) + 1, 0);
  did(write(fd, text, (size_t)length));
  close(fd);
}

static void act(int *held, long count) {
  char directory[PATH_MAX], one[PATH_MAX + 16], other[PATH_MAX + 16];
  struct stat info;
  any_directory(directory, count);
  any_file(one, count);
  any_file(other, count);
  switch (below(20)) {
    case 0: did(mkdir(directory, 0777)); break;
    case 1: pop(directory); break;
    case 2: pop(directory); break;
    case 3: write_file(one, O_CREAT); break;
    case 4: write_file(one, O_CREAT | (below(2) ? O_TRUNC : O_APPEND)); break;
    case 5: did(link(one, other)); break;
    case 6: {
      char logged[PATH_MAX + 16];
      snprintf(logged, sizeof logged, "%s/log/tail", mount_path);
      did(linkat(AT_FDCWD, logged, AT_FDCWD, other, AT_SYMLINK_FOLLOW));
      break;
    }
    case 7: did(rename(one, other)); break;
    case 8: did(unlink(one)); break;
    case 9: did(stat(one, &info)); break;
    case 10: list(below(8) == 0 ? mount_path : directory); break;
    case 11: write_filter(directory); break;
    case 12: did(truncate(one, below(30000))); break;
    case 13: did(chmod(one, 0666)); break;
    case 14: did(below(2) ? mkfifo(one, 0666) : symlink(other, one)); break;
    case 15: make_socket(directory); break;
    case 16:
      if (below(10) == 0) did(rmdir(directory));
      break;
    case 17: publish_one(); break;
    default: hold(held, count); break;
  }
}

static void operator(long number, long count) {
  int held[HELD];
  for (int i = 0; i < HELD; i++) held[i] = -1;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  signal(SIGTERM, SIG_DFL);
  umask(0);
  common->operators[number] = getpid();
  seed = seed * 31 + (unsigned)getpid();
  char path[PATH_MAX];
  snprintf(path, sizeof path, "%s/%d", mount_path, (int)getpid());
  did(mkdir(path, 0777));
  for (;;) {
    act(held, count);
    if (below(16) == 0) usleep(below(2000));
  }
}

static pid_t start_operator(long number, long count) {
  seed++;
  pid_t pid = fork();
  if (pid < 0) die("fork: %m");
  if (pid == 0) operator(number, count);
  common->operators[number] = pid;
  return pid;
}

/*
 * Returns how many things of a dead process can still be reached. `held` is open on its directory,
 * or -1.
 */
static int reachable(pid_t pid, int held) {
  static const char *const names[] = {"", "/head", "/a", "/.status", "/.stream", ".b"};
  int found = 0;
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    char path[PATH_MAX];
    struct stat info;
    snprintf(path, sizeof path, "%s/%d%s", mount_path, (int)pid, names[i]);
    if (lstat(path, &info) == 0 || errno != ENOENT) found++;
  }
  struct stat info;
  if (held >= 0 && (fstat(held, &info) == 0 || errno != ESTALE)) found++;
  if (held >= 0) close(held);
  return found;
}

static int operate(long count, uint64_t deaths_a_second) {
  common = mmap(NULL, sizeof *common, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (common == MAP_FAILED) die("mmap: %m");
  pid_t operators[MOST_OPERATORS];
  for (long i = 0; i < count; i++) operators[i] = start_operator(i, count);
  uint64_t start = now_ns(), deaths = 0, stale = 0;
  while (!finishing) {
    keep_pace(start, deaths, deaths_a_second);
    long victim = (long)below((unsigned)count);
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/%d", mount_path, (int)operators[victim]);
    int held = open(path, O_PATH | O_CLOEXEC);
    kill(operators[victim], SIGKILL);
    if (waitpid(operators[victim], NULL, 0) < 0) die("waitpid: %m");
    stale += (uint64_t)reachable(operators[victim], held);
    deaths++;
    operators[victim] = start_operator(victim, count);
  }
  for (long i = 0; i < count; i++) kill(operators[i], SIGKILL);
  for (long i = 0; i < count; i++) waitpid(operators[i], NULL, 0);
  printf("operations=%lu unexpected=%lu deaths=%llu stale=%llu errors=", common->operations,
         common->unexpected, (unsigned long long)deaths, (unsigned long long)stale);
  for (int i = 1, any = 0; i < 256; i++)
    if (common->errors[i] > 0)
      printf("%s%s:%d", any++ ? "," : "", strerrorname_np(i), common->errors[i]);
  putchar('\n');
  return 0;
}

/* ---- uevents */

static int uevents(uint64_t rate) {
  int fd = open("/sys/class/mem/null/uevent", O_WRONLY | O_CLOEXEC);
  if (fd < 0) die("/sys/class/mem/null/uevent: %m");
  uint64_t start = now_ns(), sent = 0;
  for (; !finishing; sent++) {
    if (write(fd, "change", 6) != 6) die("/sys/class/mem/null/uevent: %m");
    keep_pace(start, sent, rate);
  }
  printf("sent=%llu\n", (unsigned long long)sent);
  return 0;
}

int main(int argc, char **argv) {
  until_term();
  const char *role = argc > 2 ? argv[1] : "";
  if (strcmp(role, "publish") == 0 && argc == 5)
    return publish(argv[2], parse_number(argv[3], "ID", 0, MOST_PUBLISHERS - 1),
                   (uint64_t)parse_number(argv[4], "RATE", 1, 1000000));
  if (strcmp(role, "read") == 0 && argc == 5)
    return read_checked(argv[2], (int)parse_number(argv[3], "THREADS", 1, MOST_THREADS),
                        (int)parse_number(argv[4], "PAUSE_MS", 0, 10000));
  if (strcmp(role, "operate") == 0 && argc == 6) {
    mount_path = argv[2];
    seed = (unsigned)parse_number(argv[4], "SEED", 0, INT_MAX);
    return operate(parse_number(argv[3], "COUNT", 1, MOST_OPERATORS),
                   (uint64_t)parse_number(argv[5], "DEATHS", 1, 10000));
  }
  if (strcmp(role, "uevents") == 0 && argc == 3)
    return uevents((uint64_t)parse_number(argv[2], "RATE", 1, 100000));
  die("usage: soak publish|read|operate|uevents ...");
}
