/*
 * eventfs-emit: publish one event, or those on standard input, as `eventfs emit` does, without Node's start. It needs the C library and nothing else:
 * cc -O2 -static -o eventfs-emit native/eventfs-emit.c
 *
 *   eventfs-emit [--mount DIR] [--environment] [KEY=VALUE ...]
 *   eventfs-emit [--mount DIR] - < events
 *
 * Without KEY=VALUE, or with --environment, the device's variables of the environment are taken, as mdev, mdevd, vdev and
 * udev's RUN+= set them. Exit codes: 0; 1 it failed; 100 wrong usage; 111 a system call failed.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/statfs.h>
#include <sys/wait.h>
#include <unistd.h>

enum { EXIT_FAILED = 1, EXIT_USAGE = 100, EXIT_SYSTEM_CALL = 111 };

/* How long a daemon may take for a write. */
enum { PATIENCE_S = 10 };

/* The kernel hands on larger writes in pieces; the daemon refuses a single event of more than half of that. */
enum { MOST_BYTES = 128 * 1024 };

/* linux/magic.h; f_type is signed on some machines. */
#define FUSE_SUPER_MAGIC 0x65735546UL

/* fs/cli/device-variables.ts has the same list; a test compares the two. */
static const char *const NAMES[] = {
    "ACTION",  "DEVPATH", "SUBSYSTEM", "SEQNUM",   "SYNTH_UUID", "DEVNAME",  "DEVTYPE",     "DEVMODE",
    "DEVUID",  "DEVGID",  "DEVLINKS",  "DRIVER",   "MAJOR",      "MINOR",    "MODALIAS",    "PRODUCT",
    "TYPE",    "INTERFACE", "IFINDEX", "BUSNUM",   "DEVNUM",     "DISKSEQ",  "DISKNAME",    "PARTN",
    "PARTNAME", "PARTUUID", "FIRMWARE", "TIMEOUT", "ASYNC",      "TAGS",     "CURRENT_TAGS", "USEC_INITIALIZED",
    "DEVPATH_OLD", "RESULT", "MDEV",   "NAME",     "PHYS",       "UNIQ",     "PROP",        "EV",
    "KEY",     "REL",     "ABS",       "MSC",      "LED",        "SND",      "FF",          "SW",
};
static const char *const PREFIXES[] = {"SYNTH_ARG_", "HID_", "PCI_", "OF_", "POWER_SUPPLY_", "ID_", "SCSI_"};
static const char VDEV_PREFIX[] = "VDEV_OS_";

/* KEY=VALUE in the order of their keys' first appearance. */
struct property {
  const char *key; /* not ended by a NUL */
  size_t key_length;
  const char *value;
};
static struct property *properties;
static size_t count, room;

static const char *mount_path = "/dev/events";

static void die(int code, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  fputs("eventfs: emit: ", stderr);
  vfprintf(stderr, format, arguments);
  fputc('\n', stderr);
  va_end(arguments);
  _exit(code);
}

static void *larger(void *old, size_t size) {
  void *memory = realloc(old, size);
  if (memory == NULL) die(EXIT_SYSTEM_CALL, "%s", strerror(errno));
  return memory;
}

static int is_device_variable(const char *name, size_t length) {
  for (size_t i = 0; i < sizeof NAMES / sizeof *NAMES; i++)
    if (strlen(NAMES[i]) == length && memcmp(NAMES[i], name, length) == 0) return 1;
  for (size_t i = 0; i < sizeof PREFIXES / sizeof *PREFIXES; i++)
    if (strlen(PREFIXES[i]) <= length && memcmp(PREFIXES[i], name, strlen(PREFIXES[i])) == 0) return 1;
  return 0;
}

static const char *value_of(const char *key) {
  for (size_t i = 0; i < count; i++)
    if (properties[i].key_length == strlen(key) && memcmp(properties[i].key, key, strlen(key)) == 0) return properties[i].value;
  return NULL;
}

static void set(const char *key, size_t key_length, const char *value) {
  for (size_t i = 0; i < count; i++) {
    if (properties[i].key_length != key_length || memcmp(properties[i].key, key, key_length) != 0) continue;
    properties[i].value = value;
    return;
  }
  if (count == room) properties = larger(properties, (room = room * 2 + 64) * sizeof *properties);
  properties[count++] = (struct property){key, key_length, value};
}

/* What of `KEY=VALUE` is a device's, where the name begins with `prefix`. */
static void take_environment(const char *prefix) {
  for (char **entry = environ; *entry != NULL; entry++) {
    const char *equals = strchr(*entry, '=');
    if (equals == NULL || strncmp(*entry, prefix, strlen(prefix)) != 0) continue;
    const char *key = *entry + strlen(prefix);
    if (is_device_variable(key, (size_t)(equals - key))) set(key, (size_t)(equals - key), equals + 1);
  }
}

static void take_environments(void) {
  take_environment("");
  if (value_of("DEVPATH") != NULL || getenv("VDEV_OS_DEVPATH") == NULL) return;
  if (getenv("VDEV_ACTION") != NULL) set("ACTION", strlen("ACTION"), getenv("VDEV_ACTION"));
  take_environment(VDEV_PREFIX);
}

/* In the kernel's own form, whose NULs let a value hold line ends. */
static char *build(size_t *length) {
  const char *action = value_of("ACTION"), *devpath = value_of("DEVPATH");
  if (action == NULL || devpath == NULL)
    die(EXIT_FAILED, "ACTION and DEVPATH are required (try eventfs emit ACTION=change DEVPATH=/my/thing SUBSYSTEM=mine)");
  if (devpath[0] != '/') die(EXIT_FAILED, "DEVPATH=%s: it begins with /", devpath);
  size_t size = strlen(action) + 1 + strlen(devpath) + 1;
  for (size_t i = 0; i < count; i++) size += properties[i].key_length + 1 + strlen(properties[i].value) + 1;
  char *text = larger(NULL, size + 1), *at = text;
  at += sprintf(at, "%s@%s", action, devpath) + 1;
  for (size_t i = 0; i < count; i++)
    at += sprintf(at, "%.*s=%s", (int)properties[i].key_length, properties[i].key, properties[i].value) + 1;
  *length = size;
  return text;
}

static char *read_input(size_t *length) {
  char *text = NULL;
  size_t have = 0, size = 0;
  for (;;) {
    if (have == size) text = larger(text, size = size * 2 + 65536);
    ssize_t got = read(STDIN_FILENO, text + have, size - have);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) die(EXIT_SYSTEM_CALL, "standard input: %s", strerror(errno));
    if (got == 0) break;
    have += (size_t)got;
  }
  if (have == 0) die(EXIT_FAILED, "standard input is empty");
  *length = have;
  return text;
}

/* The bytes for `publish`: one event, or several with an empty line behind each. */
static const char *outgoing;
static size_t outgoing_events;
/* How many of them the daemon has taken: the child counts, and the parent tells of it. */
static volatile size_t *taken;

/* How many times one or more empty lines follow a line. */
static size_t empty_lines(const char *text, size_t length) {
  size_t lines = 0;
  for (const char *at = text, *end = text + length; (at = memmem(at, (size_t)(end - at), "\n\n", 2)) != NULL; lines++)
    while (at < end && *at == '\n') at++;
  return lines;
}

/* What an error says of the events before it, where there are several. */
static const char *progress(void) {
  static char text[64];
  if (outgoing_events > 1) snprintf(text, sizeof text, "; %zu of %zu events came", empty_lines(outgoing, *taken), outgoing_events);
  return text;
}

/* Waits for the child: passes on what it says, and ends as it does, or without it. */
static void be_patient(pid_t child, int said) {
  char text[4096];
  struct pollfd ready = {said, POLLIN, 0};
  for (size_t before = 0;;) {
    int count = poll(&ready, 1, PATIENCE_S * 1000);
    if (count == 0 && *taken > before) {
      before = *taken;
      continue;
    }
    if (count == 0) die(EXIT_FAILED, "%s: its daemon does not answer (try eventfs umount %s)%s", mount_path, mount_path, progress());
    ssize_t length = count < 0 ? -1 : read(said, text, sizeof text);
    if (length < 0 && errno == EINTR) continue;
    if (length <= 0) break;
    if (write(STDERR_FILENO, text, (size_t)length) < 0) break;
  }
  int status;
  while (waitpid(child, &status, 0) < 0)
    if (errno != EINTR) _exit(EXIT_SYSTEM_CALL);
  if (!WIFEXITED(status)) _exit(EXIT_FAILED);
  if (WEXITSTATUS(status) != 0) _exit(WEXITSTATUS(status));
}

/*
 * A call on a mount whose daemon is stuck may never end, SIGKILL or not. So a child makes them, which holds nothing of ours:
 * it can be left behind. True in the child.
 */
static int go_apart(void) {
  int said[2];
  if (pipe2(said, O_CLOEXEC) != 0) die(EXIT_SYSTEM_CALL, "%s", strerror(errno));
  pid_t child = fork();
  if (child < 0) die(EXIT_SYSTEM_CALL, "%s", strerror(errno));
  if (child > 0) {
    close(said[1]);
    be_patient(child, said[0]);
    return 0;
  }
  dup2(said[1], STDERR_FILENO);
  close(STDIN_FILENO);
  close(STDOUT_FILENO);
  close(said[0]);
  close(said[1]);
  return 1;
}

static void fail(const char *path) {
  const char *hint = "";
  if (errno == ENOTCONN || errno == ECONNABORTED || errno == ECANCELED)
    die(EXIT_FAILED, "%s: its daemon was killed (try eventfs mount %s)", mount_path, mount_path);
  if (errno == EACCES) hint = " (publish is for its owner only: try as root, or have root chmod it)";
  if (errno == EINVAL) hint = " (the event is malformed: ACTION@/DEVPATH, then KEY=VALUE lines)";
  if (errno == EFBIG) hint = " (an event has at most 64 KiB)";
  die(EXIT_SYSTEM_CALL, "%s: %s%s%s", path, strerror(errno), hint, progress());
}

/* Events from standard input may be many: the daemon takes as many as it likes of a write. */
static void publish(char *event, size_t length) {
  char *path = larger(NULL, strlen(mount_path) + sizeof "/publish");
  sprintf(path, "%s/publish", mount_path);
  size_t end = length;
  if (memchr(event, '\0', length) == NULL)
    while (end > 0 && event[end - 1] == '\n') end--;
  outgoing_events = 1 + (memchr(event, '\0', length) == NULL ? empty_lines(event, end) : 0);
  if (outgoing_events > 1) { /* the daemon would wait for the end of a last record that no empty line ends */
    event = larger(event, end + 2);
    memcpy(event + end, "\n\n", 2);
    length = end + 2;
  }
  outgoing = event;
  taken = mmap(NULL, sizeof *taken, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (taken == MAP_FAILED) die(EXIT_SYSTEM_CALL, "%s", strerror(errno));
  if (outgoing_events == 1 && length >= MOST_BYTES) errno = EFBIG, fail(path);
  if (!go_apart()) return;
  struct statfs found;
  int failed = statfs(mount_path, &found);
  if (failed < 0 && errno != ENOENT) fail(mount_path);
  if (failed < 0 || (unsigned long)found.f_type != FUSE_SUPER_MAGIC)
    die(EXIT_FAILED, "%s: eventfs is not mounted here (try eventfs mount %s, or --mount DIR)", mount_path, mount_path);
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0) fail(path);
  while (*taken < length) {
    ssize_t got = write(fd, event + *taken, length - *taken);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail(path);
    if (got == 0) die(EXIT_FAILED, "%s: it takes nothing more%s", path, progress());
    *taken += (size_t)got;
  }
  if (close(fd) < 0) fail(path);
  _exit(0);
}

int main(int argc, char **argv) {
  int environment = 0, input = 0, given = 0;
  char **arguments = argv + 1;
  for (int i = 0; i < argc - 1; i++) {
    if (strcmp(arguments[i], "--environment") == 0) environment = 1;
    else if (strcmp(arguments[i], "--mount") == 0 && i + 2 < argc) mount_path = arguments[++i];
    else if (strncmp(arguments[i], "--mount=", 8) == 0) mount_path = arguments[i] + 8;
    else if (strcmp(arguments[i], "-") == 0) input = 1;
    else if (arguments[i][0] == '-') {
      fprintf(stderr, "eventfs: emit: unknown option '%s' (usage: eventfs-emit [--mount DIR] [--environment] [KEY=VALUE ...|-])\n", arguments[i]);
      return EXIT_USAGE;
    } else arguments[given++] = arguments[i];
  }
  size_t length;
  if (input && given > 0) die(EXIT_FAILED, "-: not KEY=VALUE");
  if (input) {
    char *event = read_input(&length);
    publish(event, length);
    return 0;
  }
  if (environment || given == 0) take_environments();
  for (int i = 0; i < given; i++) {
    const char *equals = strchr(arguments[i], '=');
    if (equals == NULL || equals == arguments[i]) die(EXIT_FAILED, "%s: not KEY=VALUE", arguments[i]);
    set(arguments[i], (size_t)(equals - arguments[i]), equals + 1);
  }
  char *event = build(&length);
  publish(event, length);
  return 0;
}
