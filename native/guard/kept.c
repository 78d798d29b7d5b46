/* The descriptors that the guardian holds, by name. */
#include "guard.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct kept kept[MOST_KEPT];
int kept_count;

static int index_of(const char *name) {
  for (int i = 0; i < kept_count; i++) {
    if (strcmp(kept[i].name, name) == 0) return i;
  }
  return -1;
}

bool keep(const char *name, int fd) {
  int at = index_of(name);
  if (at >= 0) {
    close(kept[at].fd);
    kept[at].fd = fd;
    return true;
  }
  if (kept_count == MOST_KEPT || name[0] == '\0' || strlen(name) >= NAME_BYTES) {
    close(fd);
    return false;
  }
  snprintf(kept[kept_count].name, NAME_BYTES, "%s", name);
  kept[kept_count++].fd = fd;
  return true;
}

void drop(const char *name) {
  int at = index_of(name);
  if (at < 0) return;
  close(kept[at].fd);
  kept[at] = kept[--kept_count];
}

int find_kept(const char *name) {
  int at = index_of(name);
  return at < 0 ? -1 : kept[at].fd;
}

void drop_all(void) {
  while (kept_count > 0) close(kept[--kept_count].fd);
}
