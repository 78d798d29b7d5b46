/*
 * A process that executes commands: `actor`. It reads one command a line from standard input, and
 * answers each with one line, `ok`, `ok VALUE` or `errno NUMBER`. One blank separates words.
 *
 *   pid                        its PID in its own PID namespace
 *   tid                        the id of the answering thread, likewise
 *   outer                      its PID in the PID namespace of the mounted /proc
 *   mkdir PATH, rmdir PATH, chdir PATH
 *   getcwd
 *   open PATH                  opens a descriptor to read; likewise `openrw`, `opendir`, `opennb`
 *                              (O_NONBLOCK), `openpath` (O_PATH), `openlink` (of a symlink itself:
 *                              O_PATH, O_NOFOLLOW)
 *   symlink TARGET PATH, readlink PATH, readlinkat FD
 *   create PATH BYTES          makes a file with that many bytes
 *   read FD, pread FD          answers the number of bytes read
 *   getdents FD                answers the number of bytes of entries from the beginning
 *   fstat FD, write FD, ftruncate FD, fchmod FD, close FD, fsync FD, fdatasync FD, fstatfs FD
 *   statx FD                   statx(2) with AT_STATX_DONT_SYNC; answers the size
 *   seek FD, flock FD, fionread FD, readahead FD
 *   handle FD                  name_to_handle_at(2), for open_by_handle_at(2)
 *   identify FD                name_to_handle_at(2) with AT_HANDLE_FID: only a number
 *   private                    enters a new mount namespace
 *   bind FD PATH               mount(2) of the file of an O_PATH descriptor, which was opened after
 *                              `private`; opens PATH
 *   openat FD NAME, unlinkat FD NAME
 *   fill PATH COUNT BYTES      makes COUNT files of BYTES bytes each, named 1, 2, ...
 *   poll FD MS                 answers epoll's events within that time, 0 after it
 *   map FD                     maps a page of the file (MAP_PRIVATE); `peek` reads it, and answers
 *                              EFAULT for SIGBUS
 *   blocked PID                1 if that process or thread sleeps in read(2), else 0; `polling`
 *                              likewise for epoll_wait(2)
 *   fork                       starts a child that does nothing; answers its PID
 *   forkmkdir PID PATH         starts a child that makes a directory first; answers its PID. `%` in
 *                              PATH stands for the child's PID. The child gets that PID, or any if
 *                              PID is 0
 *   signal PID NUMBER          kill(2)
 *   wait PID                   waitpid(2)
 *   thread                     a new thread takes over; answers its id. `leave` ends it, and the
 *                              previous thread takes over again
 *   abandon                    a new thread takes over, and the previous one ends, even if it is
 *                              the first; answers the new thread's id
 *   exec                       the answering thread executes this program again; answers the PID
 */
#include "common.h"
#include <dirent.h>
#include <linux/sched.h>
#include <limits.h>
#include <pthread.h>
#include <setjmp.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>

static const char AFTER_EXEC[] = "after-exec";

static pid_t own_tid(void) { return (pid_t)syscall(SYS_gettid); }

static void ok(void) { puts("ok"); }

static void ok_number(long value) { printf("ok %ld\n", value); }

static void failed(int error) { printf("errno %d\n", error); }

/* Answers with the result of a system call; a negative result is an error. */
static void give(long result) {
  if (result < 0) failed(errno);
  else ok_number(result);
}

static void give_none(long result) {
  if (result < 0) failed(errno);
  else ok();
}

static void give_number_in(const char *path) {
  char text[64];
  ssize_t length = readlink(path, text, sizeof text - 1);
  if (length < 0) return failed(errno);
  text[length] = '\0';
  printf("ok %s\n", text);
}

/* --- files --- */

static void give_target(int directory, const char *path) {
  char text[PATH_MAX];
  ssize_t length = readlinkat(directory, path, text, sizeof text - 1);
  if (length < 0) return failed(errno);
  text[length] = '\0';
  printf("ok %s\n", text);
}

static char buffer[1 << 20];

static void do_getcwd(void) {
  if (getcwd(buffer, sizeof buffer)) printf("ok %s\n", buffer);
  else failed(errno);
}

static ssize_t create(const char *path, long bytes) {
  int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
  if (fd < 0) return -1;
  memset(buffer, 'x', (size_t)bytes);
  ssize_t written = write(fd, buffer, (size_t)bytes);
  int error = errno;
  close(fd);
  errno = error;
  return written;
}

static void do_fill(const char *path, long count, long bytes) {
  for (long i = 1; i <= count; i++) {
    char name[PATH_MAX];
    snprintf(name, sizeof name, "%s/%ld", path, i);
    if (create(name, bytes) < 0) return failed(errno);
  }
  ok();
}

static void do_getdents(int fd) {
  if (lseek(fd, 0, SEEK_SET) < 0) return failed(errno);
  give(syscall(SYS_getdents64, fd, buffer, sizeof buffer));
}

static void do_fstat(int fd) {
  struct stat attributes;
  give_none(fstat(fd, &attributes));
}

static void do_fstatfs(int fd) {
  struct statfs budget;
  give_none(fstatfs(fd, &budget));
}

static void do_statx(int fd) {
  struct statx attributes;
  if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_SIZE, &attributes) != 0)
    failed(errno);
  else ok_number((long)attributes.stx_size);
}

static void do_fionread(int fd) {
  int count = 0;
  if (ioctl(fd, FIONREAD, &count) != 0) failed(errno);
  else ok_number(count);
}

/* AT_HANDLE_FID of linux/fcntl.h: glibc 2.36 has no name for it. */
enum { HANDLE_FID = 0x200 };

static void do_handle(int fd, int flags) {
  struct {
    struct file_handle head;
    unsigned char bytes[MAX_HANDLE_SZ];
  } handle = {.head.handle_bytes = MAX_HANDLE_SZ};
  int mount_id;
  give_none(name_to_handle_at(fd, "", &handle.head, &mount_id, AT_EMPTY_PATH | flags));
}

static void do_private(void) {
  if (unshare(CLONE_NEWNS) != 0) failed(errno);
  else give_none(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
}

static void do_bind(int fd, const char *path) {
  char source[64];
  snprintf(source, sizeof source, "/proc/self/fd/%d", fd);
  if (mount(source, path, NULL, MS_BIND, NULL) != 0) return failed(errno);
  int directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  int error = errno;
  if (directory >= 0) close(directory);
  umount2(path, MNT_DETACH);
  if (directory < 0) failed(error);
  else ok();
}

static void do_poll(int fd, int most_ms) {
  int set = epoll_create1(EPOLL_CLOEXEC);
  struct epoll_event event = {.events = EPOLLIN};
  if (set < 0 || epoll_ctl(set, EPOLL_CTL_ADD, fd, &event) < 0) return failed(errno);
  int count = epoll_wait(set, &event, 1, most_ms);
  int error = errno;
  close(set);
  if (count < 0) failed(error);
  else ok_number(count == 0 ? 0 : (long)event.events);
}

static volatile char *page;
static sigjmp_buf after_bus_error;

static void on_bus_error(int signal_number) { siglongjmp(after_bus_error, signal_number); }

static void do_map(int fd) {
  page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0);
  if (page == MAP_FAILED) failed(errno);
  else ok();
}

static void do_peek(void) {
  signal(SIGBUS, on_bus_error);
  if (sigsetjmp(after_bus_error, 1) != 0) return failed(EFAULT);
  ok_number(page[0]);
}

/* --- children --- */

/*
 * Returns true if a thread sleeps in epoll_wait(2), or in glibc's equivalent: proc(5),
 * /proc/[pid]/syscall.
 */
static bool is_polling(pid_t tid) {
  char path[64], text[32] = "";
  snprintf(path, sizeof path, "/proc/%d/syscall", (int)tid);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  ssize_t length = read(fd, text, sizeof text - 1);
  close(fd);
  long number = length > 0 && text[0] != 'r' ? strtol(text, NULL, 10) : -1;
#ifdef SYS_epoll_wait
  if (number == SYS_epoll_wait) return true;
#endif
  return number == SYS_epoll_pwait;
}

static void start_child(pid_t wanted, const char *path) {
  int answer[2];
  if (pipe2(answer, O_CLOEXEC) != 0) return failed(errno);
  pid_t ids[] = {wanted};
  struct clone_args arguments = {.exit_signal = SIGCHLD,
                                 .set_tid = wanted ? (uint64_t)(uintptr_t)ids : 0,
                                 .set_tid_size = wanted ? 1 : 0};
  /* Fork(2) can't choose the PID */
  pid_t child = (pid_t)syscall(SYS_clone3, &arguments, sizeof arguments);
  if (child < 0) return failed(errno);
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    char name[PATH_MAX];
    const char *place = path ? strchr(path, '%') : NULL;
    if (place)
      snprintf(name, sizeof name, "%.*s%ld%s", (int)(place - path), path, syscall(SYS_getpid),
               place + 1);
    int error = path && mkdir(place ? name : path, 0755) != 0 ? errno : 0;
    if (write(answer[1], &error, sizeof error) != sizeof error) _exit(1);
    for (;;) pause();
  }
  int error = EPROTO;
  close(answer[1]);
  if (read(answer[0], &error, sizeof error) != sizeof error) error = EPROTO;
  close(answer[0]);
  if (error) failed(error);
  else ok_number(child);
}

/* --- threads --- */

static void serve(void);

static bool is_zombie(pid_t tid) {
  char path[64], text[256];
  snprintf(path, sizeof path, "/proc/thread-self/../%d/stat", (int)tid);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return true; /* a thread other than the first leaves no zombie */
  ssize_t length = read(fd, text, sizeof text - 1);
  close(fd);
  if (length <= 0) return true;
  text[length] = '\0';
  return strstr(text, ") Z") != NULL;
}

static void *run_thread(void *starter) {
  while (starter && !is_zombie(*(pid_t *)starter)) sleep_ns(NS_PER_MS);
  ok_number(own_tid());
  serve();
  return NULL;
}

static void do_thread(void) {
  pthread_t thread;
  if ((errno = pthread_create(&thread, NULL, run_thread, NULL)) != 0) return failed(errno);
  pthread_join(thread, NULL);
  ok(); /* the thread has left */
}

static void do_abandon(void) {
  static pid_t starter;
  pthread_t thread;
  starter = own_tid();
  if ((errno = pthread_create(&thread, NULL, run_thread, &starter)) != 0) return failed(errno);
  pthread_detach(thread);
  pthread_exit(NULL);
}

static void do_exec(void) {
  execl("/proc/thread-self/exe", "actor", AFTER_EXEC, (char *)NULL);
  failed(errno);
}

/* --- commands --- */

static void obey(const char *command, const char *first, const char *second, const char *third) {
  int number = first ? atoi(first) : 0;
#define IS(name) (strcmp(command, name) == 0)
  if (IS("pid")) ok_number(getpid());
  else if (IS("tid")) ok_number(own_tid());
  else if (IS("outer")) give_number_in("/proc/self");
  else if (IS("getcwd")) do_getcwd();
  else if (IS("private")) do_private();
  else if (IS("fork")) start_child(0, NULL);
  else if (IS("thread")) do_thread();
  else if (IS("abandon")) do_abandon();
  else if (IS("exec")) do_exec();
  else if (IS("peek")) do_peek();
  else if (!first) die("no such command, or it lacks an argument: %s", command);
  else if (IS("mkdir")) give_none(mkdir(first, 0755));
  else if (IS("rmdir")) give_none(rmdir(first));
  else if (IS("chdir")) give_none(chdir(first));
  else if (IS("open")) give(open(first, O_RDONLY | O_CLOEXEC));
  else if (IS("openrw")) give(open(first, O_RDWR | O_CLOEXEC));
  else if (IS("opendir")) give(open(first, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  else if (IS("opennb")) give(open(first, O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  else if (IS("openpath")) give(open(first, O_PATH | O_CLOEXEC));
  else if (IS("openlink")) give(open(first, O_PATH | O_NOFOLLOW | O_CLOEXEC));
  else if (IS("readlink")) give_target(AT_FDCWD, first);
  else if (IS("readlinkat")) give_target(number, "");
  else if (IS("read")) give(read(number, buffer, sizeof buffer));
  else if (IS("pread")) give(pread(number, buffer, sizeof buffer, 0));
  else if (IS("getdents")) do_getdents(number);
  else if (IS("fstat")) do_fstat(number);
  else if (IS("write")) give(write(number, "x", 1));
  else if (IS("fsync")) give_none(fsync(number));
  else if (IS("fdatasync")) give_none(fdatasync(number));
  else if (IS("fstatfs")) do_fstatfs(number);
  else if (IS("statx")) do_statx(number);
  else if (IS("seek")) give(lseek(number, 0, SEEK_SET));
  else if (IS("flock")) give_none(flock(number, LOCK_EX | LOCK_NB));
  else if (IS("fionread")) do_fionread(number);
  else if (IS("readahead")) give_none(readahead(number, 0, 4096));
  else if (IS("handle")) do_handle(number, 0);
  else if (IS("identify")) do_handle(number, HANDLE_FID);
  else if (IS("ftruncate")) give_none(ftruncate(number, 0));
  else if (IS("fchmod")) give_none(fchmod(number, 0600));
  else if (IS("close")) give_none(close(number));
  else if (IS("map")) do_map(number);
  else if (IS("blocked")) ok_number(is_blocked_in_read(number));
  else if (IS("polling")) ok_number(is_polling(number));
  else if (IS("wait")) give_none(waitpid(number, NULL, 0));
  else if (!second) die("no such command, or it lacks an argument: %s", command);
  else if (IS("symlink")) give_none(symlink(first, second));
  else if (IS("create")) give(create(first, atol(second)));
  else if (IS("bind")) do_bind(number, second);
  else if (IS("openat")) give(openat(number, second, O_RDONLY | O_CLOEXEC));
  else if (IS("unlinkat")) give_none(unlinkat(number, second, 0));
  else if (IS("poll")) do_poll(number, atoi(second));
  else if (IS("signal")) give_none(kill(number, atoi(second)));
  else if (IS("forkmkdir")) start_child(number, second);
  else if (third && IS("fill")) do_fill(first, atol(second), atol(third));
  else die("no such command: %s", command);
}

/* Executes commands until standard input or this thread ends. */
static void serve(void) {
  static char line[2 * PATH_MAX];
  while (fgets(line, sizeof line, stdin)) {
    char *rest = NULL;
    line[strcspn(line, "\n")] = '\0';
    char *command = strtok_r(line, " ", &rest), *first = strtok_r(NULL, " ", &rest);
    char *second = strtok_r(NULL, " ", &rest), *third = strtok_r(NULL, " ", &rest);
    if (!command) continue;
    if (strcmp(command, "leave") == 0) return;
    obey(command, first, second, third);
  }
  _exit(0);
}

int main(int argc, char **argv) {
  setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
  if (argc > 1 && strcmp(argv[1], AFTER_EXEC) == 0) ok_number(getpid());
  serve();
  return 0;
}
