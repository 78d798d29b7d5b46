/*
 * All subscribers of one design: `subscribers MODE COUNT PLACE [FIFODIR [wrapped]]`, a process
 * each. `wrapped` gives each a parent process that removes its leftover files. The program prints
 * `ready` once all are, and then obeys these commands (times are CLOCK_MONOTONIC nanoseconds):
 *
 *   totals             prints the counts of the live ones: at_ns= reads= bytes= events= lost=
 *                      disorder= cpu_ns= alive= least=
 *   drain MS N0 N1 ... takes waiting events in the fastest way up to publisher i's number Ni, or
 *                      until none comes for 300 ms, or for MS; then prints totals
 *   await MS N0 N1 ... waits until the live ones have publisher i's number Ni, or for MS; then
 *                      prints totals
 *   latencies          prints the times from publish to read since the last such command:
 *                      bucket:count ... (histogram.h)
 *   stop COUNT         sends SIGSTOP to the first COUNT of the live ones
 *   continue           sends SIGCONT to all
 *   kill COUNT         sends SIGKILL to the first COUNT of the live ones, and accesses the files of
 *                      each as soon as it is dead: dead_ns= tried= reached= held=
 *                      (held: through a descriptor from before)
 *   kill-both COUNT    does the same, after SIGKILL to their wrappers
 *   dead               prints the PIDs of the dead ones
 */
#include "commands.h"
#include "subscriber.h"

#include <sched.h>
#include <sys/stat.h>

#define LIMIT_S 1800
#define QUIET_NS (300 * NS_PER_MS)
#define DEATH_MOST_NS (20 * NS_PER_S)
#define PROBED_EVENTS 4 /* In the directory of each dead subscriber. */

static const struct {
  const char *name;
  mode *run;
  bool has_directory;
} modes[] = {
    {"own-stream", follow_own_stream, true},
    {"stream", follow_stream, false},
    {"head", pop_head, true},
    {"inotify", watch_directory, true},
    {"links", take_links, true},
    {"messages", receive_messages, false},
    {"descriptors", receive_descriptors, false},
    {"netlink", receive_netlink, false},
};

struct group {
  size_t count, dead; /* The first `dead` of `count` are dead. */
  size_t stopped;
  struct tally *tallies;
  struct shared *shared;
  pid_t *children; /* The subscribers, or their wrappers. */
  const char *place, *fifodir;
  bool wrapped, has_directory;
  volatile bool *drains;
  mode *run;
};

/* --- starting them --- */

__attribute__((noreturn)) static void subscribe(const struct group *group, size_t index) {
  static struct subscriber subscriber;
  subscriber.order.tally = &group->tallies[index];
  subscriber.shared = &group->shared[index];
  subscriber.drains = group->drains;
  subscriber.place = group->place;
  subscriber.fifodir = group->fifodir;
  subscriber.shared->pid = getpid();
  group->run(&subscriber);
  die("the subscriber has ended");
}

/* The parent of a subscriber in the careful design: it waits for the child's death, and removes its
 * files. */
__attribute__((noreturn)) static void wrap(const struct group *group, size_t index) {
  pid_t child = fork_child();
  if (child == 0) subscribe(group, index);
  while (waitpid(child, NULL, 0) < 0)
    if (errno != EINTR) die("waitpid: %m");
  clean_up_after(child, group->place, group->fifodir);
  _exit(0);
}

static void start(struct group *group) {
  group->tallies = map_tallies(group->count);
  group->shared = map_shared(group->count * sizeof *group->shared);
  group->drains = map_shared(sizeof *group->drains);
  group->children = calloc(group->count, sizeof *group->children);
  if (!group->children) die("calloc: %m");
  for (size_t i = 0; i < group->count; i++) {
    if ((group->children[i] = fork_child()) != 0) continue;
    if (group->wrapped) wrap(group, i);
    subscribe(group, i);
  }
  await_tallies(group->tallies, group->count);
}

/* --- counting --- */

static uint64_t cpu_ns_of_live(const struct group *group) {
  uint64_t cpu_ns = 0;
  for (size_t i = group->dead; i < group->count; i++) cpu_ns += cpu_ns_of(group->shared[i].pid);
  return cpu_ns;
}

static struct totals sum_live(const struct group *group) {
  return sum_tallies(group->tallies + group->dead, group->count - group->dead);
}

static void print_totals(const struct group *group) {
  struct totals totals = sum_live(group);
  uint64_t least = UINT64_MAX;
  for (size_t i = group->dead + group->stopped; i < group->count; i++)
    if (group->tallies[i].events + group->tallies[i].lost < least)
      least = group->tallies[i].events + group->tallies[i].lost;
  printf(
      "at_ns=%llu reads=%llu bytes=%llu events=%llu lost=%llu disorder=%llu cpu_ns=%llu alive=%zu "
      "least=%llu\n",
      (unsigned long long)totals.at_ns, (unsigned long long)totals.reads,
      (unsigned long long)totals.bytes, (unsigned long long)totals.events,
      (unsigned long long)totals.lost, (unsigned long long)totals.disorder,
      (unsigned long long)cpu_ns_of_live(group), group->count - group->dead,
      (unsigned long long)least);
}

/* Returns true if each running subscriber has the numbers that follow a command's first. */
static bool have_come_to(const struct group *group, const struct command *command) {
  for (size_t i = group->dead + group->stopped; i < group->count; i++)
    for (size_t place = 0; place + 1 < command->count; place++)
      if (group->shared[i].next_number[place] < (uint32_t)command->numbers[place + 1]) return false;
  return true;
}

static void await(const struct group *group, const struct command *command) {
  uint64_t end_ns = now_ns() + (uint64_t)command->numbers[0] * NS_PER_MS;
  while (!have_come_to(group, command) && now_ns() < end_ns) sleep_ns(NS_PER_MS);
  print_totals(group);
}

static void drain(const struct group *group, const struct command *command) {
  *group->drains = true;
  uint64_t end_ns = now_ns() + (uint64_t)command->numbers[0] * NS_PER_MS, quiet_ns = now_ns(),
           reads = 0;
  while (!have_come_to(group, command) && now_ns() < end_ns && now_ns() - quiet_ns < QUIET_NS) {
    sleep_ns(5 * NS_PER_MS);
    uint64_t reads_now = sum_live(group).reads;
    if (reads_now != reads) quiet_ns = now_ns();
    reads = reads_now;
  }
  *group->drains = false;
  print_totals(group);
}

/* Prints and clears the histograms. It may lose a count of a subscriber that adds meanwhile. */
static void print_latencies(struct group *group) {
  for (unsigned bucket = 0; bucket < HISTOGRAM_BUCKETS; bucket++) {
    uint64_t sum = 0;
    for (size_t i = group->dead; i < group->count; i++) {
      sum += group->shared[i].latencies.counts[bucket];
      group->shared[i].latencies.counts[bucket] = 0;
    }
    if (sum > 0) printf("%u:%llu ", bucket, (unsigned long long)sum);
  }
  putchar('\n');
}

/* --- stopping and killing --- */

static void signal_first(const struct group *group, size_t count, int signal_number) {
  for (size_t i = group->dead; i < group->dead + count; i++)
    if (kill(group->shared[i].pid, signal_number) != 0) die("kill: %m");
}

/* The files of a subscriber that another process can name, or has open. */
struct traces {
  char paths[PROBED_EVENTS + 1][PATH_MAX]; /* Its directory, and some events there. */
  size_t count;
  int held; /* An event that was opened while the subscriber lived, or -1. */
};

static struct traces find_traces(const struct group *group, pid_t pid) {
  struct traces traces = {.count = 0, .held = -1};
  if (!group->has_directory) return traces;
  print_path(traces.paths[traces.count++], "%s/%d", group->place, (int)pid);
  DIR *directory = opendir(traces.paths[0]);
  if (!directory) die("%s: %m", traces.paths[0]);
  for (struct dirent *entry; traces.count <= PROBED_EVENTS && (entry = readdir(directory));)
    if (entry->d_name[0] != '.')
      print_path(traces.paths[traces.count++], "%s/%s", traces.paths[0], entry->d_name);
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
  bool reached =
      fd >= 0 && (read(fd, &byte, 1) >= 0 || errno == EISDIR) && fstat(fd, &attributes) == 0;
  if (fd >= 0) close(fd);
  if (reached) accesses->reached++;
}

static void try_traces(struct accesses *accesses, const struct traces *traces) {
  char byte;
  for (size_t i = 0; i < traces->count; i++) try_path(accesses, traces->paths[i]);
  if (traces->held >= 0 && pread(traces->held, &byte, 1, 0) >= 0) accesses->held++;
}

static bool is_dead(pid_t pid) { return kill(pid, 0) != 0 && errno == ESRCH; }

/* Waits until a process is gone, whether this process or the wrapper has waited for it. */
static void await_death(pid_t pid) {
  uint64_t end_ns = now_ns() + DEATH_MOST_NS;
  while (!is_dead(pid)) {
    if (waitpid(pid, NULL, WNOHANG) == pid) return;
    if (now_ns() > end_ns) die("%d does not die", (int)pid);
    sched_yield();
  }
}

static void kill_first(struct group *group, size_t count, bool with_wrappers) {
  struct traces *traces = calloc(count, sizeof *traces);
  struct accesses accesses = {0};
  if (!traces) die("calloc: %m");
  for (size_t i = 0; i < count; i++)
    traces[i] = find_traces(group, group->shared[group->dead + i].pid);
  if (with_wrappers)
    for (size_t i = group->dead; i < group->dead + count; i++) kill(group->children[i], SIGKILL);
  signal_first(group, count, SIGKILL);
  for (size_t i = 0; i < count; i++) {
    await_death(group->shared[group->dead + i].pid);
    try_traces(&accesses, &traces[i]);
  }
  uint64_t dead_ns = now_ns();
  for (size_t i = 0; i < count; i++) {
    if (with_wrappers) await_death(group->children[group->dead + i]);
    if (traces[i].held >= 0) close(traces[i].held);
  }
  free(traces);
  group->dead += count;
  group->stopped = group->stopped > count ? group->stopped - count : 0;
  printf("dead_ns=%llu tried=%zu reached=%zu held=%zu\n", (unsigned long long)dead_ns,
         accesses.tried, accesses.reached, accesses.held);
}

static void print_dead(const struct group *group) {
  while (waitpid(-1, NULL, WNOHANG) > 0) continue; /* Wrappers that have ended. */
  for (size_t i = 0; i < group->dead; i++) printf("%d ", (int)group->shared[i].pid);
  putchar('\n');
}

/* --- obeying --- */

static size_t live_count(const struct group *group, long long wanted) {
  size_t alive = group->count - group->dead;
  if (wanted < 0 || (size_t)wanted > alive) die("%zu subscribers live, not %lld", alive, wanted);
  return (size_t)wanted;
}

static void stop_first(struct group *group, size_t count) {
  group->stopped = count;
  signal_first(group, count, SIGSTOP);
  puts("stopped");
}

static void let_all_continue(struct group *group) {
  signal_first(group, group->stopped, SIGCONT);
  group->stopped = 0;
  puts("continued");
}

static void obey(struct group *group, const struct command *command) {
  long long number = command->numbers[0];
  if (is_verb(command, "totals")) print_totals(group);
  else if (is_verb(command, "await")) await(group, command);
  else if (is_verb(command, "drain")) drain(group, command);
  else if (is_verb(command, "latencies")) print_latencies(group);
  else if (is_verb(command, "stop")) stop_first(group, live_count(group, number));
  else if (is_verb(command, "continue")) let_all_continue(group);
  else if (is_verb(command, "kill")) kill_first(group, live_count(group, number), false);
  else if (is_verb(command, "kill-both")) kill_first(group, live_count(group, number), true);
  else if (is_verb(command, "dead")) print_dead(group);
  else die("unknown command '%s'", command->verb);
}

/* Prints the bucket of each value, for the test of benchmarks/compare/histogram.ts. */
static int print_buckets(int count, char **values) {
  for (int i = 0; i < count; i++) printf("%u ", histogram_bucket(strtoull(values[i], NULL, 10)));
  putchar('\n');
  return 0;
}

int main(int argc, char **argv) {
  if (argc > 1 && strcmp(argv[1], "buckets") == 0) return print_buckets(argc - 2, argv + 2);
  if (argc < 4 || argc > 6)
    die("usage: subscribers MODE COUNT PLACE [FIFODIR [wrapped]] | subscribers buckets NS ...");
  struct group group = {.place = argv[3], .fifodir = argc > 4 ? argv[4] : "", .wrapped = argc > 5};
  group.count = (size_t)parse_number(argv[2], "COUNT", 1, TALLIES_MOST);
  for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
    if (strcmp(argv[1], modes[i].name) != 0) continue;
    group.run = modes[i].run;
    group.has_directory = modes[i].has_directory;
  }
  if (!group.run) die("unknown mode '%s'", argv[1]);
  limit_time(LIMIT_S);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (prctl(PR_SET_CHILD_SUBREAPER, 1) != 0) die("prctl: %m");
  start(&group);
  puts("ready");
  for (struct command command; next_command(&command);) obey(&group, &command);
  return 0;
}
