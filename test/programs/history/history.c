/*
 * Clients of a mount that write down each call: the operation, its start, its end and its result.
 * The history checker (tools/history) reads these files. Each client runs until SIGTERM or the end
 * of its parent, and prints `ready` once its files are open. MOUNT is the mount point, OUT the
 * directory of the histories.
 *
 *   history publish MOUNT OUT ID RATE BURST COUNT   publishes RATE events a second, BURST at once,
 *                                                   COUNT in all (0: until SIGTERM)
 *   history send MOUNT OUT ID RATE                  has the kernel send RATE uevents a second
 *   history read MOUNT OUT stream|match|queue IDS FILES PAUSE_MS
 *                                                   reads in FILES open files, of an own directory
 *                                                   with `queue`; pauses now and then
 *   history names MOUNT OUT SEED RATE               makes, links, renames, reads, removes files
 *   history owners MOUNT OUT SEED LIVE RATE COUNT   has LIVE owners, and kills RATE a second, COUNT
 *                                                   in all (0: until SIGTERM)
 *   history script MOUNT OUT SEED CALLS             makes CALLS calls, the same for a seed, and
 * ends
 */
#include "publishing.h"
#include "reading.h"

#include "names.h"
#include "owners.h"

static long number(char **argv, int at, const char *name, long least, long most) {
  return parse_number(argv[at], name, least, most);
}

/* A publisher, a reader that waits for its events, and a client of the namespace, by turns. */
static int run_script(const char *out, unsigned seed, long calls) {
  static struct reading reading;
  struct names names;
  struct history published;
  char path[PATH_MAX];
  uint64_t n = 0;
  reading = (struct reading){.path = below_mount(path, "match/SYNTH_ARG_HID==0"), .ids = "0"};
  snprintf(reading.queue, sizeof reading.queue, "script-%d", (int)getpid());
  int fd = open_publisher(&published, out, 0);
  start_reader(&reading, out);
  begin_names(&names, out, seed);
  tell_ready();
  for (long i = 0; i < calls; i++) {
    if (i % 3 == 0) publish_some(&published, fd, 0, &n, 1 + i % 5);
    act_on_names(&names);
  }
  close(fd);
  finishing = true;
  end_reader(&reading);
  return 0;
}

int main(int argc, char **argv) {
  until_term();
  const char *role = argc > 3 ? argv[1] : "";
  if (argc > 3) mount_path = argv[2];
  const char *out = argc > 3 ? argv[3] : "";
  if (strcmp(role, "publish") == 0 && argc == 8)
    return publish(
        out, number(argv, 4, "ID", 0, 99), (uint64_t)number(argv, 5, "RATE", 1, 10000000),
        number(argv, 6, "BURST", 1, MOST_BURST), (uint64_t)number(argv, 7, "COUNT", 0, LONG_MAX));
  if (strcmp(role, "send") == 0 && argc == 6)
    return send_uevents(out, number(argv, 4, "ID", 0, 99),
                        (uint64_t)number(argv, 5, "RATE", 1, 100000));
  if (strcmp(role, "read") == 0 && argc == 8)
    return read_streams(out, argv[4], argv[5], (int)number(argv, 6, "FILES", 1, MOST_READERS),
                        (int)number(argv, 7, "PAUSE_MS", 0, 10000));
  if (strcmp(role, "names") == 0 && argc == 6)
    return use_names(out, (unsigned)number(argv, 4, "SEED", 0, INT_MAX),
                     (uint64_t)number(argv, 5, "RATE", 1, 1000000));
  if (strcmp(role, "owners") == 0 && argc == 8)
    return kill_owners(out, (unsigned)number(argv, 4, "SEED", 0, INT_MAX),
                       number(argv, 5, "LIVE", 1, MOST_OWNERS),
                       (uint64_t)number(argv, 6, "RATE", 1, 10000),
                       (uint64_t)number(argv, 7, "COUNT", 0, LONG_MAX));
  if (strcmp(role, "script") == 0 && argc == 6)
    return run_script(out, (unsigned)number(argv, 4, "SEED", 0, INT_MAX),
                      number(argv, 5, "CALLS", 1, 1000000));
  die("usage: history publish|send|read|names|owners|script MOUNT OUT ...");
}
