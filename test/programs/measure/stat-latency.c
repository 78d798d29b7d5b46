/*
 * Measures stat(2) of two paths at the same time, under any load: `stat-latency SECONDS PATH
 * FLOOR`.
 *
 * One thread for each path calls stat once a millisecond. The program prints for each the number of
 * calls, and the median, 99th percentile and maximum in microseconds. A call that takes longer than
 * a millisecond skips the calls that were due meanwhile: `anytime` is the 99th percentile that
 * includes these, as if they had been made in time and had waited for its end.
 */
#include "common.h"
#include <pthread.h>
#include <sys/stat.h>

#define PERIOD_NS NS_PER_MS
#define GRACE_S 60

static uint64_t end_ns;

struct times {
  double *us;
  size_t count, room;
};

struct series {
  const char *path;
  struct times made; /* calls */
  struct times due;  /* the calls, and those that were skipped */
};

static void add(struct times *times, uint64_t ns) {
  if (times->count == times->room) return;
  times->us[times->count++] = (double)ns / (double)NS_PER_US;
}

static struct times make_times(size_t room) {
  struct times times = {calloc(room, sizeof(double)), 0, room};
  if (!times.us) die("calloc: %m");
  return times;
}

static void *measure(void *argument) {
  struct series *series = argument;
  struct stat attributes;
  for (uint64_t due_ns = now_ns(); due_ns < end_ns; due_ns += PERIOD_NS) {
    uint64_t start_ns = now_ns();
    if (start_ns < due_ns) sleep_ns(due_ns - start_ns);
    start_ns = now_ns();
    if (stat(series->path, &attributes) != 0) die("%s: stat: %m", series->path);
    uint64_t took_ns = now_ns() - start_ns;
    add(&series->made, took_ns);
    add(&series->due, took_ns);
    for (due_ns = start_ns; took_ns > PERIOD_NS; due_ns += PERIOD_NS)
      add(&series->due, took_ns -= PERIOD_NS);
  }
  return NULL;
}

static void print(const char *name, struct series *series) {
  const struct times *made = &series->made, *due = &series->due;
  sort_doubles(made->us, made->count);
  sort_doubles(due->us, due->count);
  printf("%s_count=%zu %s_median=%.0f %s_p99=%.0f %s_max=%.0f %s_anytime=%.0f", name, made->count,
         name, quantile(made->us, made->count, 0.5), name, quantile(made->us, made->count, 0.99),
         name, quantile(made->us, made->count, 1), name, quantile(due->us, due->count, 0.99));
}

int main(int argc, char **argv) {
  if (argc != 4) die("usage: stat-latency SECONDS PATH FLOOR");
  long ms = (long)(strtod(argv[1], NULL) * 1000);
  if (ms < 10 || ms > 3600000) die("SECONDS: '%s' is not from 0.01 to 3600", argv[1]);
  limit_time((unsigned)(ms / 1000 + GRACE_S));
  size_t room = (size_t)(ms + GRACE_S * 1000) * 2;
  struct series ours = {argv[2], make_times(room), make_times(room)};
  struct series floor_series = {argv[3], make_times(room), make_times(room)};
  end_ns = now_ns() + (uint64_t)ms * NS_PER_MS;
  pthread_t thread;
  if (pthread_create(&thread, NULL, measure, &floor_series) != 0) die("pthread_create failed");
  measure(&ours);
  pthread_join(thread, NULL);
  print("ours", &ours);
  putchar(' ');
  print("floor", &floor_series);
  putchar('\n');
  return 0;
}
