/*
 * The catch-all: `cleaner EVENTS FIFODIR PERIOD_MS` removes the directories of dead processes every
 * PERIOD_MS, for subscribers whose wrapper has died too. The files of a PID that another process
 * has since stay.
 */
#include "leftovers.h"

#define LIMIT_S 1800

static void look(const char *events, const char *fifodir) {
  DIR *directory = opendir(events);
  if (!directory) die("%s: %m", events);
  for (struct dirent *entry; (entry = readdir(directory));) {
    char *end;
    long pid = strtol(entry->d_name, &end, 10);
    if (end == entry->d_name || *end != '\0') continue;
    if (kill((pid_t)pid, 0) != 0 && errno == ESRCH) clean_up_after((pid_t)pid, events, fifodir);
  }
  closedir(directory);
}

int main(int argc, char **argv) {
  if (argc != 4) die("usage: cleaner EVENTS FIFODIR PERIOD_MS");
  limit_time(LIMIT_S);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  uint64_t period_ns = (uint64_t)parse_number(argv[3], "PERIOD_MS", 1, 60000) * NS_PER_MS;
  puts("ready");
  fflush(stdout);
  for (;; sleep_ns(period_ns)) look(argv[1], argv[2]);
}
