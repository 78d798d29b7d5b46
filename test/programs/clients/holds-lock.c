/*
 * `holds-lock DIRECTORY FILE` holds the kernel's lock of a directory: getdents(2) has it while it
 * writes to the caller's memory, which is a mapping of FILE here. If the filesystem of FILE does
 * not answer, the system call does not end. The program prints `ready` once it has both open, and
 * makes the call when its standard input has a byte.
 */
#include "common.h"
#include <sys/mman.h>

#define PAGE_BYTES 4096

int main(int count, char **arguments) {
  char byte;
  if (count != 3) die("usage: holds-lock DIRECTORY FILE");
  int file = open(arguments[2], O_RDONLY | O_CLOEXEC);
  if (file < 0) die("%s: %m", arguments[2]);
  void *page = mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE, file, 0);
  if (page == MAP_FAILED) die("%s: mmap: %m", arguments[2]);
  int directory = open(arguments[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (directory < 0) die("%s: %m", arguments[1]);
  if (write(STDOUT_FILENO, "ready\n", 6) != 6) die("write: %m");
  if (read(STDIN_FILENO, &byte, 1) != 1) return 0;
  if (syscall(SYS_getdents64, directory, page, PAGE_BYTES) < 0) die("getdents: %m");
  return 0;
}
