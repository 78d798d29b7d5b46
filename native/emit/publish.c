/* Writes events to `publish`. */
#include "emit.h"
#include "write_size.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/statfs.h>
#include <sys/wait.h>
#include <unistd.h>

/* The longest time that a daemon may take for one write, in seconds. */
enum { WRITE_TIMEOUT_S = 10 };

/* From linux/magic.h. UL, because f_type is signed on some machines. */
#define FUSE_SUPER_MAGIC 0x65735546UL

/* One event, or several with an empty line after each. */
static const char *outgoing;
static size_t outgoing_events;
/* How many bytes the daemon has taken. Parent and child share it: the child counts. */
static volatile size_t *taken;

/* Returns how many times one or more empty lines follow a line. */
static size_t empty_lines(const char *text, size_t length) {
  size_t lines = 0;
  const char *at = text, *end = text + length;
  while ((at = memmem(at, (size_t)(end - at), "\n\n", 2)) != NULL) {
    while (at < end && *at == '\n') at++;
    lines++;
  }
  return lines;
}

/* Returns the end of an error message: how many events of several the daemon has taken. */
static const char *progress(void) {
  static char text[64];
  if (outgoing_events > 1) {
    snprintf(text, sizeof text, "; %zu of %zu events were published", empty_lines(outgoing, *taken),
             outgoing_events);
  }
  return text;
}

/*
 * Copies the child's messages to standard error until it ends. Dies if the daemon does not answer.
 */
static void copy_messages(int messages) {
  char text[4096];
  struct pollfd ready = {messages, POLLIN, 0};
  for (size_t before = 0;;) {
    int count = poll(&ready, 1, WRITE_TIMEOUT_S * 1000);
    if (count == 0 && *taken > before) {
      before = *taken;
      continue;
    }
    if (count == 0) {
      die(EXIT_NOT_SERVED, "%s: its daemon does not answer (try eventfs umount %s)%s", mount_path,
          mount_path, progress());
    }
    ssize_t length = count < 0 ? -1 : read(messages, text, sizeof text);
    if (length < 0 && errno == EINTR) continue;
    if (length <= 0) return;
    if (write(STDERR_FILENO, text, (size_t)length) < 0) return;
  }
}

/* Waits for the child, and ends with its exit code if it fails. */
static void wait_for(pid_t child, int messages) {
  copy_messages(messages);
  int status;
  while (waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) _exit(EXIT_SYSTEM_CALL);
  }
  if (!WIFEXITED(status)) {
    die(EXIT_FAILED, "the process that writes was ended by signal %d (%s)%s", WTERMSIG(status),
        strsignal(WTERMSIG(status)), progress());
  }
  if (WEXITSTATUS(status) != 0) _exit(WEXITSTATUS(status));
}

/*
 * Forks. A system call on a mount with a stuck daemon may never end, even by SIGKILL. So a child
 * makes these calls. It has none of this process's descriptors, and this process can end without
 * it.
 *
 * Returns 1 in the child; and 0 in the parent, once the child has succeeded.
 */
static int enter_child(void) {
  int messages[2];
  if (pipe2(messages, O_CLOEXEC) != 0) die(EXIT_SYSTEM_CALL, "%s", strerror(errno));
  pid_t child = fork();
  if (child < 0) die(EXIT_SYSTEM_CALL, "%s", strerror(errno));
  if (child > 0) {
    close(messages[1]);
    wait_for(child, messages[0]);
    return 0;
  }
  dup2(messages[1], STDERR_FILENO);
  close(STDIN_FILENO);
  close(STDOUT_FILENO);
  close(messages[0]);
  close(messages[1]);
  signal(SIGXFSZ, SIG_IGN); /* at ulimit -f the write fails by EFBIG, which has a message */
  return 1;
}

/* Reports errno of a system call on `path`. */
__attribute__((noreturn)) static void fail(const char *path) {
  const char *hint = "";
  if (errno == ENOTCONN || errno == ECONNABORTED || errno == ECANCELED) {
    die(EXIT_NOT_SERVED, "%s: its daemon was killed (try eventfs mount %s)", mount_path,
        mount_path);
  }
  if (errno == EACCES) {
    hint = " (you may not write to publish: try as root, or ask root to chmod it)";
  }
  if (errno == EINVAL) {
    hint =
        " (the event is malformed: write ACTION@/DEVPATH, then KEY=VALUE lines; /eventfs is "
        "the daemon's devpath)";
  }
  if (errno == EFBIG) hint = " (an event has at most 64 KiB, and ulimit -f bounds a write too)";
  die(EXIT_SYSTEM_CALL, "%s: %s%s%s", path, strerror(errno), hint, progress());
}

/* Dies unless the mount's path is on a FUSE filesystem. */
static void check_mount(void) {
  struct statfs found;
  int failed = statfs(mount_path, &found);
  if (failed < 0 && errno != ENOENT) fail(mount_path);
  if (failed == 0 && (unsigned long)found.f_type == FUSE_SUPER_MAGIC) return;
  die(EXIT_NOT_SERVED, "%s: eventfs is not mounted here (try eventfs mount %s, or --mount DIR)",
      mount_path, mount_path);
}

/* The child's part of `publish`. The daemon may take any part of a write of several events. */
__attribute__((noreturn)) static void write_all(const char *path, const char *event,
                                                size_t length) {
  check_mount();
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0) fail(path);
  while (*taken < length) {
    ssize_t written = write(fd, event + *taken, length - *taken);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail(path);
    if (written == 0) {
      die(EXIT_FAILED, "%s: the daemon accepts no more bytes (try eventfs doctor)%s", path,
          progress());
    }
    *taken += (size_t)written;
  }
  if (close(fd) < 0) fail(path);
  _exit(0);
}

void publish(char *event, size_t length) {
  char *path = larger(NULL, strlen(mount_path) + sizeof "/publish");
  sprintf(path, "%s/publish", mount_path);
  size_t end = length;
  if (memchr(event, '\0', length) == NULL) {
    while (end > 0 && event[end - 1] == '\n') end--;
    outgoing_events = 1 + empty_lines(event, end);
  } else {
    outgoing_events = 1;
  }
  if (outgoing_events > 1) {
    /* Without an empty line after the last event, the daemon would wait for its end */
    event = larger(event, end + 2);
    memcpy(event + end, "\n\n", 2);
    length = end + 2;
  }
  outgoing = event;
  taken = mmap(NULL, sizeof *taken, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (taken == MAP_FAILED) die(EXIT_SYSTEM_CALL, "%s", strerror(errno));
  /* The daemon refuses an event of more than 64 KiB: no piece of a split one must be published. */
  if (outgoing_events == 1 && length >= MAX_WRITE_BYTES) {
    errno = EFBIG;
    fail(path);
  }
  if (enter_child()) write_all(path, event, length);
}
