/*
 * What one access costs: `client open FILE COUNT` opens, reads and closes a file, `client stat PATH COUNT` stats it.
 * Runs COUNT accesses in ten slices after a warm-up: the median slice is the figure, the best one tells the noise.
 */
#include "common.h"
#include <sys/stat.h>

#define SLICES 10
#define LIMIT_S 120

static void open_read_close(const char *path) {
  char text[4096];
  int fd = open(path, O_RDONLY);
  if (fd < 0) die("%s: open: %m", path);
  if (read(fd, text, sizeof text) <= 0) die("%s: read: no data: %m", path);
  close(fd);
}

static void stat_path(const char *path) {
  struct stat attributes;
  if (stat(path, &attributes) != 0) die("%s: stat: %m", path);
}

/* Microseconds for one access, the mean of `count`. */
static double time_accesses(void (*access_path)(const char *), const char *path, long count) {
  uint64_t start_ns = now_ns();
  for (long i = 0; i < count; i++) access_path(path);
  return (double)(now_ns() - start_ns) / (double)NS_PER_US / (double)count;
}

int main(int argc, char **argv) {
  if (argc != 4) die("usage: client open|stat PATH COUNT");
  void (*access_path)(const char *) = NULL;
  if (strcmp(argv[1], "open") == 0) access_path = open_read_close;
  if (strcmp(argv[1], "stat") == 0) access_path = stat_path;
  if (!access_path) die("'%s' is neither open nor stat", argv[1]);
  long slice_count = parse_number(argv[3], "COUNT", SLICES, 1000000000) / SLICES;

  limit_time(LIMIT_S);
  time_accesses(access_path, argv[2], slice_count);
  double slices_us[SLICES];
  for (int i = 0; i < SLICES; i++) slices_us[i] = time_accesses(access_path, argv[2], slice_count);
  sort_doubles(slices_us, SLICES);
  printf("us=%.3f best=%.3f count=%ld\n", quantile(slices_us, SLICES, 0.5), slices_us[0], slice_count * SLICES);
  return 0;
}
