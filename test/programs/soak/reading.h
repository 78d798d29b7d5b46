/* The readers of the soak: they check the order of all events, and count losses. */
#ifndef PROGRAMS_SOAK_READING_H
#define PROGRAMS_SOAK_READING_H

#include "shared.h"
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <sys/stat.h>
#include <sys/xattr.h>

/*
 * The numbers of each publisher that any thread has read. Zero pages cost nothing until they are
 * used.
 */
static _Atomic uint64_t *seen[MOST_PUBLISHERS];

static struct {
  const char *path;
  int pause_ms;
  bool takes_all;
  atomic_ulong read, others, lost, repeated, disordered, malformed, failed;
} reading;

struct reader {
  pthread_t thread;
  int number;
  long last[MOST_PUBLISHERS];
};

static const char *property(const char *record, const char *key) {
  const char *found = strstr(record, key);
  return found ? found + strlen(key) : NULL;
}

static void take(struct reader *reader, const char *record) {
  if (strncmp(record, "overflow@/eventfs\n", 18) == 0) {
    const char *lost = property(record, "\nLOST=");
    if (!lost) reading.malformed++;
    else reading.lost += strtoul(lost, NULL, 10);
    return;
  }
  if (reading.takes_all && !strstr(record, "\nSUBSYSTEM=soak\n")) {
    reading.others++;
    return;
  }
  const char *id_text = property(record, "\nID="), *n_text = property(record, "\nN=");
  if (strncmp(record, "add@/devices/soak\n", 18) != 0 || !id_text || !n_text) {
    reading.malformed++;
    return;
  }
  long id = atol(id_text), n = atol(n_text);
  if (id < 0 || id >= MOST_PUBLISHERS || n < 0 || n >= MOST_NUMBERS) {
    reading.malformed++;
    return;
  }
  if (n <= reader->last[id]) reading.disordered++;
  reader->last[id] = n;
  if (atomic_fetch_or(&seen[id][n / 64], 1ull << n % 64) & 1ull << n % 64) reading.repeated++;
  reading.read++;
}

/* Takes whole records off the front of `buffer`; returns the number of bytes that are left. */
static size_t take_all(struct reader *reader, char *buffer, size_t length) {
  char *at = buffer;
  for (char *end; (end = memmem(at, (size_t)(buffer + length - at), "\n\n", 2)) != NULL;
       at = end + 2) {
    end[1] = '\0';
    take(reader, at);
  }
  size_t left = (size_t)(buffer + length - at);
  memmove(buffer, at, left);
  return left;
}

static void *read_stream(void *argument) {
  struct reader *reader = argument;
  static const size_t sizes[] = {65536, 4096, 700, 131072};
  size_t size = sizes[reader->number % 4], have = 0;
  bool polls = reader->number % 2 == 1;
  char *buffer = malloc(2 * RECORD_BYTES);
  int fd = open(reading.path, O_RDONLY | O_CLOEXEC | (polls ? O_NONBLOCK : 0));
  if (!buffer || fd < 0) die("%s: %m", reading.path);
  unsigned random = (unsigned)reader->number + 1;
  for (bool last = false;;) {
    if (finishing && !last) {
      last = true; /* the rest, and no more */
      if (fcntl(fd, F_SETFL, O_NONBLOCK) < 0) die("fcntl: %m");
    }
    if (polls && !last) poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, 100);
    ssize_t got = read(fd, buffer + have, size);
    if (got < 0 && errno == EAGAIN && last) break;
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) continue;
    if (got <= 0) {
      reading.failed++;
      break;
    }
    have = take_all(reader, buffer, have + (size_t)got);
    if (have > RECORD_BYTES) die("a record without an end");
    if (reading.pause_ms > 0 && !last && rand_r(&random) % 200 == 0)
      usleep((useconds_t)(rand_r(&random) % (unsigned)reading.pause_ms) * 1000);
  }
  if (have > 0) reading.malformed++; /* a record that was cut */
  free(buffer);
  close(fd);
  return NULL;
}

static void make_queue(const char *path) {
  char directory[PATH_MAX], filter[PATH_MAX + 16];
  static const char text[] = "SUBSYSTEM==soak\n";
  snprintf(directory, sizeof directory, "%s", path);
  *strrchr(directory, '/') = '\0';
  if (mkdir(directory, 0700) != 0) die("%s: %m", directory);
  snprintf(filter, sizeof filter, "%s/.filter", directory);
  int fd = open(filter, O_WRONLY | O_CLOEXEC);
  if (fd < 0 || write(fd, text, sizeof text - 1) != sizeof text - 1) die("%s: %m", filter);
  close(fd);
}

static void on_nudge(int signal_number) { (void)signal_number; }

static int read_checked(const char *pattern, int threads, int pause_ms) {
  static char path[PATH_MAX];
  const char *place = strchr(pattern, '%');
  if (place)
    snprintf(path, sizeof path, "%.*s%d%s", (int)(place - pattern), pattern, (int)getpid(),
             place + 1);
  else snprintf(path, sizeof path, "%s", pattern);
  reading.path = path;
  reading.pause_ms = pause_ms;
  reading.takes_all = strcmp(strrchr(path, '/'), "/stream") == 0;
  if (place) make_queue(path);
  for (int i = 0; i < MOST_PUBLISHERS; i++) {
    seen[i] = mmap(NULL, MOST_NUMBERS / 8, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (seen[i] == MAP_FAILED) die("mmap: %m");
  }
  struct sigaction nudge = {.sa_handler = on_nudge};
  sigaction(SIGUSR1, &nudge, NULL);
  static struct reader readers[MOST_THREADS];
  for (int i = 0; i < threads; i++) {
    readers[i].number = i;
    for (int id = 0; id < MOST_PUBLISHERS; id++) readers[i].last[id] = -1;
    if (pthread_create(&readers[i].thread, NULL, read_stream, &readers[i]) != 0)
      die("pthread_create: %m");
  }
  while (!finishing) usleep(10000);
  for (int i = 0; i < threads; i++)
    while (pthread_tryjoin_np(readers[i].thread, NULL) == EBUSY) {
      /* One may block, because another has taken its event */
      pthread_kill(readers[i].thread, SIGUSR1);
      usleep(1000);
    }
  printf("read=%lu others=%lu lost=%lu repeated=%lu disordered=%lu malformed=%lu failed=%lu\n",
         reading.read, reading.others, reading.lost, reading.repeated, reading.disordered,
         reading.malformed, reading.failed);
  return 0;
}

#endif
