/* The namespace client: it makes, links, renames, reads and removes files of its own directories.
 */
#ifndef PROGRAMS_HISTORY_NAMES_H
#define PROGRAMS_HISTORY_NAMES_H

#include "lines.h"
#include <dirent.h>
#include <sys/stat.h>

enum { DIRECTORIES = 3, NAMES = 6, NAME_BYTES = 128, TAKE_BYTES = 65536 };

struct names {
  struct history history;
  unsigned seed;
  /* Which file has each name; 0 for none. Only to know which rename(2) would do nothing. */
  unsigned long files[DIRECTORIES][NAMES], made;
  /* An open `.stream` of each directory, or -1. */
  int streams[DIRECTORIES];
};

static inline unsigned below(unsigned *seed, unsigned limit) {
  return (unsigned)rand_r(seed) % limit;
}

static inline void directory_name(char *name, int directory) {
  snprintf(name, NAME_BYTES, "%d.names%d", (int)getpid(), directory);
}

static inline void file_name(char *name, int directory, int file) {
  snprintf(name, NAME_BYTES, "%d.names%d/f%d", (int)getpid(), directory, file);
}

/* Takes the events off a queue that came before it had its filter. */
static inline void discard_events(int stream) {
  static char text[TAKE_BYTES];
  while (stream >= 0 && read(stream, text, sizeof text) > 0)
    ;
}

static inline void make_directory(struct names *names, int directory) {
  char name[NAME_BYTES], path[PATH_MAX];
  directory_name(name, directory);
  uint64_t began = now_ns();
  long made = result_of(mkdir(below_mount(path, name), 0700));
  record(&names->history, began, "mkdir", made, "%s", name);
  if (made == 0) {
    began = now_ns();
    char filter[PATH_MAX + 16];
    snprintf(filter, sizeof filter, "%s/.filter", path);
    int fd = open(filter, O_WRONLY | O_CLOEXEC);
    long written = result_of(fd < 0 ? -1 : write(fd, "SUBSYSTEM==none\n", 16));
    if (fd >= 0) close(fd);
    record(&names->history, began, "filter", written, "%s", name);
  }
  if (names->streams[directory] >= 0) return;
  snprintf(name, sizeof name, "%d.names%d/.stream", (int)getpid(), directory);
  began = now_ns();
  names->streams[directory] = open(below_mount(path, name), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  record(&names->history, began, "open", result_of(names->streams[directory]), "%s", name);
  if (made == 0) discard_events(names->streams[directory]);
}

/* rmdir(2) of a directory whose stream is closed. */
static inline void remove_directory(struct names *names, int directory) {
  char name[NAME_BYTES], path[PATH_MAX];
  directory_name(name, directory);
  if (names->streams[directory] >= 0) close(names->streams[directory]);
  names->streams[directory] = -1;
  uint64_t began = now_ns();
  long removed = result_of(rmdir(below_mount(path, name)));
  record(&names->history, began, "rmdir", removed, "%s", name);
  if (removed == 0) memset(names->files[directory], 0, sizeof names->files[directory]);
}

static inline void create_file(struct names *names, int directory, int file) {
  char name[NAME_BYTES], path[PATH_MAX], text[96];
  file_name(name, directory, file);
  unsigned long made = ++names->made;
  uint64_t began = now_ns();
  int fd = open(below_mount(path, name), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
  record(&names->history, began, "create", result_of(fd), "%s %lu", name, made);
  if (fd < 0) return;
  names->files[directory][file] = made;
  int length = snprintf(text, sizeof text, "add@/h\nACTION=add\nFILE=%lu\n", made);
  began = now_ns();
  record(&names->history, began, "write", result_of(write(fd, text, (size_t)length)), "%s", name);
  began = now_ns();
  record(&names->history, began, "close", result_of(close(fd)), "%s", name);
}

static inline void link_or_rename(struct names *names, int from, int file, int to, int target) {
  char one[NAME_BYTES], other[NAME_BYTES], path[PATH_MAX], second[PATH_MAX];
  bool renames = below(&names->seed, 2);
  unsigned long moved = names->files[from][file];
  if (moved && names->files[to][target] == moved) return;
  file_name(one, from, file);
  file_name(other, to, target);
  below_mount(path, one);
  below_mount(second, other);
  uint64_t began = now_ns();
  long done = result_of(renames ? rename(path, second) : link(path, second));
  record(&names->history, began, renames ? "rename" : "link", done, "%s %s", one, other);
  if (done < 0) return;
  names->files[to][target] = moved;
  if (renames) names->files[from][file] = 0;
}

static inline void remove_file(struct names *names, int directory, int file) {
  char name[NAME_BYTES], path[PATH_MAX];
  file_name(name, directory, file);
  uint64_t began = now_ns();
  long removed = result_of(unlink(below_mount(path, name)));
  record(&names->history, began, "unlink", removed, "%s", name);
  if (removed == 0) names->files[directory][file] = 0;
}

static inline void stat_file(struct names *names, int directory, int file) {
  char name[NAME_BYTES], path[PATH_MAX];
  struct stat info = {0};
  file_name(name, directory, file);
  uint64_t began = now_ns();
  long found = result_of(stat(below_mount(path, name), &info));
  record(&names->history, began, "stat", found, "%s %lu", name, (unsigned long)info.st_nlink);
}

/* Reads a file whole, and finds which file it is. */
static inline void get_file(struct names *names, int directory, int file) {
  char name[NAME_BYTES], path[PATH_MAX], text[256];
  file_name(name, directory, file);
  uint64_t began = now_ns();
  int fd = open(below_mount(path, name), O_RDONLY | O_CLOEXEC);
  long got = result_of(fd < 0 ? -1 : read(fd, text, sizeof text));
  if (fd >= 0) close(fd);
  record(&names->history, began, "get", got, "%s %lld", name,
         got > 0 ? find_value(text, (size_t)got, "\nFILE=") : -1);
}

static inline void list_directory(struct names *names, int directory) {
  char name[NAME_BYTES], path[PATH_MAX], listed[NAMES * 32] = "";
  directory_name(name, directory);
  uint64_t began = now_ns();
  DIR *open_directory = opendir(below_mount(path, name));
  long result = result_of(open_directory ? 0 : -1);
  if (open_directory) {
    errno = 0;
    for (struct dirent *entry; (entry = readdir(open_directory)) != NULL; errno = 0)
      if (entry->d_name[0] != '.' && strlen(listed) + 32 < sizeof listed)
        sprintf(listed + strlen(listed), ",%.20s", entry->d_name);
    result = -errno;
    closedir(open_directory);
  }
  record(&names->history, began, "readdir", result, "%s %s", name, listed[0] ? listed + 1 : "-");
}

/* Takes all events off a directory's queue, or asks by poll(2) whether there is one. */
static inline void take_events(struct names *names, int directory) {
  static char text[TAKE_BYTES];
  char name[NAME_BYTES], taken[1024] = "";
  int fd = names->streams[directory];
  if (fd < 0) return;
  directory_name(name, directory);
  uint64_t began = now_ns();
  if (below(&names->seed, 3) > 0) {
    record(&names->history, began, "ready", ready_now(fd), "%s", name);
    return;
  }
  long got = result_of(read(fd, text, sizeof text));
  for (const char *at = text, *end = text + (got > 0 ? got : 0);
       (at = memmem(at, (size_t)(end - at), "\nFILE=", 6)) != NULL; at += 6)
    if (strlen(taken) + 32 < sizeof taken)
      sprintf(taken + strlen(taken), ",%ld", strtol(at + 6, NULL, 10));
  record(&names->history, began, "take", got, "%s %s", name, taken[0] ? taken + 1 : "-");
  if (got <= 0) return;
  /* The read took all events of the directory: its queue holds less than the buffer */
  memset(names->files[directory], 0, sizeof names->files[directory]);
}

static inline void act_on_names(struct names *names) {
  unsigned *seed = &names->seed;
  int directory = (int)below(seed, DIRECTORIES), file = (int)below(seed, NAMES);
  int other = (int)below(seed, DIRECTORIES), target = (int)below(seed, NAMES);
  switch (below(seed, 16)) {
    case 0:
      if (directory == DIRECTORIES - 1) remove_directory(names, directory);
      break;
    case 1: make_directory(names, directory); break;
    case 2:
    case 3:
    case 4: create_file(names, directory, file); break;
    case 5:
    case 6:
    case 7: link_or_rename(names, directory, file, other, target); break;
    case 8:
    case 9: remove_file(names, directory, file); break;
    case 10:
    case 11: stat_file(names, directory, file); break;
    case 12: get_file(names, directory, file); break;
    case 13: list_directory(names, directory); break;
    default: take_events(names, directory); break;
  }
}

static inline void begin_names(struct names *names, const char *out, unsigned seed) {
  char name[64];
  snprintf(name, sizeof name, "names-%d", (int)getpid());
  *names = (struct names){.history = history_open(out, name, "names"), .seed = seed};
  for (int i = 0; i < DIRECTORIES; i++) names->streams[i] = -1;
  for (int i = 0; i < DIRECTORIES; i++) make_directory(names, i);
}

/* Acts `rate` times a second until SIGTERM. */
static inline int use_names(const char *out, unsigned seed, uint64_t rate) {
  struct names names;
  begin_names(&names, out, seed);
  tell_ready();
  uint64_t start = now_ns();
  for (uint64_t done = 1; !finishing; done++) {
    act_on_names(&names);
    keep_pace(start, done, rate);
  }
  return 0;
}

#endif
