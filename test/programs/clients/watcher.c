/*
 * Watches a directory with inotify and prints each event as a line, until its standard input ends.
 *
 *   watcher path DIR          by its path
 *   watcher dot DIR           as `.`, from inside
 *   watcher fd DIR            as /proc/self/fd/N of an open descriptor
 *   watcher thread DIR        a thread adds the watch and ends
 *   watcher fork DIR          a process adds the watch, forks and ends; the child listens
 *   watcher child DIR         a process adds the watch, forks, closes its descriptor and lives on;
 *                             the child listens
 *   watcher handed DIR        a process adds the watch, passes the descriptor to its parent
 *                             (SCM_RIGHTS) and ends
 *   watcher handed-later DIR  the same, but the process lives on, and closes its descriptor after
 *                             the first event
 *   watcher vfork DIR         a process adds the watch in vfork(2)'s child, and then sleeps in
 *                             state D; the child listens
 *   watcher many DIR N        opens N descriptors first, so that the watching one is the last
 *   watcher late DIR N        opens N descriptors after the watching one, asks for the directory's
 *                             attributes, prints `asked`, and adds the watch at a line of standard
 *                             input
 *   watcher dups DIR N        has N duplicates of the descriptor, and closes the first half at a
 *                             line of standard input
 *   watcher twice DIR         removes the watch and adds it again, at each line of standard input
 *   watcher oneshot DIR N     as libudev-compat: IN_ONESHOT; at each wake-up it adds the watch
 *                             again and then takes all events, until it has taken N
 *
 * It prints its PID and `ready` first.
 */
#include "common.h"
#include <dirent.h>
#include <poll.h>
#include <pthread.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/stat.h>

#define MASK (IN_CREATE | IN_DELETE | IN_DELETE_SELF)
#define PATIENCE_MS 20000
#define LIMIT_S 60

static int inotify;
static const char *path;

static int watch(const char *where, uint32_t mask) {
  int wd = inotify_add_watch(inotify, where, mask);
  if (wd < 0) die("inotify_add_watch: %m");
  return wd;
}

static void *watch_in_thread(void *unused) {
  (void)unused;
  watch(path, MASK);
  return NULL;
}

static void ready(void) { printf("pid %d\nready\n", (int)getpid()); }

static void say(const struct inotify_event *event) {
  static const struct {
    uint32_t mask;
    const char *name;
  } kinds[] = {{IN_CREATE, "CREATE"},
               {IN_DELETE, "DELETE"},
               {IN_DELETE_SELF, "DELETE_SELF"},
               {IN_IGNORED, "IGNORED"},
               {IN_Q_OVERFLOW, "OVERFLOW"}};
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
    if (event->mask & kinds[i].mask)
      printf("%s%s%s\n", kinds[i].name, event->len ? " " : "", event->len ? event->name : "");
}

static void hear(void) {
  static char heard[65536] __attribute__((aligned(8)));
  ssize_t got = read(inotify, heard, sizeof heard);
  if (got < 0) die("read: %m");
  for (char *at = heard; at < heard + got;) {
    struct inotify_event *event = (struct inotify_event *)at;
    say(event);
    at += sizeof *event + event->len;
  }
}

/* Prints events until standard input has a line or ends; returns true for a line. */
static int listen_until_told(void) {
  struct pollfd both[] = {{inotify, POLLIN, 0}, {STDIN_FILENO, POLLIN, 0}};
  for (;;) {
    if (poll(both, 2, -1) < 0) die("poll: %m");
    if (both[0].revents) hear();
    else if (both[1].revents) {
      char line[64];
      return read(STDIN_FILENO, line, sizeof line) > 0;
    }
  }
}

/* Sends the inotify descriptor over a socket, or receives it. */
static void pass(int socket, int is_sent) {
  char byte = 'x', control[CMSG_SPACE(sizeof(int))] __attribute__((aligned(8))) = {0};
  struct iovec text = {&byte, 1};
  struct msghdr message = {
      .msg_iov = &text, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  struct cmsghdr *header = CMSG_FIRSTHDR(&message);
  if (is_sent) {
    *header = (struct cmsghdr){
        .cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
    memcpy(CMSG_DATA(header), &inotify, sizeof(int));
    if (sendmsg(socket, &message, 0) != 1) die("sendmsg: %m");
  } else {
    if (recvmsg(socket, &message, 0) != 1) die("recvmsg: %m");
    memcpy(&inotify, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(int));
  }
}

/*
 * Takes the descriptor of a child that has added the watch. If `is_later`, the child lives on, and
 * closes its own descriptor at a byte on the socket.
 */
static void take_over(int is_later) {
  int sockets[2];
  char byte;
  close(inotify);
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, sockets) != 0) die("socketpair: %m");
  if (fork_child() == 0) {
    close(sockets[0]);
    inotify = inotify_init1(IN_CLOEXEC);
    watch(path, MASK);
    pass(sockets[1], 1);
    if (!is_later) _exit(0);
    if (read(sockets[1], &byte, 1) != 1) _exit(1);
    close(inotify);
    if (write(sockets[1], "", 1) != 1) _exit(1);
    pause();
  }
  pass(sockets[0], 0);
  if (!is_later) return;
  ready();
  struct pollfd one = {inotify, POLLIN, 0};
  if (poll(&one, 1, PATIENCE_MS) != 1) die("poll: %m");
  if (write(sockets[0], "", 1) != 1 || read(sockets[0], &byte, 1) != 1) die("the child has failed");
  printf("closed\n");
}

/* Leaves the only descriptor to a child. */
static void leave_to_child(void) {
  watch(path, MASK);
  pid_t child = fork_child();
  if (child == 0) return;
  close(inotify);
  waitpid(child, NULL, 0);
  exit(0);
}

static void ask_first(long count) {
  char line[64];
  struct stat found;
  while (count-- > 0 && dup(STDIN_FILENO) >= 0) continue; /* the machine may allow fewer */
  if (stat(path, &found) != 0) die("stat: %m");
  printf("asked\n");
  if (read(STDIN_FILENO, line, sizeof line) <= 0) die("read: %m");
  watch(path, MASK);
}

static int not_dots(const struct dirent *entry) { return entry->d_name[0] != '.'; }

static int take_all(void) {
  struct dirent **names;
  int count = scandir(path, &names, not_dots, alphasort);
  if (count < 0) die("scandir: %m");
  for (int i = 0; i < count; i++) {
    char name[4096], text[8192];
    snprintf(name, sizeof name, "%s/%s", path, names[i]->d_name);
    int fd = open(name, O_RDONLY | O_CLOEXEC);
    if (fd < 0) die("open: %m");
    if (read(fd, text, sizeof text) <= 0) die("read: %m");
    close(fd);
    if (unlink(name) != 0) die("unlink: %m");
    free(names[i]);
  }
  free(names);
  return count;
}

static void take_oneshot(long wanted) {
  long taken = 0;
  watch(path, IN_CREATE | IN_ONESHOT);
  ready();
  while (taken < wanted) {
    struct pollfd one = {inotify, POLLIN, 0};
    if (poll(&one, 1, PATIENCE_MS) == 0) {
      printf("slept with %d waiting, after %ld\n", take_all(), taken);
      exit(1);
    }
    char heard[65536];
    if (read(inotify, heard, sizeof heard) <= 0) die("read: %m");
    watch(path, IN_CREATE | IN_ONESHOT);
    taken += take_all();
  }
  printf("taken %ld\n", taken);
}

int main(int count, char **arguments) {
  if (count < 3) return 2;
  setvbuf(stdout, NULL, _IOLBF, 0);
  const char *how = arguments[1];
  path = arguments[2];
  for (long left = strcmp(how, "many") == 0 ? atol(arguments[3]) : 0; left > 0; left--) {
    static int fd;
    int next = dup(STDIN_FILENO);
    if (next < 0) { /* the machine allows no more: make room for the one that watches */
      close(fd);
      break;
    }
    fd = next;
  }
  inotify = inotify_init1(IN_CLOEXEC);
  if (inotify < 0) die("inotify_init1: %m");
  if (strcmp(how, "oneshot") == 0) {
    take_oneshot(atol(arguments[3]));
    return 0;
  }
  if (strcmp(how, "path") == 0 || strcmp(how, "many") == 0 || strcmp(how, "fork") == 0)
    watch(path, MASK);
  if (strcmp(how, "dot") == 0) {
    if (chdir(path) != 0) die("chdir: %m");
    watch(".", MASK);
  }
  if (strcmp(how, "fd") == 0) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    watch(link, MASK);
  }
  if (strcmp(how, "thread") == 0) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, watch_in_thread, NULL) != 0) die("pthread_create: %m");
    pthread_join(thread, NULL);
  }
  if (strcmp(how, "dups") == 0) {
    watch(path, MASK);
    int last = inotify;
    long left = atol(arguments[3]);
    for (long i = 0; i < left; i++)
      if ((last = dup(inotify)) < 0) die("dup: %m");
    ready();
    listen_until_told();
    for (int fd = inotify; fd < last - left / 2; fd++) close(fd);
    inotify = last;
    printf("closed\n");
    while (listen_until_told()) continue;
    return 0;
  }
  if (strcmp(how, "late") == 0) ask_first(atol(arguments[3]));
  if (strcmp(how, "child") == 0) leave_to_child();
  if (strncmp(how, "handed", 6) == 0) take_over(strcmp(how, "handed-later") == 0);
  if (strcmp(how, "vfork") == 0) {
    watch(path, MASK);
    if (vfork() != 0) _exit(0); /* waits for the child's end */
  }
  if (strcmp(how, "fork") == 0) {
    if (fork() != 0) _exit(0);
    alarm(LIMIT_S); /* the parent's starter may not know of it */
    ready();
    for (;;) hear(); /* its standard input ends with the parent's */
  }
  if (strcmp(how, "twice") == 0) {
    int wd = watch(path, MASK);
    ready();
    for (int is_on = 1; listen_until_told(); is_on = !is_on) {
      if (is_on) inotify_rm_watch(inotify, wd);
      else wd = watch(path, MASK);
      printf(is_on ? "off\n" : "on\n");
    }
    return 0;
  }
  ready();
  while (listen_until_told()) continue;
  return 0;
}
