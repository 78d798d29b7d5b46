/*
 * Makes system calls on command: one a line on standard input, one line of answer each.
 *
 *   open 3 /path 2 0        opens slot 3; flags and mode in decimal
 *   read 3 100              ->  "5 hello": the number of bytes, and the bytes; or "-EAGAIN"
 *
 * Arguments and answers have blanks, `%` and unprintable bytes as %XX. Slots are the caller's names
 * for descriptors, 0 to 1023. A call that blocks delays its answer; `alarm` interrupts the next
 * one. The calls of io_uring are in uring.h.
 */
#include "common.h"
#include <dirent.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/xattr.h>

enum { SLOTS = 1024, MOST_BYTES = 4 << 20, MOST_THREADS = 64, MOST_WORDS = 64 };

static int descriptor[SLOTS];
static char bytes[MOST_BYTES];
static char *words[MOST_WORDS];
static int word_count;

static const char *word(int i) { return i < word_count ? words[i] : ""; }
static long long number(int i) { return atoll(word(i)); }
static int *slot(int i) { return &descriptor[number(i) & (SLOTS - 1)]; }
static int fd(int i) { return *slot(i); }

static void put_escaped(const char *data, size_t length) {
  for (size_t i = 0; i < length; i++) {
    unsigned char byte = (unsigned char)data[i];
    if (byte <= ' ' || byte >= 127 || byte == '%') printf("%%%02X", byte);
    else putchar(byte);
  }
}

/* Decodes %XX in place; returns the length, because the text may contain a NUL. */
static size_t unescape(char *text) {
  char *to = text;
  for (char *from = text; *from; from++) {
    unsigned int byte;
    if (*from == '%' && sscanf(from + 1, "%2X", &byte) == 1) {
      *to++ = (char)byte;
      from += 2;
    } else {
      *to++ = *from;
    }
  }
  *to = 0;
  return (size_t)(to - text);
}

static void answer(long long result) {
  if (result < 0) printf("-%s\n", strerrorname_np(errno));
  else printf("%lld\n", result);
}

static void answer_bytes(ssize_t length) {
  if (length <= 0) {
    answer(length);
    return;
  }
  printf("%zd ", length);
  put_escaped(bytes, (size_t)length);
  putchar('\n');
}

#include "uring.h"
#include "poll-calls.h"

static void keep(int i, int got) {
  if (got >= 0) *slot(i) = got;
  answer(got < 0 ? -1 : 0);
}

/* close <slot>: from then on a read of the slot reaches no other descriptor */
static void do_close(void) {
  int closed = fd(1);
  *slot(1) = -1;
  answer(close(closed));
}

static void on_signal(int signal) { (void)signal; }

/*
 * Milliseconds until SIGALRM interrupts the next call, and again until it has ended; 0 for no
 * limit.
 */
static long alarm_ms;

static void set_alarm(long ms) {
  struct timeval interval = {ms / 1000, ms % 1000 * 1000};
  struct itimerval timer = {interval, interval};
  setitimer(ITIMER_REAL, &timer, NULL);
}

/*
 * alarm <ms> <restart>: interrupts the next call after that time, by a handler with or without
 * SA_RESTART
 */
static void do_alarm(void) {
  struct sigaction action = {.sa_handler = on_signal, .sa_flags = number(2) ? SA_RESTART : 0};
  alarm_ms = number(1);
  answer(sigaction(SIGALRM, &action, NULL));
}

static struct {
  pthread_mutex_t lock;
  int fd;
  size_t wanted;
  size_t got;
} shared = {.lock = PTHREAD_MUTEX_INITIALIZER};

/*
 * Adds the bytes that a thread has read, or only asks if `length` is not positive. Returns true if
 * the threads together have all that they want.
 */
static bool add_share(const char *own, ssize_t length) {
  pthread_mutex_lock(&shared.lock);
  if (length > 0 && shared.got + (size_t)length <= sizeof bytes) {
    memcpy(bytes + shared.got, own, (size_t)length);
    shared.got += (size_t)length;
  }
  bool done = shared.got >= shared.wanted;
  pthread_mutex_unlock(&shared.lock);
  return done;
}

static void *read_share(void *unused) {
  (void)unused;
  char own[65536];
  for (;;) {
    ssize_t length = read(shared.fd, own, sizeof own);
    if (add_share(own, length) || length <= 0) return NULL;
  }
}

/* Reads likewise with a ring of the thread's own, with four READs in flight. */
static void *read_share_by_ring(void *unused) {
  (void)unused;
  enum { READS = 4, READ_BYTES = 4096 };
  open_ring(0);
  for (int tag = 0; tag < READS; tag++) ring_read_of(tag, shared.fd, READ_BYTES);
  for (bool done = false; !done;) {
    enter_ring(0, IORING_ENTER_GETEVENTS);
    reap_ring();
    for (int tag = 0; tag < READS; tag++) {
      if (!asked[tag].is_done) continue;
      if (asked[tag].result <= 0) return NULL;
      add_share(asked[tag].bytes + BUFFER_AT, asked[tag].result);
      ring_read_of(tag, shared.fd, READ_BYTES);
    }
    usleep(100);
    done = add_share(NULL, 0);
  }
  close_ring();
  return NULL;
}

/*
 * threads <slot> <n> <bytes>, and ring_threads: n threads read one open file until they have that
 * many bytes together; answers the bytes
 */
static void do_threads(void *(*reader)(void *)) {
  pthread_t threads[MOST_THREADS];
  int count = (int)number(2);
  struct sigaction action = {.sa_handler = on_signal};
  sigaction(SIGUSR1, &action, NULL);
  shared.fd = fd(1);
  shared.wanted = (size_t)number(3);
  shared.got = 0;
  for (int i = 0; i < count; i++) pthread_create(&threads[i], NULL, reader, NULL);
  for (;;) {
    pthread_mutex_lock(&shared.lock);
    int done = shared.got >= shared.wanted;
    pthread_mutex_unlock(&shared.lock);
    if (done) break;
    usleep(1000);
  }
  for (int i = 0; i < count; i++) {
    while (pthread_tryjoin_np(threads[i], NULL) == EBUSY) {
      pthread_kill(threads[i], SIGUSR1);
      usleep(1000);
    }
  }
  answer_bytes((ssize_t)shared.got);
}

/* getdents <slot>: answers name/inode/type of each entry */
static void do_getdents(void) {
  int copy = openat(fd(1), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR *directory = copy < 0 ? NULL : fdopendir(copy);
  if (directory == NULL) {
    answer(-1);
    return;
  }
  putchar('0');
  for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
    putchar(' ');
    put_escaped(entry->d_name, strlen(entry->d_name));
    printf("/%llu/%d", (unsigned long long)entry->d_ino, entry->d_type);
  }
  putchar('\n');
  closedir(directory);
}

/* getdents_some <slot> <bytes>: answers the names that one system call returns; 0 at the end */
static void do_getdents_some(void) {
  long got = syscall(SYS_getdents64, fd(1), bytes, (size_t)number(2));
  if (got <= 0) {
    answer(got);
    return;
  }
  printf("%ld", got);
  for (long at = 0; at < got;) {
    /* struct linux_dirent64: u64 d_ino, s64 d_off, u16 d_reclen, u8 d_type, d_name */
    putchar(' ');
    put_escaped(bytes + at + 19, strlen(bytes + at + 19));
    uint16_t length;
    memcpy(&length, bytes + at + 16, sizeof length);
    at += length;
  }
  putchar('\n');
}

static sigjmp_buf after_bus_error;

static void on_bus_error(int signal) { siglongjmp(after_bus_error, signal); }

/* Copies a mapping; returns false at SIGBUS. A longjmp would clobber the locals of its caller. */
__attribute__((noinline)) static bool copy_mapped(const char *mapped, size_t size) {
  signal(SIGBUS, on_bus_error);
  bool is_whole = sigsetjmp(after_bus_error, 1) == 0;
  if (is_whole) memcpy(bytes, mapped, size);
  signal(SIGBUS, SIG_DFL);
  return is_whole;
}

/*
 * mmap <slot> <shared>: answers the bytes of a private or shared mapping, to the end of the file;
 * EFAULT for SIGBUS
 */
static void do_mmap(void) {
  struct stat info;
  size_t size = fstat(fd(1), &info) < 0 || info.st_size > MOST_BYTES ? 0 : (size_t)info.st_size;
  char *mapped = mmap(NULL, size, PROT_READ, number(2) ? MAP_SHARED : MAP_PRIVATE, fd(1), 0);
  if (mapped == MAP_FAILED) {
    answer(-1);
    return;
  }
  bool is_copied = copy_mapped(mapped, size);
  munmap(mapped, size);
  errno = EFAULT;
  answer_bytes(is_copied ? (ssize_t)size : -1);
}

/*
 * attributes <path> and fattributes <slot>: answers all fields of stat(2), times as
 * seconds.nanoseconds
 */
static void do_attributes(int got, const struct stat *info) {
  if (got < 0) {
    answer(-1);
    return;
  }
  printf("0 %llu %lld %o %llu %u %u", (unsigned long long)info->st_ino, (long long)info->st_size,
         info->st_mode, (unsigned long long)info->st_nlink, info->st_uid, info->st_gid);
  for (int i = 0; i < 3; i++) {
    const struct timespec *time = i == 0   ? &info->st_atim
                                  : i == 1 ? &info->st_mtim
                                           : &info->st_ctim;
    printf(" %lld.%09ld", (long long)time->tv_sec, time->tv_nsec);
  }
  printf(" %lld\n", (long long)info->st_blocks);
}

/*
 * times <path> <sec> <nsec> <sec> <nsec>: sets atime and mtime; nsec -1 is UTIME_NOW, -2 UTIME_OMIT
 */
static void do_times(void) {
  struct timespec times[2];
  for (int i = 0; i < 2; i++) {
    long long nsec = number(3 + 2 * i);
    times[i].tv_sec = (time_t)number(2 + 2 * i);
    times[i].tv_nsec = nsec == -1 ? UTIME_NOW : nsec == -2 ? UTIME_OMIT : (long)nsec;
  }
  answer(utimensat(AT_FDCWD, word(1), times, AT_SYMLINK_NOFOLLOW));
}

/* lock <slot> <type> <start> <length>: fcntl(2) with F_SETLK */
static void do_lock(void) {
  struct flock lock = {
      .l_type = (short)number(2), .l_whence = SEEK_SET, .l_start = number(3), .l_len = number(4)};
  answer(fcntl(fd(1), F_SETLK, &lock));
}

/* linkfd <slot> <path>: makes a name for an open file (linkat(2) through /proc) */
static void do_link_fd(void) {
  char path[64];
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd(1));
  answer(linkat(AT_FDCWD, path, AT_FDCWD, word(2), AT_SYMLINK_FOLLOW));
}

/* bind <path>: makes a Unix socket with that name */
static void do_bind(void) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  int server = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  snprintf(address.sun_path, sizeof address.sun_path, "%s", word(1));
  int got = bind(server, (struct sockaddr *)&address, sizeof address);
  int error = errno;
  close(server);
  errno = error;
  answer(got);
}

/* pipe <slot> <slot>: opens the reading and the writing end */
static void do_pipe(void) {
  int ends[2];
  int got = pipe2(ends, O_CLOEXEC);
  if (got == 0) *slot(1) = ends[0];
  keep(2, got < 0 ? -1 : ends[1]);
}

/* readv <slot> <size> <size>: reads into two buffers, as musl's stdio does */
static void do_readv(void) {
  size_t first = (size_t)number(2);
  struct iovec parts[2] = {{bytes, first}, {bytes + first, (size_t)number(3)}};
  answer_bytes(readv(fd(1), parts, 2));
}

static void do_stat(int got, const struct stat *info) {
  if (got < 0) answer(-1);
  else
    printf("0 %llu %lld %o %llu\n", (unsigned long long)info->st_ino, (long long)info->st_size,
           info->st_mode, (unsigned long long)info->st_nlink);
}

static void call(const char *verb, size_t data_length) {
  struct stat info;
  struct statfs filesystem;
#define IS(name) (strcmp(verb, name) == 0)
  if (IS("open")) keep(1, open(word(2), (int)number(3) | O_CLOEXEC, (mode_t)number(4)));
  else if (IS("close")) do_close();
  else if (IS("dup")) keep(2, dup(fd(1)));
  else if (IS("read")) answer_bytes(read(fd(1), bytes, (size_t)number(2)));
  else if (IS("pread")) answer_bytes(pread(fd(1), bytes, (size_t)number(2), number(3)));
  else if (IS("readv")) do_readv();
  else if (IS("pipe")) do_pipe();
  else if (IS("write")) answer(write(fd(1), words[2], data_length));
  else if (IS("pwrite")) answer(pwrite(fd(1), words[2], data_length, number(3)));
  else if (IS("fill"))
    answer(pwrite(fd(1), memset(bytes, 'x', (size_t)number(2)), (size_t)number(2), number(3)));
  else if (IS("lseek")) answer(lseek(fd(1), number(2), (int)number(3)));
  else if (IS("nonblock")) answer(fcntl(fd(1), F_SETFL, number(2) ? O_NONBLOCK : 0));
  else if (IS("alarm")) do_alarm();
  else if (IS("poll")) do_poll();
  else if (IS("select")) do_select();
  else if (IS("epoll_create")) keep(1, epoll_create1(EPOLL_CLOEXEC));
  else if (IS("epoll_add")) do_epoll_add();
  else if (IS("epoll_wait")) do_epoll_wait();
  else if (IS("threads")) do_threads(read_share);
  else if (IS("ring_threads")) do_threads(read_share_by_ring);
  else if (IS("getdents")) do_getdents();
  else if (IS("getdents_some")) do_getdents_some();
  else if (IS("mmap")) do_mmap();
  else if (IS("stat")) do_stat(lstat(word(1), &info), &info);
  else if (IS("fstat")) do_stat(fstat(fd(1), &info), &info);
  else if (IS("mkdir")) answer(mkdir(word(1), (mode_t)number(2)));
  else if (IS("mknod")) answer(mknod(word(1), (mode_t)number(2), (dev_t)number(3)));
  else if (IS("symlink")) answer(symlink(word(1), word(2)));
  else if (IS("link")) answer(link(word(1), word(2)));
  else if (IS("rename"))
    answer(renameat2(AT_FDCWD, word(1), AT_FDCWD, word(2), (unsigned int)number(3)));
  else if (IS("unlink")) answer(unlink(word(1)));
  else if (IS("rmdir")) answer(rmdir(word(1)));
  else if (IS("readlink")) answer_bytes(readlink(word(1), bytes, 4096));
  else if (IS("truncate")) answer(truncate(word(1), number(2)));
  else if (IS("ftruncate")) answer(ftruncate(fd(1), number(2)));
  else if (IS("fallocate")) answer(fallocate(fd(1), (int)number(2), number(3), number(4)));
  else if (IS("chmod")) answer(chmod(word(1), (mode_t)number(2)));
  else if (IS("chown")) answer(lchown(word(1), (uid_t)number(2), (gid_t)number(3)));
  else if (IS("utimens")) answer(utimensat(AT_FDCWD, word(1), NULL, AT_SYMLINK_NOFOLLOW));
  else if (IS("times")) do_times();
  else if (IS("attributes")) do_attributes(lstat(word(1), &info), &info);
  else if (IS("fattributes")) do_attributes(fstat(fd(1), &info), &info);
  else if (IS("chdir")) answer(chdir(word(1)));
  else if (IS("umask")) answer(umask((mode_t)number(1)));
  else if (IS("fchmod")) answer(fchmod(fd(1), (mode_t)number(2)));
  else if (IS("fchown")) answer(fchown(fd(1), (uid_t)number(2), (gid_t)number(3)));
  else if (IS("lock")) do_lock();
  else if (IS("linkfd")) do_link_fd();
  else if (IS("splice")) answer(splice(fd(1), NULL, fd(2), NULL, (size_t)number(3), 0));
  else if (IS("fdatasync")) answer(fdatasync(fd(1)));
  else if (IS("access")) answer(access(word(1), (int)number(2)));
  else if (IS("statfs")) answer(statfs(word(1), &filesystem));
  else if (IS("fsync")) answer(fsync(fd(1)));
  else if (IS("flock")) answer(flock(fd(1), (int)number(2)));
  else if (IS("ioctl")) answer(ioctl(fd(1), (unsigned long)number(2), bytes));
  else if (IS("setxattr")) answer(lsetxattr(word(1), word(2), words[3], strlen(words[3]), 0));
  else if (IS("getxattr")) answer_bytes(lgetxattr(word(1), word(2), bytes, 4096));
  else if (IS("listxattr")) answer_bytes(llistxattr(word(1), bytes, 4096));
  else if (IS("removexattr")) answer(lremovexattr(word(1), word(2)));
  else if (IS("copy_file_range"))
    answer(copy_file_range(fd(1), NULL, fd(2), NULL, (size_t)number(3), 0));
  else if (IS("sendfile")) answer(sendfile(fd(2), fd(1), NULL, (size_t)number(3)));
  else if (IS("bind")) do_bind();
  else if (IS("ring")) answer(open_ring((uint32_t)number(1)));
  else if (IS("ring_read")) answer(ring_read());
  else if (IS("ring_reads")) answer(ring_reads());
  else if (IS("ring_readv")) answer(ring_readv());
  else if (IS("ring_fixed")) answer(ring_fixed());
  else if (IS("ring_poll")) answer(ring_poll());
  else if (IS("ring_cancel")) answer(ring_cancel());
  else if (IS("ring_wait")) do_ring_wait();
  else printf("-unknown\n");
#undef IS
}

int main(void) {
  signal(SIGPIPE, SIG_IGN); /* EPIPE is an answer */
  for (int i = 0; i < SLOTS; i++)
    descriptor[i] = -1; /* 0 is the standard input, with the commands */
  char *line = NULL;
  size_t room = 0;
  for (ssize_t length; (length = getline(&line, &room, stdin)) > 0;) {
    line[length - 1] = 0;
    size_t data_length = 0;
    word_count = 0;
    char *rest = line;
    for (char *next; (next = strsep(&rest, " ")) != NULL && word_count < MOST_WORDS;)
      words[word_count++] = next;
    for (int i = 0; i < word_count; i++) {
      size_t unescaped = unescape(words[i]);
      if (i == 2) data_length = unescaped;
    }
    long ms = alarm_ms;
    alarm_ms = 0;
    if (ms > 0) set_alarm(ms);
    call(words[0], data_length);
    if (ms > 0) set_alarm(0);
    fflush(stdout);
  }
  return 0;
}
