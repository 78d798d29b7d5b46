/* A reply that the last daemon has left in the state: fs/state/left-reply.ts has the same layout.
 */
#include "guard.h"

#include <stdint.h>
#include <string.h>
#include <unistd.h>

enum { LEFT_REPLY_AT = 2048, LEFT_REPLY_MOST = 256 };
/* The places of its parts, in 32-bit words. */
enum { LENGTH = 0, CHECKSUM = 1, WATCHED = 2, BEFORE = 4, REPLY = 6 };
enum { WORDS = REPLY + LEFT_REPLY_MOST / 4 };

/* checksumWords() of fs/state/checksum.ts. */
static uint32_t checksum_of(const uint32_t *words, uint32_t start, uint32_t end) {
  uint32_t sum = 0x2545f491;
  for (uint32_t at = start; at < end; at++) {
    sum = (sum ^ words[at]) * 0x9e3779b1;
    sum ^= sum >> 15;
  }
  return sum;
}

void send_left_reply(int device) {
  uint32_t left[WORDS], now[2];
  int state = find_kept("state");
  if (state < 0) return;
  if (pread(state, left, sizeof left, LEFT_REPLY_AT) != (ssize_t)sizeof left) return;
  uint32_t length = left[LENGTH];
  if (length == 0 || length > LEFT_REPLY_MOST || length % 4 != 0) return;
  if (checksum_of(left, WATCHED, REPLY + length / 4) != left[CHECKSUM]) return;
  if (pread(state, now, sizeof now, left[WATCHED]) != (ssize_t)sizeof now) return;
  if (memcmp(now, left + BEFORE, sizeof now) == 0) return; /* it died before the commit */
  ssize_t written = write(device, left + REPLY, length);
  (void)written; /* ENOENT: the daemon has sent it */
}
