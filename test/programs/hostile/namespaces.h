/* Attacks by processes of many PID namespaces. */
#ifndef PROGRAMS_HOSTILE_NAMESPACES_H
#define PROGRAMS_HOSTILE_NAMESPACES_H

#include "helpers.h"
#include <sched.h>

/*
 * Makes a directory as process 1 of a PID namespace of its own. One in 64 looks at it again and
 * again. fork_child() would take parent 0, outside of the namespace, for the death of the parent.
 */
static void own_as_first(long n) {
  char path[PATH_MAX];
  struct stat attributes;
  if (count(unshare(CLONE_NEWPID)) != 0) return;
  pid_t first = fork();
  if (first < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) return;
  if (first > 0) wait_for_ever();
  count(mkdir(format(path, "%s/%d", mount_path, (int)getpid()), 0700));
  if (n % 64 != 0) wait_for_ever();
  begun();
  for (;;) count(stat(path, &attributes));
}

/* Many processes have the same number, each in its namespace, and directories of that name. */
static void same_names(void) {
  if (count(unshare(CLONE_NEWUSER)) != 0) die("unshare: %m");
  for (long n = 0; n < 2000; n++)
    if (fork_child() == 0) own_as_first(n), _exit(0);
}

#endif
