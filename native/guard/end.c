/* RESEND, and the end of the mount. */
#include "guard.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/statfs.h>
#include <sys/wait.h>
#include <unistd.h>

/* FUSE_NOTIFY_RESEND of linux/fuse.h; older headers lack it. */
enum { NOTIFY_RESEND = 7 };
/* The most places at which the mount may be. */
enum { MOST_PLACES = 64 };

/* struct fuse_out_header of linux/fuse.h. */
struct notification {
  uint32_t length;
  int32_t code;
  uint64_t unique;
};

void resend_requests(void) {
  int device = find_kept("fuse");
  if (device < 0) return;
  send_left_reply(device);
  struct notification notification = {sizeof notification, NOTIFY_RESEND, 0};
  ssize_t written = write(device, &notification, sizeof notification);
  /* ENODEV and the like: the mount has ended, and the next daemon learns it by its first read. */
  if (written < 0 && errno != ENODEV && errno != ECONNABORTED && errno != ENOTCONN) {
    say("error", "%s: the kernel rejects FUSE_NOTIFY_RESEND: %s", options.mount, strerror(errno));
  }
}

bool connection_is_over(void) {
  struct pollfd device = {find_kept("fuse"), 0, 0};
  return poll(&device, 1, 0) > 0 && (device.revents & POLLERR);
}

/* Returns whether a dead FUSE connection is mounted at a path. */
static bool is_dead_mount(const char *path) {
  struct statfs found;
  return statfs(path, &found) < 0 && (errno == ENOTCONN || errno == ECONNABORTED);
}

/* An ordinary user's way to unmount. */
static void unmount_as_user(const char *path) {
  pid_t pid = fork();
  if (pid == 0) {
    execlp("fusermount3", "fusermount3", "-u", "-z", "-q", "--", path, NULL);
    _exit(EXIT_NOT_RUN);
  }
  if (pid > 0) waitpid(pid, NULL, 0);
}

static bool detach_dead(const char *path) {
  if (!is_dead_mount(path)) return false;
  if (umount2(path, MNT_DETACH) == 0) return true;
  if (errno == EPERM) unmount_as_user(path);
  return !is_dead_mount(path);
}

static bool tell_dead(const char *path) {
  if (is_dead_mount(path)) say("warn", "%s: the mount stays (try umount -l %s)", path, path);
  return false;
}

static void detach(void) {
  for (int i = 0; i < MOST_PLACES && detach_one(detach_dead); i++) continue;
  detach_one(tell_dead);
}

void leave(int code) {
  close_control();
  _exit(code);
}

void end(int code) {
  struct daemon *const all[] = {&active, &next, &leaving};
  for (int i = 0; i < 3; i++) {
    if (all[i]->phase == GONE) continue;
    kill(all[i]->pid, SIGKILL);
    close_socket(all[i]);
    /*
     * Its copies of the descriptors are closed by then. One without any may wait for a path on a
     * mount that does not answer: no signal ends that.
     */
    if (all[i]->has_descriptors) waitpid(all[i]->pid, NULL, 0);
  }
  drop_all(); /* the last close of /dev/fuse aborts the connection: waiting clients get an error */
  detach();
  leave(code);
}

void give_up(const char *format, ...) {
  char why[MESSAGE_BYTES];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(why, sizeof why, format, arguments);
  va_end(arguments);
  say("error", "%s: the guardian gives up and unmounts: %s", options.mount, why);
  answer_client("FAILED the guardian gives up: %s", why);
  end(EXIT_FAILURE);
}
