/*
 * All subscribers of one design: `subscribers WAY COUNT PLACE [FIFODIR [wrapped]]`, a process each. `wrapped` has a parent
 * process for each that cleans up after it. Prints `ready` once all are, and then obeys (times in ns since boot):
 *
 *   totals                      what the live ones have got: at_ns= reads= bytes= events= lost= disorder= cpu_ns= alive=
 *   hurry MS N0 N1 ...          lets them take what waits in the fastest way until they have come there, or nothing has come for
 *                               300 ms, or for MS; then the same
 *   await MS N0 N1 ...          the same, once the live ones have come to publisher i's number Ni, or after MS
 *   latencies                   the times from publish to read since the last time: bucket:count ... (histogram.h)
 *   stop COUNT, continue        SIGSTOP for the first COUNT of the live ones; SIGCONT for all
 *   kill COUNT                  SIGKILL for the first COUNT of the live ones, and what could be reached of theirs as soon as each
 *                               was dead: dead_ns= tried= reached= held=<through a descriptor from before>
 *   kill-both COUNT             the same, and their wrappers are killed first
 *   dead                        the dead ones' PIDs
 */
#include "subscriber.h"
#include "commands.h"
#include <sched.h>
#include <sys/stat.h>

#define LIMIT_S 1800
#define QUIET_NS (300 * NS_PER_MS)
#define DEATH_MOST_NS (20 * NS_PER_S)
#define PROBED_EVENTS 4 /* of each dead one's directory */

static const struct {
  const char *name;
  way *run;
  bool has_directory;
} ways[] = {
    {"own-stream", follow_own_stream, true}, {"stream", follow_stream, false},
    {"head", pop_head, true},                {"inotify", watch_directory, true},
    {"links", take_links, true},             {"messages", receive_messages, false},
    {"descriptors", receive_descriptors, false}, {"netlink", receive_netlink, false},
};

struct herd {
  size_t count, dead; /* the first `dead` are */
  size_t stopped;
  struct tally *tallies;
  struct shared *shared;
  pid_t *children; /* the subscribers themselves, or their wrappers */
  const char *place, *fifodir;
  bool wrapped, has_directory;
  volatile bool *in_a_hurry;
  way *run;
};

/* --- starting them --- */

__attribute__((noreturn)) static void subscribe(const struct herd *herd, size_t index) {
  static struct subscriber subscriber;
  subscriber.order.tally = &herd->tallies[index];
  subscriber.shared = &herd->shared[index];
  subscriber.in_a_hurry = herd->in_a_hurry;
  subscriber.place = herd->place;
  subscriber.fifodir = herd->fifodir;
  subscriber.shared->pid = getpid();
  herd->run(&subscriber);
  die("it has ended");
}

/* The parent that a careful design gives each subscriber: it waits for its child's death and cleans up. */
__attribute__((noreturn)) static void wrap(const struct herd *herd, size_t index) {
  pid_t child = fork_child();
  if (child == 0) subscribe(herd, index);
  while (waitpid(child, NULL, 0) < 0)
    if (errno != EINTR) die("waitpid: %m");
  clean_up_after(child, herd->place, herd->fifodir);
  _exit(0);
}

static void start(struct herd *herd) {
  herd->tallies = map_tallies(herd->count);
  herd->shared = map_shared(herd->count * sizeof *herd->shared);
  herd->in_a_hurry = map_shared(sizeof *herd->in_a_hurry);
  herd->children = calloc(herd->count, sizeof *herd->children);
  if (!herd->children) die("calloc: %m");
  for (size_t i = 0; i < herd->count; i++) {
    if ((herd->children[i] = fork_child()) != 0) continue;
    if (herd->wrapped) wrap(herd, i);
    subscribe(herd, i);
  }
  await_tallies(herd->tallies, herd->count);
}

/* --- counting --- */

static uint64_t cpu_ns_of_live(const struct herd *herd) {
  uint64_t cpu_ns = 0;
  for (size_t i = herd->dead; i < herd->count; i++) cpu_ns += cpu_ns_of(herd->shared[i].pid);
  return cpu_ns;
}

static struct totals sum_live(const struct herd *herd) {
  return sum_tallies(herd->tallies + herd->dead, herd->count - herd->dead);
}

static void print_totals(const struct herd *herd) {
  struct totals totals = sum_live(herd);
  uint64_t least = UINT64_MAX;
  for (size_t i = herd->dead + herd->stopped; i < herd->count; i++)
    if (herd->tallies[i].events + herd->tallies[i].lost < least) least = herd->tallies[i].events + herd->tallies[i].lost;
  printf("at_ns=%llu reads=%llu bytes=%llu events=%llu lost=%llu disorder=%llu cpu_ns=%llu alive=%zu least=%llu\n",
         (unsigned long long)totals.at_ns, (unsigned long long)totals.reads, (unsigned long long)totals.bytes,
         (unsigned long long)totals.events, (unsigned long long)totals.lost, (unsigned long long)totals.disorder,
         (unsigned long long)cpu_ns_of_live(herd), herd->count - herd->dead, (unsigned long long)least);
}

/* To the numbers that follow a command's first. */
static bool have_come_to(const struct herd *herd, const struct command *command) {
  for (size_t i = herd->dead + herd->stopped; i < herd->count; i++)
    for (size_t place = 0; place + 1 < command->count; place++)
      if (herd->shared[i].next_number[place] < (uint32_t)command->numbers[place + 1]) return false;
  return true;
}

static void await(const struct herd *herd, const struct command *command) {
  uint64_t end_ns = now_ns() + (uint64_t)command->numbers[0] * NS_PER_MS;
  while (!have_come_to(herd, command) && now_ns() < end_ns) sleep_ns(NS_PER_MS);
  print_totals(herd);
}

static void hurry(const struct herd *herd, const struct command *command) {
  *herd->in_a_hurry = true;
  uint64_t end_ns = now_ns() + (uint64_t)command->numbers[0] * NS_PER_MS, quiet_ns = now_ns(), reads = 0;
  while (!have_come_to(herd, command) && now_ns() < end_ns && now_ns() - quiet_ns < QUIET_NS) {
    sleep_ns(5 * NS_PER_MS);
    uint64_t reads_now = sum_live(herd).reads;
    if (reads_now != reads) quiet_ns = now_ns();
    reads = reads_now;
  }
  *herd->in_a_hurry = false;
  print_totals(herd);
}

/* A subscriber that counts meanwhile may have one of its counts taken away: ask when nothing comes. */
static void print_latencies(struct herd *herd) {
  for (unsigned bucket = 0; bucket < HISTOGRAM_BUCKETS; bucket++) {
    uint64_t sum = 0;
    for (size_t i = herd->dead; i < herd->count; i++) {
      sum += herd->shared[i].latencies.counts[bucket];
      herd->shared[i].latencies.counts[bucket] = 0;
    }
    if (sum > 0) printf("%u:%llu ", bucket, (unsigned long long)sum);
  }
  putchar('\n');
}

/* --- stopping and killing --- */

static void signal_first(const struct herd *herd, size_t count, int signal_number) {
  for (size_t i = herd->dead; i < herd->dead + count; i++)
    if (kill(herd->shared[i].pid, signal_number) != 0) die("kill: %m");
}

/* What of a subscriber's another process can name, or holds open. */
struct traces {
  char paths[PROBED_EVENTS + 1][PATH_MAX]; /* its directory, and some events there */
  size_t count;
  int held; /* an event that was opened while the subscriber lived, or -1 */
};

static struct traces find_traces(const struct herd *herd, pid_t pid) {
  struct traces traces = {.count = 0, .held = -1};
  if (!herd->has_directory) return traces;
  print_path(traces.paths[traces.count++], "%s/%d", herd->place, (int)pid);
  DIR *directory = opendir(traces.paths[0]);
  if (!directory) die("%s: %m", traces.paths[0]);
  for (struct dirent *entry; traces.count <= PROBED_EVENTS && (entry = readdir(directory));)
    if (entry->d_name[0] != '.') print_path(traces.paths[traces.count++], "%s/%s", traces.paths[0], entry->d_name);
  closedir(directory);
  if (traces.count > 1) traces.held = open(traces.paths[1], O_RDONLY | O_CLOEXEC);
  return traces;
}

struct accesses {
  size_t tried, reached, held;
};

static void try_path(struct accesses *accesses, const char *path) {
  char byte;
  struct stat attributes;
  accesses->tried++;
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  bool reached = fd >= 0 && (read(fd, &byte, 1) >= 0 || errno == EISDIR) && fstat(fd, &attributes) == 0;
  if (fd >= 0) close(fd);
  if (reached) accesses->reached++;
}

static void try_traces(struct accesses *accesses, const struct traces *traces) {
  char byte;
  for (size_t i = 0; i < traces->count; i++) try_path(accesses, traces->paths[i]);
  if (traces->held >= 0 && pread(traces->held, &byte, 1, 0) >= 0) accesses->held++;
}

static bool is_dead(pid_t pid) { return kill(pid, 0) != 0 && errno == ESRCH; }

/* Whoever has waited for it, we or its wrapper: it is gone. */
static void await_death(pid_t pid) {
  uint64_t end_ns = now_ns() + DEATH_MOST_NS;
  while (!is_dead(pid)) {
    if (waitpid(pid, NULL, WNOHANG) == pid) return;
    if (now_ns() > end_ns) die("%d does not die", (int)pid);
    sched_yield();
  }
}

static void kill_first(struct herd *herd, size_t count, bool with_wrappers) {
  struct traces *traces = calloc(count, sizeof *traces);
  struct accesses accesses = {0};
  if (!traces) die("calloc: %m");
  for (size_t i = 0; i < count; i++) traces[i] = find_traces(herd, herd->shared[herd->dead + i].pid);
  if (with_wrappers)
    for (size_t i = herd->dead; i < herd->dead + count; i++) kill(herd->children[i], SIGKILL);
  signal_first(herd, count, SIGKILL);
  for (size_t i = 0; i < count; i++) {
    await_death(herd->shared[herd->dead + i].pid);
    try_traces(&accesses, &traces[i]);
  }
  uint64_t dead_ns = now_ns();
  for (size_t i = 0; i < count; i++) {
    if (with_wrappers) await_death(herd->children[herd->dead + i]);
    if (traces[i].held >= 0) close(traces[i].held);
  }
  free(traces);
  herd->dead += count;
  herd->stopped = herd->stopped > count ? herd->stopped - count : 0;
  printf("dead_ns=%llu tried=%zu reached=%zu held=%zu\n", (unsigned long long)dead_ns, accesses.tried, accesses.reached,
         accesses.held);
}

static void print_dead(const struct herd *herd) {
  while (waitpid(-1, NULL, WNOHANG) > 0) continue; /* wrappers that have done their work */
  for (size_t i = 0; i < herd->dead; i++) printf("%d ", (int)herd->shared[i].pid);
  putchar('\n');
}

/* --- obeying --- */

static size_t live_count(const struct herd *herd, long long wanted) {
  size_t alive = herd->count - herd->dead;
  if (wanted < 0 || (size_t)wanted > alive) die("there are %zu, not %lld", alive, wanted);
  return (size_t)wanted;
}

static void stop_first(struct herd *herd, size_t count) {
  herd->stopped = count;
  signal_first(herd, count, SIGSTOP);
  puts("stopped");
}

static void let_all_continue(struct herd *herd) {
  signal_first(herd, herd->stopped, SIGCONT);
  herd->stopped = 0;
  puts("continued");
}

static void obey(struct herd *herd, const struct command *command) {
  long long number = command->numbers[0];
  if (is_verb(command, "totals")) print_totals(herd);
  else if (is_verb(command, "await")) await(herd, command);
  else if (is_verb(command, "hurry")) hurry(herd, command);
  else if (is_verb(command, "latencies")) print_latencies(herd);
  else if (is_verb(command, "stop")) stop_first(herd, live_count(herd, number));
  else if (is_verb(command, "continue")) let_all_continue(herd);
  else if (is_verb(command, "kill")) kill_first(herd, live_count(herd, number), false);
  else if (is_verb(command, "kill-both")) kill_first(herd, live_count(herd, number), true);
  else if (is_verb(command, "dead")) print_dead(herd);
  else die("what is '%s'?", command->verb);
}

/* Prints the bucket of each value: for the test of benchmarks/compare/histogram.ts. */
static int print_buckets(int count, char **values) {
  for (int i = 0; i < count; i++) printf("%u ", histogram_bucket(strtoull(values[i], NULL, 10)));
  putchar('\n');
  return 0;
}

int main(int argc, char **argv) {
  if (argc > 1 && strcmp(argv[1], "buckets") == 0) return print_buckets(argc - 2, argv + 2);
  if (argc < 4 || argc > 6) die("usage: subscribers WAY COUNT PLACE [FIFODIR [wrapped]] | subscribers buckets NS ...");
  struct herd herd = {.place = argv[3], .fifodir = argc > 4 ? argv[4] : "", .wrapped = argc > 5};
  herd.count = (size_t)parse_number(argv[2], "COUNT", 1, TALLIES_MOST);
  for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
    if (strcmp(argv[1], ways[i].name) != 0) continue;
    herd.run = ways[i].run;
    herd.has_directory = ways[i].has_directory;
  }
  if (!herd.run) die("there is no way '%s'", argv[1]);
  limit_time(LIMIT_S);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (prctl(PR_SET_CHILD_SUBREAPER, 1) != 0) die("prctl: %m");
  start(&herd);
  puts("ready");
  for (struct command command; next_command(&command);) obey(&herd, &command);
  return 0;
}
