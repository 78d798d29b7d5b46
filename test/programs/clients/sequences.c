/*
 * Repeats the system calls of programs written for other event directories, as strace shows them:
 * one function a client. A failed call prints `<call>: <errno>`; a client prints the text that it
 * reads.
 *
 *   sequences udev EVENTS     libudev-compat: commands from standard input (wait, take, collect MS,
 *                             fork, exit)
 *   sequences put MOUNT NAME  event-put: the text comes from standard input
 *   sequences mmap FILE       a private mapping for reading
 *   sequences thread DIR      a directory made by a thread that ends
 *   sequences exec DIR        a directory made before an exec
 *   sequences append FILE N   N lines, each with a write(2) of its own, in append mode
 *   sequences splice FILE     splice(2) to standard output, a pipe
 *   sequences sendfile FILE   sendfile(2) to standard output
 */
#include "common.h"
#include <dirent.h>
#include <poll.h>
#include <pthread.h>
#include <sys/inotify.h>
#include <sys/sendfile.h>
#include <sys/stat.h>

#define LIMIT_S 25
#define LARGEST_UDEV_EVENT 8192

/* Returns the result of a call; prints a failure with the errno's name. */
static long said(const char *call, long got) {
  if (got < 0) printf("%s: %s\n", call, strerrorname_np(errno));
  return got;
}

#define TRY(call, ...) said(#call, call(__VA_ARGS__))

static int is_dot(const struct dirent *entry) {
  return strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
}

/* ---- libudev-compat: udev_monitor_new, _receive_device and _unref */

static char udev_dir[4096];
static int udev_inotify = -1;

static void udev_watch(void) {
  TRY(inotify_add_watch, udev_inotify, udev_dir, IN_CREATE | IN_ONESHOT);
}

static void udev_start(const char *events, int slot) {
  if (mkdir(events, 0700) != 0 && errno != EEXIST) said("mkdir", -1);
  snprintf(udev_dir, sizeof udev_dir, "%s/libudev-%d-%d/", events, (int)getpid(), slot);
  TRY(mkdir, udev_dir, 0700);
  udev_inotify = (int)TRY(inotify_init1, IN_NONBLOCK | IN_CLOEXEC);
  udev_watch();
  printf("started %s\n", udev_dir);
}

static int not_dots(const struct dirent *entry) { return !is_dot(entry); }

/* Prints and unlinks every event of the directory, oldest name first. */
static void udev_take(void) {
  int dir = (int)TRY(open, udev_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (dir < 0) return;
  int again = (int)TRY(openat, dir, ".", O_RDONLY | O_NONBLOCK | O_DIRECTORY | O_CLOEXEC);
  struct stat st;
  TRY(fstat, again, &st);
  if (!S_ISDIR(st.st_mode)) printf("fstat: no directory\n");
  close(again);
  struct dirent **names;
  int count = (int)TRY(scandirat, dir, ".", &names, not_dots, alphasort);
  for (int i = 0; i < count; i++) {
    char path[8192], text[LARGEST_UDEV_EVENT + 1];
    snprintf(path, sizeof path, "%s/%s", udev_dir, names[i]->d_name);
    int fd = (int)TRY(open, path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0 && TRY(fstat, fd, &st) == 0) {
      if (st.st_size >= LARGEST_UDEV_EVENT) printf("dropped %s\n", names[i]->d_name);
      else {
        ssize_t got = TRY(read, fd, text, (size_t)st.st_size);
        printf("event %s %ld of %ld type %d: %.*s", names[i]->d_name, (long)got, (long)st.st_size,
               names[i]->d_type, (int)got, text);
      }
    }
    TRY(close, fd);
    TRY(unlink, path);
    free(names[i]);
  }
  if (count >= 0) free(names);
  close(dir);
}

/* Waits for an inotify event, then takes all events. */
static void udev_wait(void) {
  char heard[4096];
  ssize_t got;
  while ((got = read(udev_inotify, heard, sizeof heard)) < 0 && errno == EAGAIN) usleep(2000);
  for (char *at = heard; got > 0 && at < heard + got;) {
    struct inotify_event *event = (struct inotify_event *)at;
    if (event->mask & IN_CREATE) printf("created %s\n", event->name);
    at += sizeof *event + event->len;
  }
  udev_watch();
  udev_take();
}

/* Waits and takes again and again, until no event has come for `quiet_ms` milliseconds. */
static void udev_collect(int quiet_ms) {
  struct pollfd polled = {.fd = udev_inotify, .events = POLLIN};
  while (poll(&polled, 1, quiet_ms) > 0) udev_wait();
}

static void udev_exit(void) {
  DIR *dir = opendir(udev_dir);
  if (dir == NULL) said("opendir", -1);
  for (struct dirent *entry; dir != NULL && (entry = readdir(dir)) != NULL;) {
    char path[8192];
    snprintf(path, sizeof path, "%s/%s", udev_dir, entry->d_name);
    if (!is_dot(entry)) TRY(unlink, path);
  }
  if (dir != NULL) closedir(dir);
  TRY(rmdir, udev_dir);
}

static int udev(const char *events) {
  udev_start(events, 0);
  for (char command[64]; printf("ready\n"), fgets(command, sizeof command, stdin) != NULL;) {
    if (strcmp(command, "wait\n") == 0) udev_wait();
    else if (strcmp(command, "take\n") == 0) udev_take();
    else if (strncmp(command, "collect ", 8) == 0) udev_collect(atoi(command + 8));
    else if (strcmp(command, "exit\n") == 0) {
      udev_exit();
      return 0;
    }
    if (strcmp(command, "fork\n") == 0) {
      char parents[4096];
      memcpy(parents, udev_dir, sizeof parents);
      pid_t child = fork();
      if (child == 0) {
        udev_start(events, 0); /* libudev-compat compares getpid() and makes a new one */
        printf("parent's %s\n", access(parents, F_OK) == 0 ? "is there" : strerrorname_np(errno));
        udev_exit();
        _exit(0);
      }
      waitpid(child, NULL, 0);
    }
  }
  return 0;
}

/* ---- event-put: at the end of the listing, its loop handles the last entry once more */

static int put(const char *mount, const char *name) {
  char path[4096], text[65536];
  ssize_t length = TRY(read, 0, text, sizeof text);
  snprintf(path, sizeof path, "%s/global/%s", mount, name);
  int fd = (int)TRY(open, path, O_WRONLY | O_CREAT | O_EXCL, 0600);
  if (fd < 0) return 1;
  if (TRY(write, fd, text, (size_t)length) != length) printf("write: short\n");
  DIR *dir = opendir(mount);
  if (dir == NULL) return (int)said("opendir", -1);
  struct dirent last = {.d_type = DT_UNKNOWN};
  for (int is_over = 0; !is_over;) {
    const struct dirent *entry = readdir(dir);
    if (entry != NULL) last = *entry;
    is_over = entry == NULL;
    char to[8192];
    if (is_dot(&last) || last.d_type != DT_DIR) continue;
    snprintf(to, sizeof to, "%s//%s/%s", mount, last.d_name, name);
    if (link(path, to) != 0) printf("link %s: %s\n", last.d_name, strerrorname_np(errno));
    else printf("linked %s\n", last.d_name);
  }
  closedir(dir);
  TRY(unlink, path);
  struct stat st;
  if (TRY(fstat, fd, &st) == 0)
    printf("then nlink %ld, size %ld\n", (long)st.st_nlink, (long)st.st_size);
  TRY(close, fd);
  return 0;
}

/* ---- other ways to read */

static int map(const char *path) {
  int fd = (int)TRY(open, path, O_RDONLY);
  struct stat st;
  if (fd < 0 || TRY(fstat, fd, &st) != 0) return 1;
  char *text = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
  if (text == MAP_FAILED) return (int)said("mmap", -1);
  TRY(close, fd);
  fwrite(text, 1, (size_t)st.st_size, stdout);
  text[0] = '#'; /* a private copy: the file must not change */
  return (int)TRY(munmap, text, (size_t)st.st_size);
}

static int spliced(const char *path) {
  int fd = (int)TRY(open, path, O_RDONLY);
  while (TRY(splice, fd, NULL, 1, NULL, 65536, 0) > 0) continue;
  return 0;
}

static int sent(const char *path) {
  int fd = (int)TRY(open, path, O_RDONLY);
  while (TRY(sendfile, 1, fd, NULL, 65536) > 0) continue;
  return 0;
}

static int append(const char *path, int count) {
  int fd = (int)TRY(open, path, O_WRONLY | O_CREAT | O_APPEND, 0644);
  for (int i = 0; i < count; i++) {
    char line[64];
    int length = snprintf(line, sizeof line, "%d %d\n", (int)getpid(), i);
    if (TRY(write, fd, line, (size_t)length) != length) return 1;
  }
  return (int)TRY(close, fd);
}

/* ---- owners of directories */

static void *make_directory(void *path) {
  TRY(mkdir, path, 0700);
  return NULL;
}

static int thread(char *path) {
  pthread_t made;
  pthread_create(&made, NULL, make_directory, path);
  pthread_join(made, NULL);
  usleep(100000); /* the thread's end must not end the directory */
  return (int)TRY(access, path, F_OK);
}

static int executes(char *path) {
  TRY(mkdir, path, 0700);
  TRY(execl, "/bin/sh", "sh", "-c",
      "cd \"$1\" && echo through > exec && cat exec && exec stat -c '%F' \"$1\"", "sh", path,
      (char *)NULL);
  return 1;
}

int main(int argc, char **argv) {
  alarm(LIMIT_S);
  setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
  const char *client = argc > 2 ? argv[1] : "";
  if (strcmp(client, "udev") == 0) return udev(argv[2]);
  if (strcmp(client, "put") == 0 && argc == 4) return put(argv[2], argv[3]);
  if (strcmp(client, "mmap") == 0) return map(argv[2]);
  if (strcmp(client, "splice") == 0) return spliced(argv[2]);
  if (strcmp(client, "sendfile") == 0) return sent(argv[2]);
  if (strcmp(client, "append") == 0 && argc == 4) return append(argv[2], atoi(argv[3]));
  if (strcmp(client, "thread") == 0) return thread(argv[2]);
  if (strcmp(client, "exec") == 0) return executes(argv[2]);
  return 100;
}
