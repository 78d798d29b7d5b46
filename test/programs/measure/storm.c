/*
 * A storm of real uevents: `storm COUNT WRITERS MOUNT SOCKET [PID]`. WRITERS processes make the
 * kernel send COUNT events as fast as it can, each process for a device of its own. 16 subscribers,
 * of four kinds in turn (`stream`, `match/`, the `.stream` of a process directory, SOCKET), check
 * that the events of each writer come in order, and that the events received and those stated by
 * `overflow@/eventfs` records add up to what the kernel sent. With PID, the daemon's, the program
 * stops the daemon while the writers run.
 *
 * A bare netlink listener, with a buffer for all of them, counts the events that the kernel sent,
 * including those of other senders. Events of other network namespaces have SEQNUMs too, but reach
 * no listener here: the program prints their number as `foreign`. The daemon can't tell them from
 * lost ones, so a sum may exceed the number sent by at most that number, and is never below it.
 */
#include "common.h"
#include <linux/netlink.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#define SUBSCRIBERS 16
#define KINDS 4
#define WRITERS_MOST 6
#define COUNT_MOST 1000000l
#define SPAN (4u << 20) /* only SEQNUMs from the first on are counted */
#define LISTENER_BUFFER_BYTES (512 << 20)
#define READ_BYTES 65536
#define KERNEL_GROUP 1
#define READY_MOST_NS (20 * NS_PER_S)
#define MARKED_MOST_NS (60 * NS_PER_S)
#define MARK_EACH_NS (500 * NS_PER_MS)
#define LIMIT_S 280
/*
 * The storm, the writer, and the number of its event. The writer WRITERS_MOST sends the marks: 0 is
 * the beginning, all others are the end.
 */
#define UUID_FORMAT "%08x-0000-%04x-0000-%012x"
#define UUID_KEY "SYNTH_UUID="

static const char *const DEVICES[WRITERS_MOST] = {"null",   "zero",    "full",
                                                  "random", "urandom", "kmsg"};
static const char *const FILTER = "DEVPATH==*"; /* of every event of the kernel */

/* The counts of one subscriber, from the beginning's mark to the end's. */
struct tally {
  volatile bool ready, begun;
  uint64_t received, lost, disorder;
  volatile uint64_t mark; /* its SEQNUM */
  uint64_t marked_ns;
  long long last[WRITERS_MOST + 1];
};

/* The events that the kernel has sent. */
struct truth {
  volatile bool ready, begun;
  uint64_t from;               /* the beginning's SEQNUM, as in `place` */
  uint32_t arrived, reordered; /* reordered: after one with a higher SEQNUM */
  uint32_t place[SPAN];        /* by SEQNUM minus the first: its place since the beginning, or 0 */
};

static uint64_t first_seqnum; /* read before any listener started */
static unsigned storm_id;

/* Returns the writer of an event, and its index; -1 if no writer of this storm sent it. */
static int parse_own(const char *text, size_t bytes, unsigned *index) {
  unsigned storm, writer;
  const char *uuid = memmem(text, bytes, UUID_KEY, strlen(UUID_KEY));
  if (!uuid ||
      sscanf(uuid + strlen(UUID_KEY), "%8x-0000-%4x-0000-%12x", &storm, &writer, index) != 3)
    return -1;
  return storm == storm_id && writer <= WRITERS_MOST ? (int)writer : -1;
}

static uint64_t read_seqnum(void) {
  char text[32] = "";
  int fd = open("/sys/kernel/uevent_seqnum", O_RDONLY | O_CLOEXEC);
  if (fd < 0 || read(fd, text, sizeof text - 1) <= 0) die("/sys/kernel/uevent_seqnum: %m");
  close(fd);
  return strtoull(text, NULL, 10);
}

/* --- the listener --- */

__attribute__((noreturn)) static void listen_to_kernel(struct truth *truth) {
  static char text[READ_BYTES];
  int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_KOBJECT_UEVENT),
      bytes = LISTENER_BUFFER_BYTES;
  struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_groups = KERNEL_GROUP};
  if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes) != 0)
    die("netlink: %m");
  if (bind(fd, (struct sockaddr *)&address, sizeof address) != 0) die("bind: %m");
  truth->ready = true;
  for (uint64_t highest = 0;;) {
    ssize_t length = recv(fd, text, sizeof text - 1, 0);
    if (length < 0) die("the listener can't keep up: %m");
    text[length] = 0;
    const char *found = memmem(text, (size_t)length, "SEQNUM=", 7);
    uint64_t seqnum = found ? strtoull(found + 7, NULL, 10) : 0;
    if (!truth->begun) {
      unsigned index;
      truth->begun = parse_own(text, (size_t)length, &index) == WRITERS_MOST;
      truth->from = seqnum - first_seqnum + 1;
      continue;
    }
    if (seqnum <= first_seqnum || seqnum - first_seqnum >= SPAN) continue;
    if (seqnum < highest) truth->reordered++;
    else highest = seqnum;
    __atomic_store_n(&truth->place[seqnum - first_seqnum], ++truth->arrived, __ATOMIC_RELEASE);
  }
}

/* --- the subscribers --- */

static void check_record(struct tally *tally, const char *record, size_t bytes) {
  if (tally->mark) return;
  if (begins_with(record, bytes, "overflow@/eventfs\n")) {
    if (tally->begun) tally->lost += (uint64_t)find_value(record, bytes, "\nLOST=");
    return;
  }
  unsigned index = 0;
  int writer = parse_own(record, bytes, &index);
  if (tally->begun) tally->received++;
  if (writer < 0) return;
  if ((long long)index <= tally->last[writer]) tally->disorder++;
  tally->last[writer] = index;
  if (writer < WRITERS_MOST) return;
  if (!tally->begun) {
    tally->begun = true;
    return;
  }
  tally->marked_ns = now_ns();
  tally->mark = (uint64_t)find_value(record, bytes, "\nSEQNUM=");
}

/*
 * Reads records. A message of the socket is one record; a stream's records end with an empty line.
 */
__attribute__((noreturn)) static void subscribe(int fd, bool is_socket, struct tally *tally) {
  static char text[2 * READ_BYTES + 1];
  for (size_t kept = 0;;) {
    ssize_t length = read(fd, text + kept, READ_BYTES);
    if (length <= 0) die("a subscriber: %s", length < 0 ? strerror(errno) : "end of file");
    size_t bytes = kept + (size_t)length, done = 0;
    text[bytes] = 0;
    if (is_socket) {
      if (begins_with(text, bytes, "filter@")) tally->ready = true;
      else check_record(tally, text, bytes);
      continue;
    }
    for (const char *end; (end = memmem(text + done, bytes - done, "\n\n", 2));
         done = (size_t)(end + 2 - text))
      check_record(tally, text + done, (size_t)(end + 1 - text) - done);
    kept = bytes - done;
    if (kept > READ_BYTES) die("a record without an end");
    memmove(text, text + done, kept);
  }
}

static int connect_socket(const char *path) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
  int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
  if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) != 0) die("%s: %m", path);
  /* Matches every event; the daemon replies */
  if (write(fd, "\n", 1) != 1) die("%s: write: %m", path);
  return fd;
}

__attribute__((noreturn)) static void run_subscriber(int kind, const char *mount,
                                                     const char *socket_path, struct tally *tally) {
  char path[4096];
  if (kind == 3) subscribe(connect_socket(socket_path), true, tally);
  if (kind == 0) snprintf(path, sizeof path, "%s/stream", mount);
  if (kind == 1) snprintf(path, sizeof path, "%s/match/%s", mount, FILTER);
  if (kind == 2) {
    snprintf(path, sizeof path, "%s/%d", mount, getpid());
    if (mkdir(path, 0700) != 0) die("%s: %m", path);
    snprintf(path, sizeof path, "%s/%d/.stream", mount, getpid());
  }
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) die("%s: %m", path);
  tally->ready = true;
  subscribe(fd, false, tally);
}

/* --- the writers --- */

static int open_uevent(unsigned writer) {
  char path[64];
  snprintf(path, sizeof path, "/sys/class/mem/%s/uevent", DEVICES[writer % WRITERS_MOST]);
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0) die("%s: %m", path);
  return fd;
}

static void send_uevent(int fd, unsigned writer, unsigned index) {
  char text[96];
  int length =
      snprintf(text, sizeof text, "add " UUID_FORMAT " A=%u", storm_id, writer, index, index);
  if (write(fd, text, (size_t)length) != length) die("uevent: write: %m");
}

static pid_t stopped_daemon;

static void go_on(void) {
  if (stopped_daemon) kill(stopped_daemon, SIGCONT);
  stopped_daemon = 0;
}

static void stop(pid_t daemon) {
  if (kill(daemon, SIGSTOP) != 0) die("%d: %m", (int)daemon);
  stopped_daemon = daemon;
  before_death = go_on;
}

static void run_writers(long count, unsigned writers) {
  pid_t children[WRITERS_MOST];
  for (unsigned writer = 0; writer < writers; writer++) {
    if ((children[writer] = fork_child()) != 0) continue;
    int fd = open_uevent(writer);
    long share = count / writers + (writer < count % writers);
    for (unsigned index = 0; index < share; index++) send_uevent(fd, writer, index);
    _exit(0);
  }
  for (unsigned writer = 0; writer < writers; writer++) {
    int status;
    if (waitpid(children[writer], &status, 0) < 0 || status != 0) die("a writer failed");
  }
}

/* --- the results --- */

static int count_ready(const struct truth *truth, const struct tally *tallies) {
  int ready = truth->ready;
  for (int i = 0; i < SUBSCRIBERS; i++) ready += tallies[i].ready;
  return ready;
}

static int count_begun(const struct truth *truth, const struct tally *tallies) {
  int begun = truth->begun;
  for (int i = 0; i < SUBSCRIBERS; i++) begun += tallies[i].begun;
  return begun;
}

static void await_all(int (*count)(const struct truth *, const struct tally *),
                      const struct truth *truth, const struct tally *tallies) {
  for (uint64_t end_ns = now_ns() + READY_MOST_NS; count(truth, tallies) < SUBSCRIBERS + 1;
       sleep_ns(NS_PER_MS)) {
    expect_children_alive();
    if (now_ns() > end_ns) die("%d of %d are ready", count(truth, tallies), SUBSCRIBERS + 1);
  }
}

/* Sends the event from which all count; it is not counted itself. */
static void begin(const struct truth *truth, const struct tally *tallies) {
  await_all(count_ready, truth, tallies);
  int fd = open_uevent(0);
  send_uevent(fd, WRITERS_MOST, 0);
  close(fd);
  await_all(count_begun, truth, tallies);
}

/* Sends marks until every subscriber has one: a mark can be lost too. */
static void await_marks(const struct tally *tallies) {
  int fd = open_uevent(0), marked = 0;
  uint64_t start_ns = now_ns(), next_ns = start_ns;
  for (unsigned mark = 1; marked < SUBSCRIBERS; sleep_ns(NS_PER_MS)) {
    if (now_ns() >= next_ns) send_uevent(fd, WRITERS_MOST, mark++), next_ns += MARK_EACH_NS;
    expect_children_alive();
    if (now_ns() > start_ns + MARKED_MOST_NS)
      die("%d of %d have come to the end", marked, SUBSCRIBERS);
    marked = 0;
    for (int i = 0; i < SUBSCRIBERS; i++) marked += tallies[i].mark != 0;
  }
  close(fd);
}

struct sums {
  /* lost: the sum of the four subscribers of a kind */
  uint64_t sent, foreign, lost[KINDS], disorder, mismatches, inexact;
  uint64_t last_ns;
};

/*
 * Compares the events that a subscriber got, and its stated losses, with those sent until its mark.
 */
static void judge(struct sums *sums, const struct truth *truth, const struct tally *tally,
                  int kind) {
  uint64_t until = tally->mark - first_seqnum, foreign = 0;
  if (until >= SPAN) die("%llu events of others came in between", (unsigned long long)until);
  /* The listener may be late */
  while (!__atomic_load_n(&truth->place[until], __ATOMIC_ACQUIRE)) sleep_ns(NS_PER_MS);
  uint64_t sent = truth->place[until];
  for (uint64_t i = truth->from; i < until; i++) foreign += truth->place[i] == 0;
  uint64_t sum = tally->received + tally->lost;
  sums->inexact += sum != sent;
  if (sum < sent || sum > sent + foreign) {
    sums->mismatches++;
    dprintf(STDERR_FILENO, "storm: a subscriber got %llu and lost %llu of %llu\n",
            (unsigned long long)tally->received, (unsigned long long)tally->lost,
            (unsigned long long)sent);
  }
  if (sent > sums->sent) sums->sent = sent;
  if (foreign > sums->foreign) sums->foreign = foreign;
  sums->lost[kind] += tally->lost;
  if (tally->marked_ns > sums->last_ns) sums->last_ns = tally->marked_ns;
  sums->disorder += tally->disorder;
}

int main(int argc, char **argv) {
  if (argc != 5 && argc != 6) die("usage: storm COUNT WRITERS MOUNT SOCKET [PID]");
  long count = parse_number(argv[1], "COUNT", 1, COUNT_MOST);
  unsigned writers = (unsigned)parse_number(argv[2], "WRITERS", 1, WRITERS_MOST);
  pid_t stopped = argc == 6 ? (pid_t)parse_number(argv[5], "PID", 2, 1l << 22) : 0;
  limit_time(LIMIT_S);
  storm_id = (unsigned)getpid();
  first_seqnum = read_seqnum();

  struct truth *truth = map_shared(sizeof *truth);
  struct tally *tallies = map_shared(SUBSCRIBERS * sizeof *tallies);
  pid_t children[SUBSCRIBERS + 1];
  for (int i = 0; i < SUBSCRIBERS; i++) {
    for (int writer = 0; writer <= WRITERS_MOST; writer++) tallies[i].last[writer] = -1;
    if ((children[i] = fork_child()) == 0) run_subscriber(i % KINDS, argv[3], argv[4], &tallies[i]);
  }
  if ((children[SUBSCRIBERS] = fork_child()) == 0) listen_to_kernel(truth);
  begin(truth, tallies);

  if (stopped) stop(stopped);
  uint64_t start_ns = now_ns();
  run_writers(count, writers);
  go_on();
  uint64_t written_ns = now_ns();
  await_marks(tallies);

  struct sums sums = {0};
  for (int i = 0; i < SUBSCRIBERS; i++) judge(&sums, truth, &tallies[i], i % KINDS);
  for (int i = 0; i <= SUBSCRIBERS; i++) end_child(children[i]);
  static const char *const kinds[KINDS] = {"stream", "match", "directory", "socket"};
  printf("sent=%llu sent_per_s=%.0f delivered_per_s=%.0f ", (unsigned long long)sums.sent,
         (double)count * 1e9 / (double)(written_ns - start_ns),
         (double)count * 1e9 / (double)(sums.last_ns - start_ns));
  for (int kind = 0; kind < KINDS; kind++)
    printf("%s_lost=%llu ", kinds[kind], (unsigned long long)sums.lost[kind]);
  printf("disorder=%llu mismatches=%llu inexact=%llu foreign=%llu reordered=%u\n",
         (unsigned long long)sums.disorder, (unsigned long long)sums.mismatches,
         (unsigned long long)sums.inexact, (unsigned long long)sums.foreign, truth->reordered);
  return 0;
}
