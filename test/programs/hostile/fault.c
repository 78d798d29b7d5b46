/*
 * Makes one of the system calls of a running process fail, or watches them, by ptrace(2). All
 * threads are traced, and those that start later. Prints `armed` once it traces, `spent` after the
 * last call that fails, and what it has done at the end.
 *
 *   fault PID count                     counts the system calls until SIGTERM
 *   fault PID kill N                    kills the process by SIGKILL at the entry of its Nth call
 *   fault PID fail CALL ERRNO N COUNT [PATH]
 *                                       has the Nth call of CALL and the COUNT - 1 after it fail
 *                                       with ERRNO, without being made; with PATH only those whose
 *                                       first argument is a descriptor of such a path
 *   fault PID memory PATH               counts the calls of read(2), write(2) and writev(2) on such
 *                                       a path with memory in which a page is not mapped
 *
 * CALL and ERRNO are numbers.
 */
#include "common.h"
#include <dirent.h>
#include <elf.h>
#include <limits.h>
#include <stddef.h>
#include <stdatomic.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>

#define OPTIONS (PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE)
enum { MOST_THREADS = 4096 };

static pid_t process;
static atomic_bool ending;
static unsigned long calls, matching;
static struct {
  bool kills, fails, watches_memory;
  unsigned long at, count, call;
  int error;
  const char *path;
} plan;

/* The thread whose call was skipped, until its exit. */
static pid_t skipped[MOST_THREADS];
static int skipped_count;

static void on_term(int signal_number) {
  (void)signal_number;
  ending = true;
}

static void seize_all(void) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/task", (int)process);
  DIR *tasks = opendir(path);
  if (!tasks) die("%s: %m", path);
  for (struct dirent *entry; (entry = readdir(tasks)) != NULL;) {
    pid_t thread = (pid_t)atoi(entry->d_name);
    if (thread <= 0) continue;
    if (ptrace(PTRACE_SEIZE, thread, NULL, OPTIONS) != 0) die("PTRACE_SEIZE %d: %m", (int)thread);
    if (ptrace(PTRACE_INTERRUPT, thread, NULL, NULL) != 0) die("PTRACE_INTERRUPT: %m");
  }
  closedir(tasks);
}

/* Returns whether a descriptor of the process is of the wanted path. */
static bool is_path(uint64_t fd) {
  if (!plan.path) return true;
  char link[64], target[PATH_MAX];
  snprintf(link, sizeof link, "/proc/%d/fd/%d", (int)process, (int)fd);
  ssize_t length = readlink(link, target, sizeof target - 1);
  if (length < 0) return false;
  target[length] = '\0';
  return strcmp(target, plan.path) == 0;
}

/* Sets the number of the call that a thread is about to make: -1 for none. */
static void skip_call(pid_t thread) {
#ifdef __x86_64__
  long at = (long)offsetof(struct user_regs_struct, orig_rax);
  if (ptrace(PTRACE_POKEUSER, thread, at, -1l) != 0) die("PTRACE_POKEUSER: %m");
#else
  int none = -1;
  struct iovec part = {&none, sizeof none};
  if (ptrace(PTRACE_SETREGSET, thread, NT_ARM_SYSTEM_CALL, &part) != 0) die("PTRACE_SETREGSET: %m");
#endif
  skipped[skipped_count++] = thread;
}

static void set_result(pid_t thread) {
#ifdef __x86_64__
  long at = (long)offsetof(struct user_regs_struct, rax);
  if (ptrace(PTRACE_POKEUSER, thread, at, (long)-plan.error) != 0) die("PTRACE_POKEUSER: %m");
#else
  struct user_regs_struct registers;
  struct iovec part = {&registers, sizeof registers};
  if (ptrace(PTRACE_GETREGSET, thread, NT_PRSTATUS, &part) != 0) die("PTRACE_GETREGSET: %m");
  registers.regs[0] = (unsigned long long)-plan.error;
  if (ptrace(PTRACE_SETREGSET, thread, NT_PRSTATUS, &part) != 0) die("PTRACE_SETREGSET: %m");
#endif
}

static bool has_absent_page(uint64_t from, uint64_t length) {
  static int pagemap = -1;
  if (pagemap < 0) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/pagemap", (int)process);
    if ((pagemap = open(path, O_RDONLY | O_CLOEXEC)) < 0) die("%s: %m", path);
  }
  uint64_t page_bytes = (uint64_t)sysconf(_SC_PAGESIZE);
  for (uint64_t page = from / page_bytes; page * page_bytes < from + length; page++) {
    uint64_t entry; /* proc_pid_pagemap(5): bit 63 says that the page is present */
    off_t at = (off_t)(page * sizeof entry);
    if (pread(pagemap, &entry, sizeof entry, at) != sizeof entry) die("pagemap: %m");
    if (entry >> 63 == 0) return true;
  }
  return false;
}

/* Returns whether a page of the memory that a call names is absent. */
static bool needs_page(uint64_t call, const uint64_t arguments[6]) {
  if (call == SYS_read || call == SYS_write) return has_absent_page(arguments[1], arguments[2]);
  if (call != SYS_writev) return false;
  struct iovec parts[IOV_MAX], own = {parts, arguments[2] * sizeof *parts};
  struct iovec its = {(void *)arguments[1], own.iov_len};
  if (arguments[2] > IOV_MAX || process_vm_readv(process, &own, 1, &its, 1, 0) < 0)
    die("process_vm_readv: %m");
  for (uint64_t i = 0; i < arguments[2]; i++)
    if (has_absent_page((uint64_t)parts[i].iov_base, parts[i].iov_len)) return true;
  return false;
}

static void on_call(pid_t thread) {
  struct __ptrace_syscall_info info;
  if (ptrace(PTRACE_GET_SYSCALL_INFO, thread, sizeof info, &info) <= 0) return;
  if (info.op == PTRACE_SYSCALL_INFO_EXIT) {
    for (int i = 0; i < skipped_count; i++)
      if (skipped[i] == thread) {
        set_result(thread);
        skipped[i] = skipped[--skipped_count];
        return;
      }
    return;
  }
  if (info.op != PTRACE_SYSCALL_INFO_ENTRY) return;
  calls++;
  if (plan.kills && calls == plan.at) {
    kill(process, SIGKILL);
    printf("killed at call %lu, number %llu\n", calls, (unsigned long long)info.entry.nr);
    exit(0);
  }
  if (plan.watches_memory) {
    if (is_path(info.entry.args[0]) && needs_page(info.entry.nr, info.entry.args)) matching++;
    return;
  }
  if (!plan.fails || info.entry.nr != plan.call || !is_path(info.entry.args[0])) return;
  matching++;
  if (matching < plan.at || matching >= plan.at + plan.count) return;
  skip_call(thread);
  if (matching == plan.at + plan.count - 1 && write(STDOUT_FILENO, "spent\n", 6) != 6)
    die("standard output: %m");
}

/* Handles one stop of a thread. Returns false after the end of the process. */
static bool on_stop(pid_t thread, int status) {
  if (WIFEXITED(status) || WIFSIGNALED(status)) return thread != process;
  int signal_number = WSTOPSIG(status), event = status >> 16;
  bool is_call = signal_number == (SIGTRAP | 0x80);
  if (is_call) on_call(thread);
  if (event == PTRACE_EVENT_STOP && signal_number != SIGTRAP) {
    /* SIGSTOP: the thread stays stopped until SIGCONT */
    ptrace(PTRACE_LISTEN, thread, NULL, NULL);
    return true;
  }
  int passed = is_call || event != 0 ? 0 : signal_number;
  ptrace(PTRACE_SYSCALL, thread, NULL, (long)passed);
  return true;
}

/* Without a trace the process runs freely, also after the end of its tracer. */
static void trace(void) {
  /* A call that was skipped still needs its result */
  for (int status; !ending || skipped_count > 0;) {
    pid_t thread = waitpid(-1, &status, __WALL);
    if (thread < 0 && errno == EINTR) continue;
    if (thread < 0 || !on_stop(thread, status)) break;
  }
  printf("calls=%lu matching=%lu\n", calls, matching);
}

int main(int argc, char **argv) {
  struct sigaction action = {.sa_handler = on_term};
  sigaction(SIGTERM, &action, NULL);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  const char *what = argc > 2 ? argv[2] : "";
  plan.kills = strcmp(what, "kill") == 0 && argc == 4;
  plan.fails = strcmp(what, "fail") == 0 && (argc == 7 || argc == 8);
  plan.watches_memory = strcmp(what, "memory") == 0 && argc == 4;
  bool counts = strcmp(what, "count") == 0 && argc == 3;
  if (!plan.kills && !plan.fails && !plan.watches_memory && !counts)
    die("usage: fault PID count|kill|fail|memory ...");
  process = (pid_t)parse_number(argv[1], "PID", 1, INT_MAX);
  if (plan.watches_memory) plan.path = argv[3];
  if (plan.kills) plan.at = (unsigned long)parse_number(argv[3], "N", 1, LONG_MAX);
  if (plan.fails) {
    plan.call = (unsigned long)parse_number(argv[3], "CALL", 0, 4096);
    plan.error = (int)parse_number(argv[4], "ERRNO", 1, 4095);
    plan.at = (unsigned long)parse_number(argv[5], "N", 1, LONG_MAX);
    plan.count = (unsigned long)parse_number(argv[6], "COUNT", 1, LONG_MAX);
    plan.path = argc == 8 ? argv[7] : NULL;
  }
  seize_all();
  if (write(STDOUT_FILENO, "armed\n", 6) != 6) die("standard output: %m");
  trace();
  return 0;
}
