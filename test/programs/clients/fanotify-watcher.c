/*
 * Marks the inode of a directory with fanotify(7), with file ids, and prints each event as a line
 * until its standard input ends: `fanotify-watcher DIR`. It prints `ready` first, or `refused` with
 * the reason.
 */
#include "common.h"
#include <poll.h>
#include <sys/fanotify.h>

#define MASK (FAN_CREATE | FAN_DELETE | FAN_DELETE_SELF | FAN_ONDIR)

static void say(const struct fanotify_event_metadata *event) {
  const struct fanotify_event_info_fid *info = (const void *)(event + 1);
  const struct file_handle *handle = (const void *)info->handle;
  const char *name = (const char *)handle->f_handle + handle->handle_bytes;
  if (event->mask & FAN_CREATE) printf("CREATE %s\n", name);
  if (event->mask & FAN_DELETE) printf("DELETE %s\n", name);
  if (event->mask & FAN_DELETE_SELF) printf("DELETE_SELF\n");
}

int main(int count, char **arguments) {
  if (count != 2) return 2;
  setvbuf(stdout, NULL, _IOLBF, 0);
  int fanotify =
      fanotify_init(FAN_REPORT_FID | FAN_REPORT_DIR_FID | FAN_REPORT_NAME | FAN_CLOEXEC, O_RDONLY);
  if (fanotify < 0 || fanotify_mark(fanotify, FAN_MARK_ADD, MASK, AT_FDCWD, arguments[1]) != 0) {
    printf("refused: %s\n", strerror(errno));
    return 0;
  }
  printf("ready\n");
  struct pollfd both[] = {{fanotify, POLLIN, 0}, {STDIN_FILENO, POLLIN, 0}};
  while (poll(both, 2, -1) > 0 && both[1].revents == 0) {
    static char heard[65536] __attribute__((aligned(8)));
    ssize_t left = read(fanotify, heard, sizeof heard);
    if (left < 0) die("read: %m");
    struct fanotify_event_metadata *event = (void *)heard;
    for (; FAN_EVENT_OK(event, left); event = FAN_EVENT_NEXT(event, left)) say(event);
  }
  return 0;
}
