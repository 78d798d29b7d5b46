/*
 * `eventfs exec` without the start of Node:
 *
 *   eventfs-exec NODE [NODE_OPTION] SCRIPT exec [options] [--] COMMAND [ARGUMENT...]
 *
 * bin/eventfs calls it with the whole command that runs the Node program. This program handles the
 * usual case. In every other case it runs the Node program, which has the messages: wrong options,
 * no mount, a filter that the daemon refuses, an event that came before the filter.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

enum { EXIT_USAGE = 100, EXIT_SYSTEM_CALL = 111, EXIT_NOT_RUN = 126, EXIT_NOT_FOUND = 127 };

/* The longest time that a daemon may take, in milliseconds. */
enum { ANSWER_TIMEOUT_MS = 2000 };
/* How often to begin again if an event comes before the filter. */
enum { MOST_ATTEMPTS = 8 };
/* The daemon parses a longer filter later, and its refusal would come too late. */
enum { MOST_FILTER_BYTES = 4096 };
/* The longest SEQNUM, in digits. */
enum { MOST_DIGITS = 15 };

/* From linux/magic.h. UL, because f_type is signed on some machines. */
#define FUSE_SUPER_MAGIC 0x65735546UL

struct options {
  const char *mount, *filter, *since, *label;
  char **command;
};

/* Replaces this process by the Node program. */
__attribute__((noreturn)) static void run_node(char **command) {
  execvp(command[0], command);
  fprintf(stderr, "eventfs: %s: %s (install Node.js 20.17 or newer)\n", command[0],
          strerror(errno));
  _exit(EXIT_SYSTEM_CALL);
}

/* Returns the value of option `name` at argument `*at`, and advances `*at`; or NULL. */
static const char *value_of(const char *name, char **arguments, int *at) {
  size_t length = strlen(name);
  const char *argument = arguments[*at];
  if (strncmp(argument, name, length) != 0) return NULL;
  if (argument[length] == '=') return argument + length + 1;
  if (argument[length] != '\0' || arguments[*at + 1] == NULL) return NULL;
  return arguments[++*at];
}

/* Returns false if an option is unknown or has no value. */
static bool parse(char **arguments, struct options *options) {
  int at = 0;
  for (; arguments[at] != NULL && arguments[at][0] == '-'; at++) {
    if (strcmp(arguments[at], "--") == 0) {
      at++;
      break;
    }
    const char *value;
    if ((value = value_of("--mount", arguments, &at)) != NULL) options->mount = value;
    else if ((value = value_of("--filter", arguments, &at)) != NULL) options->filter = value;
    else if ((value = value_of("--since", arguments, &at)) != NULL) options->since = value;
    else if ((value = value_of("--label", arguments, &at)) != NULL) options->label = value;
    else return false;
  }
  options->command = arguments + at;
  return options->command[0] != NULL;
}

/* Returns whether a key of a filter may be in lower case: the Node program warns of that. */
static bool has_lower_case_key(const char *filter) {
  bool key_begins = true;
  for (const char *at = filter; *at != '\0'; at++) {
    if (strchr(" \t\r\v\f", *at) != NULL) continue;
    if (key_begins && *at >= 'a' && *at <= 'z') return true;
    key_begins = strchr(",;\n", *at) != NULL;
  }
  return false;
}

/* Returns whether a message of this program may show a name: ASCII, and not thousands of it. */
static bool is_printable(const char *text) {
  size_t length = strlen(text);
  for (size_t at = 0; at < length; at++) {
    if (text[at] < ' ' || text[at] > '~') return false;
  }
  return length > 0 && length < PATH_MAX / 8;
}

/* Returns false if the Node program must judge the values. */
static bool are_plain(const struct options *options) {
  const char *since = options->since;
  if (since != NULL && (*since == '\0' || strlen(since) > MOST_DIGITS ||
                        strspn(since, "0123456789") != strlen(since))) {
    return false;
  }
  const char *label = options->label;
  if (label != NULL && (*label == '\0' || strchr(label, '/') != NULL)) return false;
  if (strlen(options->filter) > MOST_FILTER_BYTES) return false;
  if (!is_printable(options->command[0])) return false;
  return !has_lower_case_key(options->filter);
}

/* Writes a line to a file of the directory. Never creates it. Returns false if that fails. */
static bool write_line(const char *directory, const char *name, const char *text) {
  char path[PATH_MAX + NAME_MAX], line[MOST_FILTER_BYTES + 2];
  snprintf(path, sizeof path, "%s/%s", directory, name);
  int length = snprintf(line, sizeof line, "%s\n", text);
  int fd = open(path, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) return false;
  ssize_t written = write(fd, line, (size_t)length);
  return close(fd) == 0 && written == length;
}

/* Removes the directory with all events in it. */
static void remove_directory(const char *directory) {
  DIR *listing = opendir(directory);
  if (listing == NULL) return;
  for (struct dirent *entry; (entry = readdir(listing)) != NULL;) {
    if (entry->d_name[0] != '.') unlinkat(dirfd(listing), entry->d_name, 0);
  }
  closedir(listing);
  rmdir(directory);
}

/* Makes MOUNT/PID[.LABEL], or one with a number behind it. Returns false if it fails. */
static bool make_free(char *path, const char *mount, pid_t owner, const char *label) {
  const char *dot = label == NULL ? "" : ".";
  if (label == NULL) label = "";
  for (int n = 0;; n++) {
    char number[16] = "";
    if (n > 0) snprintf(number, sizeof number, ".%d", n);
    int length = snprintf(path, PATH_MAX, "%s/%d%s%s%s", mount, owner, dot, label, number);
    if (length >= PATH_MAX) return false;
    if (mkdir(path, 0700) == 0) return true;
    if (errno != EEXIST) return false;
  }
}

/* Returns whether a directory holds no event. */
static bool is_empty(const char *directory) {
  char pending[16];
  ssize_t length = getxattr(directory, "user.eventfs.pending", pending, sizeof pending);
  return length == 1 && pending[0] == '0';
}

/*
 * Makes the directory of process `owner`, and puts its path into `path`. An event that comes
 * between mkdir(2) and the filter may be any event: then the directory is made again. Returns false
 * if it fails.
 */
static bool make_directory(char *path, pid_t owner, const struct options *options) {
  char mount[PATH_MAX], status[PATH_MAX + NAME_MAX];
  struct statfs found;
  if (realpath(options->mount, mount) == NULL || statfs(mount, &found) != 0) return false;
  if ((unsigned long)found.f_type != FUSE_SUPER_MAGIC) return false;
  snprintf(status, sizeof status, "%s/log/.status", mount);
  if (access(status, F_OK) != 0) return false;
  for (int attempt = 0; attempt < MOST_ATTEMPTS; attempt++) {
    if (!make_free(path, mount, owner, options->label)) return false;
    bool is_ready = options->filter[0] == '\0' ||
                    (write_line(path, ".filter", options->filter) && is_empty(path));
    if (is_ready && (options->since == NULL || write_line(path, ".since", options->since))) {
      return true;
    }
    remove_directory(path);
  }
  return false;
}

/*
 * Reads the path that the child sends. Returns false if it sends none in time: a system call on a
 * mount with a stuck daemon may never end.
 */
static bool receive_path(int from, char *path) {
  struct pollfd ready = {from, POLLIN, 0};
  int count;
  do count = poll(&ready, 1, ANSWER_TIMEOUT_MS);
  while (count < 0 && errno == EINTR);
  if (count <= 0) return false;
  ssize_t length = read(from, path, PATH_MAX - 1);
  if (length <= 0) return false;
  path[length] = '\0';
  return true;
}

/* A child makes the directory, which belongs to this process. Returns false if it fails. */
static bool make_directory_in_child(char *path, const struct options *options) {
  int channel[2];
  pid_t owner = getpid();
  if (pipe2(channel, O_CLOEXEC) != 0) return false;
  pid_t child = fork();
  if (child < 0) return false;
  if (child == 0) {
    /* It may never end: the reader of a pipe that this program inherited must not wait for it. */
    if (dup2(channel[1], STDIN_FILENO) < 0) _exit(1);
    syscall(SYS_close_range, STDIN_FILENO + 1, ~0u, 0u);
    if (!make_directory(path, owner, options)) _exit(1);
    _exit(write(STDIN_FILENO, path, strlen(path)) < 0);
  }
  close(channel[1]);
  bool is_made = receive_path(channel[0], path);
  close(channel[0]);
  if (!is_made) kill(child, SIGKILL);
  /* A child that waits for a stuck daemon may not end. */
  waitpid(child, NULL, is_made ? 0 : WNOHANG);
  return is_made;
}

int main(int argc, char **argv) {
  if (argc < 5) {
    fputs("eventfs-exec: bin/eventfs calls this program (try eventfs exec --help)\n", stderr);
    return EXIT_USAGE;
  }
  char **node = argv + 1;
  char **arguments = argv + (strcmp(argv[3], "exec") == 0 ? 4 : 5);
  static char path[PATH_MAX];
  struct options options = {"/dev/events", "", NULL, NULL, NULL};
  if (!parse(arguments, &options) || !are_plain(&options)) run_node(node);
  if (!make_directory_in_child(path, &options)) run_node(node);
  setenv("EVENTS_DIR", path, 1);
  signal(SIGUSR1, SIG_DFL); /* bin/eventfs ignores it */
  execvp(options.command[0], options.command);
  const char *hint = errno == ENOENT   ? " (check its name and PATH)"
                     : errno == EACCES ? " (it must be an executable file)"
                                       : "";
  int code = errno == ENOENT ? EXIT_NOT_FOUND : EXIT_NOT_RUN;
  fprintf(stderr, "eventfs: exec: %s: %s%s\n", options.command[0], strerror(errno), hint);
  return code;
}
