/* The commands of the harness on standard input: a verb and numbers a line. Each line gets one line
 * of answer. */
#ifndef COMPARE_COMMANDS_H
#define COMPARE_COMMANDS_H

#include "common.h"

#define COMMAND_NUMBERS 20

struct command {
  char verb[32];
  long long numbers[COMMAND_NUMBERS]; /* 0 for those that were not given. */
  size_t count;
};

/* Reads the next command. Returns false at the end of the input. */
static inline bool next_command(struct command *command) {
  static char line[1024];
  fflush(stdout);
  if (!fgets(line, sizeof line, stdin)) return false;
  *command = (struct command){0};
  char *rest = line, *word = strsep(&rest, " \n");
  snprintf(command->verb, sizeof command->verb, "%s", word);
  while (rest && (word = strsep(&rest, " \n")) && *word && command->count < COMMAND_NUMBERS)
    command->numbers[command->count++] = strtoll(word, NULL, 10);
  return true;
}

static inline bool is_verb(const struct command *command, const char *verb) {
  return strcmp(command->verb, verb) == 0;
}

/* Returns the CPU time of a process's only thread in nanoseconds, kernel time included; 0 if it is
 * gone. */
static inline uint64_t cpu_ns_of(pid_t pid) {
  char path[64], text[64] = "";
  snprintf(path, sizeof path, "/proc/%d/schedstat", (int)pid);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  ssize_t length = read(fd, text, sizeof text - 1);
  close(fd);
  return length > 0 ? strtoull(text, NULL, 10) : 0;
}

#endif
