/*
 * Creates files in a loop: `fill-quota DIRECTORY COUNT`. Prints how many exist, and how many were
 * refused with EDQUOT.
 */
#include "common.h"

int main(int argc, char **argv) {
  if (argc != 3 || chdir(argv[1]) != 0) die("usage: fill-quota DIRECTORY COUNT");
  long created = 0, refused = 0;
  for (long i = 0; i < atol(argv[2]); i++) {
    char name[32];
    snprintf(name, sizeof name, "file-%ld", i);
    int fd = open(name, O_WRONLY | O_CREAT | O_EXCL, 0600);
    if (fd >= 0) created++, close(fd);
    else if (errno == EDQUOT) refused++;
    else die("%s: %m", name);
  }
  printf("created %ld, EDQUOT %ld\n", created, refused);
  return 0;
}
