/*
 * `refuses CALL COMMAND [ARGUMENT ...]` runs a command for which a system call fails with ENOSYS,
 * as in a container whose seccomp filter forbids it, or on a kernel without it: io_uring_setup(2)
 * or open_tree(2).
 */
#include "common.h"
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>

static long number_of(const char *call) {
  if (strcmp(call, "io_uring_setup") == 0) return SYS_io_uring_setup;
  if (strcmp(call, "open_tree") == 0) return SYS_open_tree;
  return -1;
}

int main(int argc, char **argv) {
  long number = argc < 3 ? -1 : number_of(argv[1]);
  if (number < 0) die("usage: refuses io_uring_setup|open_tree COMMAND [ARGUMENT ...]");
  struct sock_filter refuse[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)number, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  struct sock_fprog program = {sizeof refuse / sizeof *refuse, refuse};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
      prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
    die("prctl: %m");
  execvp(argv[2], argv + 2);
  die("%s: %m", argv[2]);
}
