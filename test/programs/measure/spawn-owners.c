/*
 * Many owners at once: `spawn-owners MOUNT COUNT`. Each makes its own directory and lives until it
 * is killed. The program prints `ready` when all have made theirs. At the end of standard input it
 * kills all, waits for each, and prints `gone`.
 */
#include "owner.h"
#include <sys/stat.h>

#define LIMIT_S 600

static void make_directory(const char *mount) {
  char path[PATH_MAX];
  format_path(path, "%s/%d", mount, (int)getpid());
  if (mkdir(path, 0755) != 0) die("%s: mkdir: %m", path);
}

int main(int argc, char **argv) {
  if (argc != 3) die("usage: spawn-owners MOUNT COUNT");
  long count = parse_number(argv[2], "COUNT", 1, 100000);
  limit_time(LIMIT_S);
  pid_t *owners = calloc((size_t)count, sizeof *owners);
  if (!owners) die("calloc: %m");
  for (long i = 0; i < count; i++) owners[i] = start_owner(argv[1], make_directory);
  puts("ready");
  fflush(stdout);
  while (getchar() != EOF) continue;
  for (long i = 0; i < count; i++) kill(owners[i], SIGKILL);
  for (long i = 0; i < count; i++)
    if (waitpid(owners[i], NULL, 0) < 0) die("waitpid: %m");
  puts("gone");
  return 0;
}
