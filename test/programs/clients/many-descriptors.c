/*
 * Processes of one user that take the notifier long to inspect: `many-descriptors MOUNT UID
 * PROCESSES DESCRIPTORS`.
 *
 * The first process makes its directory in the mount. Each opens that many descriptors, or as many
 * as the machine allows, and asks for the directory's attributes again and again, as
 * inotify_add_watch(2) does. The program prints `ready` once all run, and ends with its standard
 * input.
 */
#include "common.h"
#include <sys/resource.h>
#include <sys/stat.h>

#define PAUSE_NS (10 * NS_PER_MS)

static void open_descriptors(const char *path, long descriptors, int ready) {
  struct stat ignored;
  int null = open("/dev/null", O_RDONLY);
  for (long i = 0; i < descriptors; i++)
    if (dup(null) < 0) {
      if (errno == EMFILE) break; /* the machine allows no more */
      die("dup: %m");
    }
  for (int is_first = 1;; is_first = 0) {
    if (stat(path, &ignored) != 0 && is_first) die("%s: %m", path);
    if (is_first && write(ready, "", 1) != 1) die("write: %m");
    sleep_ns(PAUSE_NS);
  }
}

int main(int count, char **arguments) {
  if (count != 5) die("usage: many-descriptors MOUNT UID PROCESSES DESCRIPTORS");
  uid_t uid = (uid_t)atol(arguments[2]);
  long processes = atol(arguments[3]), descriptors = atol(arguments[4]);
  struct rlimit limit;
  int ready[2];
  char path[4096], byte;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) die("getrlimit: %m");
  limit.rlim_cur = limit.rlim_max;
  if (setrlimit(RLIMIT_NOFILE, &limit) != 0) die("setrlimit: %m");
  if (setresuid(uid, uid, uid) != 0) die("setresuid: %m");
  snprintf(path, sizeof path, "%s/%d", arguments[1], (int)getpid());
  if (mkdir(path, 0755) != 0) die("%s: %m", path);
  if (pipe(ready) != 0) die("pipe: %m");
  for (long i = 0; i < processes; i++) {
    if (fork_child() == 0) open_descriptors(path, descriptors, ready[1]);
  }
  close(ready[1]);
  for (long i = 0; i < processes; i++)
    if (read(ready[0], &byte, 1) != 1) die("a child has failed");
  puts("ready");
  fflush(stdout);
  while (read(STDIN_FILENO, &byte, 1) > 0) continue;
  return 0;
}
