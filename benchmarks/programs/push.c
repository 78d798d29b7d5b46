/*
 * The floor of a design without files: `push N SECONDS BYTES [--lock-step]` pushes each event over
 * N SOCK_SEQPACKET sockets to N blocked readers. One process pushes, one send(2) a reader and
 * event, and waits for a full socket. With --lock-step the next event waits until every reader has
 * the one before.
 */
#include "lockstep-gate.h"
#include "record.h"
#include "tally.h"

#include <poll.h>
#include <sys/socket.h>

#define LIMIT_MARGIN_S 30

__attribute__((noreturn)) static void read_messages(int fd, struct tally *tally,
                                                    struct lockstep_gate *gate) {
  static char message[READ_BYTES];
  tally->ready = true;
  for (;;) {
    if (gate) lockstep_gate_pass(gate, 1);
    ssize_t length = read(fd, message, sizeof message);
    if (length <= 0) die("read: %m");
    tally->reads++;
    tally->events++; /* A read of SOCK_SEQPACKET is one message. */
    tally->bytes += (uint64_t)length;
  }
}

/* Forks a reader. Returns the pushing end of its socket. */
static int start_reader(struct tally *tally, struct lockstep_gate *gate, pid_t *reader) {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) die("socketpair: %m");
  *reader = fork_child();
  if (*reader == 0) {
    close(ends[0]);
    read_messages(ends[1], tally, gate);
  }
  close(ends[1]);
  if (fcntl(ends[0], F_SETFL, O_NONBLOCK) != 0) die("fcntl: %m");
  return ends[0];
}

static void push(int fd, const char *message, size_t bytes) {
  while (send(fd, message, bytes, MSG_NOSIGNAL) < 0) {
    if (errno != EAGAIN) die("send: %m");
    struct pollfd writable = {.fd = fd, .events = POLLOUT};
    if (poll(&writable, 1, -1) < 0) die("poll: %m");
  }
}

static void push_until(uint64_t end_ns, const int *fds, long count, char *message, size_t bytes,
                       struct lockstep_gate *gate) {
  for (uint32_t number = 0; now_ns() < end_ns; number++) {
    if (gate) lockstep_gate_await_and_close(gate);
    record_set_number(message, number % RECORD_NUMBERS);
    for (long i = 0; i < count; i++) push(fds[i], message, bytes);
  }
}

int main(int argc, char **argv) {
  bool lock_step = argc == 5 && strcmp(argv[4], "--lock-step") == 0;
  if (argc != 4 && !lock_step) die("usage: push N SECONDS BYTES [--lock-step]");
  long count = parse_number(argv[1], "N", 1, TALLIES_MOST);
  long seconds = parse_number(argv[2], "SECONDS", 1, 3600);
  size_t bytes = (size_t)parse_record_bytes(argv[3]);

  limit_time((unsigned)seconds + LIMIT_MARGIN_S);
  struct tally *tallies = map_tallies((size_t)count);
  struct lockstep_gate *gate = lock_step ? lockstep_gate_new((uint32_t)count) : NULL;
  pid_t readers[TALLIES_MOST];
  int fds[TALLIES_MOST];
  for (long i = 0; i < count; i++) fds[i] = start_reader(&tallies[i], gate, &readers[i]);
  await_tallies(tallies, (size_t)count);

  struct totals before = sum_tallies(tallies, (size_t)count);
  push_until(before.at_ns + (uint64_t)seconds * NS_PER_S, fds, count, record_new(bytes), bytes,
             gate);
  struct totals after = sum_tallies(tallies, (size_t)count);

  for (long i = 0; i < count; i++) end_child(readers[i]);
  double elapsed_s = seconds_between(before, after);
  printf("events_per_s=%.0f readers=%ld seconds=%.3f bytes=%zu\n",
         (double)(after.events - before.events) / elapsed_s, count, elapsed_s, bytes);
  return 0;
}
