/* Owners that are born and killed, and the calls that look whether their things are still there. */
#ifndef PROGRAMS_HISTORY_OWNERS_H
#define PROGRAMS_HISTORY_OWNERS_H

#include "names.h"
#include <pthread.h>

enum { MOST_OWNERS = 64 };

/* A place for a living owner. The looker reads `directory` while an owner is replaced. */
struct place {
  pid_t pid;
  /* A number that the owner counts up when its directory is made. */
  atomic_ulong *is_made;
  char directory[NAME_BYTES];
  pthread_mutex_t lock;
};

static struct place places[MOST_OWNERS];
static long live_owners;

/* The life of an owner: it makes its directory, and uses it until it is killed. */
__attribute__((noreturn)) static inline void live(struct history *history, const char *name,
                                                  unsigned seed, atomic_ulong *is_made) {
  char path[PATH_MAX], file[NAME_BYTES + 16], text[4096];
  signal(SIGTERM, SIG_DFL);
  uint64_t began = now_ns();
  long made = result_of(mkdir(below_mount(path, name), 0755));
  record(history, began, "mkdir", made, "%s", name);
  (*is_made)++;
  if (made < 0) _exit(0);
  snprintf(file, sizeof file, "%s/.stream", name);
  began = now_ns();
  int stream =
      open(below_mount(path, file), O_RDONLY | O_CLOEXEC | (below(&seed, 4) ? O_NONBLOCK : 0));
  record(history, began, "open", result_of(stream), "%s", file);
  for (unsigned n = 0;; n++) {
    began = now_ns();
    switch (below(&seed, 6)) {
      case 0:
        snprintf(file, sizeof file, "%s/f%u", name, n);
        int fd = open(below_mount(path, file), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
        record(history, began, "create", result_of(fd), "%s", file);
        if (fd >= 0 && write(fd, "add@/h\nACTION=add\n", 18) == 18) close(fd);
        break;
      case 1:
        snprintf(file, sizeof file, "%s/fifo%u", name, n);
        record(history, began, "mkfifo", result_of(mkfifo(below_mount(path, file), 0644)), "%s",
               file);
        break;
      case 2: {
        struct stat info;
        record(history, began, "stat", result_of(stat(below_mount(path, name), &info)), "%s", name);
        break;
      }
      case 3: {
        if (stream < 0) break;
        long got = result_of(read(stream, text, sizeof text));
        record(history, began, "take", got, "%s", name);
        break;
      }
      case 4: {
        DIR *directory = opendir(below_mount(path, name));
        record(history, began, "readdir", result_of(directory ? 0 : -1), "%s", name);
        if (directory) closedir(directory);
        break;
      }
      default: usleep(below(&seed, 20000));
    }
  }
}

/* Makes calls on an owner's directory. `held` are descriptors from before, or -1. */
static inline void look_at(struct history *history, const char *directory, const int *held) {
  static const char *const names[] = {"", "/.stream", "/.status", "/head", "/f0"};
  char path[PATH_MAX], name[NAME_BYTES + 16], text[4096];
  struct stat info;
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    snprintf(name, sizeof name, "%s%s", directory, names[i]);
    uint64_t began = now_ns();
    record(history, began, "stat", result_of(lstat(below_mount(path, name), &info)), "%s", name);
    began = now_ns();
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    record(history, began, "open", result_of(fd), "%s", name);
    if (fd >= 0) close(fd);
  }
  uint64_t began = now_ns();
  if (held[0] >= 0)
    record(history, began, "fstat", result_of(fstat(held[0], &info)), "%s", directory);
  began = now_ns();
  if (held[1] >= 0)
    record(history, began, "take", result_of(read(held[1], text, sizeof text)), "%s", directory);
  began = now_ns();
  if (held[1] >= 0) record(history, began, "ready", ready_now(held[1]), "%s", directory);
  snprintf(name, sizeof name, "%s/new", directory);
  began = now_ns();
  record(history, began, "mkfifo", result_of(mkfifo(below_mount(path, name), 0600)), "%s", name);
}

/* Looks at the directories of owners that live, or die meanwhile. */
static inline void *look_on(void *argument) {
  struct history *history = argument;
  unsigned seed = 1;
  char directory[NAME_BYTES];
  static const int none[] = {-1, -1};
  while (!finishing) {
    struct place *place = &places[below(&seed, (unsigned)live_owners)];
    pthread_mutex_lock(&place->lock);
    strcpy(directory, place->directory);
    pthread_mutex_unlock(&place->lock);
    if (directory[0]) look_at(history, directory, none);
    usleep(5000);
  }
  return NULL;
}

static inline void start_owner(struct history *lives, struct place *place, unsigned seed) {
  static unsigned serial;
  serial++;
  unsigned long made_before = *place->is_made;
  pid_t pid = fork_child();
  if (pid == 0) {
    char name[NAME_BYTES];
    snprintf(name, sizeof name, "%d.owner%u", (int)getpid(), serial);
    live(lives, name, seed, place->is_made);
  }
  pthread_mutex_lock(&place->lock);
  place->pid = pid;
  snprintf(place->directory, sizeof place->directory, "%d.owner%u", (int)pid, serial);
  pthread_mutex_unlock(&place->lock);
  /* Most are killed soon after they have a directory, some before */
  for (int i = 0; *place->is_made == made_before && i < (serial % 8 ? 2000 : 0); i++) usleep(500);
}

/* Kills the owner of a place, and makes calls on its directory after the death is visible. */
static inline void kill_owner(struct history *deaths, struct place *place) {
  char path[PATH_MAX], name[NAME_BYTES + 16];
  int held[] = {open(below_mount(path, place->directory), O_RDONLY | O_DIRECTORY | O_CLOEXEC), -1};
  snprintf(name, sizeof name, "%s/.stream", place->directory);
  held[1] = open(below_mount(path, name), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  uint64_t began = now_ns();
  end_child(place->pid);
  record(deaths, began, "death", 0, "%s", place->directory);
  look_at(deaths, place->directory, held);
  for (int i = 0; i < 2; i++)
    if (held[i] >= 0) close(held[i]);
}

/* Has `live` owners, of which it kills `rate` a second, until SIGTERM, or `count` of them. */
static inline int kill_owners(const char *out, unsigned seed, long live, uint64_t rate,
                              uint64_t count) {
  struct history deaths = history_open(out, "deaths", "look");
  struct history looks = history_open(out, "looks", "look");
  struct history lives = history_open(out, "lives", "owner");
  live_owners = live;
  atomic_ulong *made = map_shared(sizeof *made * MOST_OWNERS);
  for (long i = 0; i < live; i++) {
    places[i] = (struct place){.is_made = &made[i]};
    pthread_mutex_init(&places[i].lock, NULL);
    start_owner(&lives, &places[i], seed++);
  }
  pthread_t looker;
  if (pthread_create(&looker, NULL, look_on, &looks) != 0) die("pthread_create: %m");
  tell_ready();
  uint64_t start = now_ns();
  for (uint64_t done = 0; !finishing && (count == 0 || done < count); done++) {
    keep_pace(start, done, rate);
    struct place *place = &places[below(&seed, (unsigned)live)];
    kill_owner(&deaths, place);
    start_owner(&lives, place, seed++);
  }
  if (!finishing && write(STDOUT_FILENO, "done\n", 5) != 5) die("standard output: %m");
  while (!finishing) pause();
  pthread_join(looker, NULL);
  for (long i = 0; i < live; i++) kill_owner(&deaths, &places[i]);
  return 0;
}

#endif
