/*
 * An unprivileged user who tries to stall or end the daemon: `hostile ATTACK MOUNT [SECONDS]`.
 * Without arguments it lists the attacks.
 *
 * It prints `attacking` once its preparations are over, and twenty times a second `done N refused M
 * ERRNO M1 ...`: the numbers of the attack's system calls that have succeeded and failed so far,
 * with the errnos. It runs until it is killed, or for SECONDS. Its children die with it.
 */
#include "calls.h"
#include "events.h"
#include "filters.h"
#include "memory.h"
#include "namespaces.h"
#include "processes.h"
#include "readers.h"
#include "requests.h"
#include <sys/resource.h>

/* The default of SECONDS. */
#define LIMIT_S 120

static const struct attack {
  const char *name;
  void (*run)(void);
} attacks[] = {
    {"filters", filters},
    {"filter-subsystems", filter_subsystems},
    {"filter-append", filter_append},
    {"filter-write", filter_write},
    {"filter-xattr", filter_xattr},
    {"since-filter", since_filter},
    {"since", since},
    {"truncates", truncates},
    {"cuts", cuts},
    {"opens", opens},
    {"opendirs", opendirs},
    {"reads-killed", kill_readers_of_streams},
    {"reads-owner-killed", kill_owners_of_streams},
    {"interrupts", interrupts},
    {"readers", readers},
    {"pollers", pollers},
    {"epolls", epolls},
    {"epoll-streams", epoll_streams},
    {"poll-streams", poll_streams},
    {"links", links},
    {"link-write", link_and_write},
    {"grows", grows},
    {"files", files},
    {"renames", renames},
    {"creates", creates},
    {"writing", write_for_ever},
    {"reads-behind", reads_behind},
    {"names", names},
    {"mkdirs", mkdirs},
    {"deep", deep},
    {"groups", groups},
    {"deaths", deaths},
    {"matches", matches},
    {"status", status},
    {"statfs", statfses},
    {"xattrs", xattrs},
    {"listings", listings},
    {"attributes", attributes},
    {"specials", specials},
    {"symlinks", symlinks},
    {"watches", watches},
    {"publish", own_all_and_publish},
    {"stats", stats},
    {"stats-200", stats_200},
    {"stats-2000", stats_2000},
    {"closes-2000", closes_2000},
    {"writes-1000", writes_1000},
    {"populates", populates},
    {"pages", pages},
    {"births", births},
    {"truncating-opens", truncating_opens},
    {"controls", controls},
    {"locks", locks},
    {"sockets", sockets},
    {"walks", walks},
    {"same-names", same_names},
};

static const struct attack *find_attack(const char *name) {
  for (size_t i = 0; i < sizeof attacks / sizeof *attacks; i++)
    if (strcmp(attacks[i].name, name) == 0) return &attacks[i];
  die("no attack '%s'", name);
}

static void list_attacks(void) {
  for (size_t i = 0; i < sizeof attacks / sizeof *attacks; i++) puts(attacks[i].name);
}

static void use_all_descriptors(void) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) die("getrlimit: %m");
  limit.rlim_cur = limit.rlim_max;
  if (setrlimit(RLIMIT_NOFILE, &limit) != 0) die("setrlimit: %m");
}

static void print_tally(void) {
  char line[1024];
  size_t at =
      (size_t)snprintf(line, sizeof line, "done %lu refused %lu", tally->done, tally->refused);
  for (int error = 0; error < ERRNOS; error++) {
    if (tally->by_errno[error] == 0 || at > sizeof line - 100) continue;
    at += (size_t)snprintf(line + at, sizeof line - at, " %s %lu", strerrorname_np(error),
                           tally->by_errno[error]);
  }
  line[at++] = '\n';
  if (write(STDOUT_FILENO, line, at) < 0) _exit(1);
}

int main(int argc, char **argv) {
  if (argc == 1) return list_attacks(), 0;
  if (argc != 3 && argc != 4) die("usage: hostile ATTACK MOUNT [SECONDS]");
  const struct attack *attack = find_attack(argv[1]);
  mount_path = argv[2];
  limit_time(argc == 4 ? (unsigned)parse_number(argv[3], "SECONDS", 1, 86400) : LIMIT_S);
  use_all_descriptors();
  tally = map_shared(sizeof *tally);
  if (fork_child() == 0) {
    attack->run();
    for (;; sleep_ns(PAUSE_NS)) expect_children_alive();
  }
  for (bool attacks = false;; sleep_ns(PAUSE_NS / 2)) {
    expect_children_alive();
    if (!attacks && __atomic_load_n(&tally->attacks, __ATOMIC_ACQUIRE))
      attacks = true, dprintf(STDOUT_FILENO, "attacking\n");
    print_tally();
  }
}
