/*
 * Publishes events at a rate: `publisher FILE RATE BYTES`, RATE a second. Each has a property V of
 * BYTES times `a`. It runs until it is killed, or for LIMIT_S.
 */
#include "common.h"

#define LIMIT_S 600
#define MOST_BYTES 60000

int main(int argc, char **argv) {
  if (argc != 4) die("usage: publisher FILE RATE BYTES");
  uint64_t period_ns = NS_PER_S / (uint64_t)parse_number(argv[2], "RATE", 1, 100000);
  size_t value_bytes = (size_t)parse_number(argv[3], "BYTES", 1, MOST_BYTES);
  limit_time(LIMIT_S);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  char *text = calloc(1, value_bytes + 256);
  if (!text) die("calloc: %m");
  int length = sprintf(
      text,
      "change@/devices/fairness\nACTION=change\nDEVPATH=/devices/fairness\nSUBSYSTEM=fairness\nV=");
  memset(text + length, 'a', value_bytes);
  text[(size_t)length + value_bytes] = '\n';
  size_t bytes = (size_t)length + value_bytes + 1;
  int fd = open(argv[1], O_WRONLY | O_CLOEXEC);
  if (fd < 0) die("%s: %m", argv[1]);
  for (uint64_t due_ns = now_ns();; due_ns += period_ns) {
    if (write(fd, text, bytes) != (ssize_t)bytes) die("%s: write: %m", argv[1]);
    uint64_t at_ns = now_ns();
    if (at_ns < due_ns + period_ns) sleep_ns(due_ns + period_ns - at_ns);
    else due_ns = at_ns; /* a delay is not made up for by a burst */
  }
}
