/*
 * The floor: a bare loop on /dev/fuse that answers with constants where the daemon computes. No C
 * program that serves the same requests one by one can be much faster, so the daemon is compared
 * with it.
 *
 *   floor MOUNTPOINT files                 1234/1041, a file of 300 bytes
 *   floor MOUNTPOINT park --readers N      stream; parks reads until there are N, then answers all
 *
 * It negotiates the same protocol features as the daemon, so that the kernel sends the same
 * requests: no time-outs below the root, direct I/O, no FLUSH.
 */
#include "record.h"
#include <getopt.h>
#include <linux/fuse.h>
#include <stddef.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/uio.h>

#define MAX_WRITE_BYTES (128u * 1024)
#define PAGE_BYTES 4096u
/* fuse_dev_do_read(): room for the headers too */
#define REQUEST_BYTES (MAX_WRITE_BYTES + PAGE_BYTES)
#define FILE_BYTES 300
#define READERS_MOST 4096
#define LIMIT_S 600

/* The tree is a chain: node i's only child is node i + 1. FUSE_ROOT_ID is 1. */
struct node {
  const char *name;
  uint32_t mode;
};
static const struct node files_nodes[] = {
    {0}, {"", S_IFDIR | 01777}, {"1234", S_IFDIR | 0755}, {"1041", S_IFREG | 0444}};
static const struct node park_nodes[] = {{0}, {"", S_IFDIR | 01777}, {"stream", S_IFREG | 0444}};
#define NODES_MOST 4

/* Replies that are made once; only `unique` changes. */
struct entry_reply {
  struct fuse_out_header header;
  struct fuse_entry_out entry;
};
struct attr_reply {
  struct fuse_out_header header;
  struct fuse_attr_out attr;
};
struct open_reply {
  struct fuse_out_header header;
  struct fuse_open_out open;
};

static struct {
  const char *mountpoint;
  int fuse_fd, ready_fd;
  const struct node *nodes;
  uint64_t last_node;
  char *record;
  size_t record_bytes;
  bool parks;
  size_t readers; /* the number of parked reads that are answered at once */
} floor_options = {.ready_fd = -1};

static struct entry_reply entry_replies[NODES_MOST];
static struct attr_reply attr_replies[NODES_MOST];
static struct open_reply open_reply, opendir_reply;
static uint64_t parked[READERS_MOST]; /* `unique` of each parked READ */
static size_t parked_count;

struct request {
  struct fuse_in_header header;
  char body[REQUEST_BYTES - sizeof(struct fuse_in_header)];
};

/* --- replies --- */

/* Checks the result of a reply. ENOENT means: the caller was killed and its request is gone. */
static void expect_taken(ssize_t written) {
  if (written < 0 && errno != ENOENT) die("a reply was refused: %m");
}

static void send_made(struct fuse_out_header *reply, uint64_t unique) {
  reply->unique = unique;
  expect_taken(write(floor_options.fuse_fd, reply, reply->len));
}

static void send_data(uint64_t unique, const void *data, size_t bytes) {
  struct fuse_out_header header = {.len = (uint32_t)(sizeof header + bytes), .unique = unique};
  struct iovec parts[] = {{&header, sizeof header}, {(void *)data, bytes}};
  expect_taken(writev(floor_options.fuse_fd, parts, bytes ? 2 : 1));
}

static void send_error(uint64_t unique, int error) {
  struct fuse_out_header header = {.len = sizeof header, .error = -error, .unique = unique};
  expect_taken(write(floor_options.fuse_fd, &header, sizeof header));
}

static struct fuse_attr make_attr(uint64_t node) {
  uint32_t mode = floor_options.nodes[node].mode;
  return (struct fuse_attr){
      .ino = node,
      .size = S_ISREG(mode) && !floor_options.parks ? floor_options.record_bytes : 0,
      .mode = mode,
      .nlink = S_ISDIR(mode) ? 2 : 1,
      .blksize = PAGE_BYTES,
  };
}

/* The kernel may cache only the root's attributes, as in eventfs. */
static void make_replies(void) {
  for (uint64_t node = FUSE_ROOT_ID; node <= floor_options.last_node; node++) {
    entry_replies[node] = (struct entry_reply){
        .header.len = sizeof(struct entry_reply),
        .entry = {.nodeid = node, .generation = 1, .attr = make_attr(node)},
    };
    attr_replies[node] = (struct attr_reply){
        .header.len = sizeof(struct attr_reply),
        .attr = {.attr_valid = node == FUSE_ROOT_ID ? 1 : 0, .attr = make_attr(node)},
    };
  }
  open_reply =
      (struct open_reply){.header.len = sizeof open_reply, .open.open_flags = FOPEN_DIRECT_IO};
  if (floor_options.parks) open_reply.open.open_flags |= FOPEN_NONSEEKABLE | FOPEN_STREAM;
  opendir_reply = (struct open_reply){.header.len = sizeof opendir_reply};
}

/* --- requests --- */

static void answer_init(const struct request *request) {
  const struct fuse_init_in *in = (const void *)request->body;
  if (in->major != FUSE_KERNEL_VERSION) die("the kernel speaks FUSE %u.%u", in->major, in->minor);
  struct fuse_init_out out = {
      .major = FUSE_KERNEL_VERSION,
      .minor = in->minor < FUSE_KERNEL_MINOR_VERSION ? in->minor : FUSE_KERNEL_MINOR_VERSION,
      .max_readahead = in->max_readahead,
      .flags = in->flags &
               (FUSE_ATOMIC_O_TRUNC | FUSE_BIG_WRITES | FUSE_PARALLEL_DIROPS | FUSE_MAX_PAGES),
      .max_write = MAX_WRITE_BYTES,
      .max_pages = MAX_WRITE_BYTES / PAGE_BYTES,
      .time_gran = 1,
  };
  send_data(request->header.unique, &out, sizeof out);
  if (floor_options.ready_fd < 0) return;
  if (write(floor_options.ready_fd, "\n", 1) != 1) die("--ready-fd %d: %m", floor_options.ready_fd);
  close(floor_options.ready_fd);
}

static void answer_lookup(const struct request *request) {
  uint64_t child = request->header.nodeid + 1;
  if (child <= floor_options.last_node &&
      strcmp(request->body, floor_options.nodes[child].name) == 0)
    send_made(&entry_replies[child].header, request->header.unique);
  else send_error(request->header.unique, ENOENT);
}

static void answer_getattr(const struct request *request) {
  send_made(&attr_replies[request->header.nodeid].header, request->header.unique);
}

static size_t append_dirent(char *at, const char *name, uint64_t node, uint64_t next_offset) {
  struct fuse_dirent *dirent = (void *)at;
  size_t bytes = FUSE_DIRENT_ALIGN(FUSE_NAME_OFFSET + strlen(name));
  memset(at, 0, bytes);
  *dirent = (struct fuse_dirent){
      .ino = node,
      .off = next_offset,
      .namelen = (uint32_t)strlen(name),
      .type = (floor_options.nodes[node].mode & S_IFMT) >> 12,
  };
  memcpy(dirent->name, name, strlen(name));
  return bytes;
}

static void answer_readdir(const struct request *request) {
  const struct fuse_read_in *in = (const void *)request->body;
  uint64_t node = request->header.nodeid;
  _Alignas(8) char dirents[256];
  size_t bytes = 0;
  if (in->offset == 0) {
    bytes += append_dirent(dirents, ".", node, 1);
    bytes += append_dirent(dirents + bytes, "..", FUSE_ROOT_ID, 2);
    bytes += append_dirent(dirents + bytes, floor_options.nodes[node + 1].name, node + 1, 3);
  }
  send_data(request->header.unique, dirents, bytes < in->size ? bytes : in->size);
}

static void answer_file_read(const struct request *request) {
  const struct fuse_read_in *in = (const void *)request->body;
  uint64_t left =
      in->offset < floor_options.record_bytes ? floor_options.record_bytes - in->offset : 0;
  send_data(request->header.unique, floor_options.record + in->offset,
            left < in->size ? left : in->size);
}

static void answer_all_parked(void) {
  for (size_t i = 0; i < parked_count; i++)
    send_data(parked[i], floor_options.record, floor_options.record_bytes);
  parked_count = 0;
}

static void park(const struct request *request) {
  const struct fuse_read_in *in = (const void *)request->body;
  if (in->size < floor_options.record_bytes) return send_error(request->header.unique, EINVAL);
  parked[parked_count++] = request->header.unique;
  if (parked_count == floor_options.readers) answer_all_parked();
}

/* Ends a parked read whose reader was killed or has caught a signal: it waits for this reply. */
static void answer_interrupted(const struct request *request) {
  const struct fuse_interrupt_in *in = (const void *)request->body;
  for (size_t i = 0; i < parked_count; i++) {
    if (parked[i] != in->unique) continue;
    parked[i] = parked[--parked_count];
    return send_error(in->unique, EINTR);
  }
}

static void answer(const struct request *request) {
  uint64_t unique = request->header.unique;
  switch (request->header.opcode) {
    case FUSE_LOOKUP: return answer_lookup(request);
    case FUSE_GETATTR: return answer_getattr(request);
    case FUSE_OPEN: return send_made(&open_reply.header, unique);
    case FUSE_READ: return floor_options.parks ? park(request) : answer_file_read(request);
    case FUSE_OPENDIR: return send_made(&opendir_reply.header, unique);
    case FUSE_READDIR: return answer_readdir(request);
    case FUSE_RELEASE:
    case FUSE_RELEASEDIR: return send_error(unique, 0);
    case FUSE_INTERRUPT: return answer_interrupted(request);
    case FUSE_FORGET:
    case FUSE_BATCH_FORGET: return; /* the kernel expects no reply to these */
    case FUSE_INIT: return answer_init(request);
    default: return send_error(unique, ENOSYS); /* FLUSH too: the kernel does not send it again */
  }
}

static void serve(void) {
  static struct request request;
  for (;;) {
    ssize_t length = read(floor_options.fuse_fd, &request, sizeof request);
    if (length >= (ssize_t)sizeof request.header) {
      answer(&request);
    } else if (length >= 0) {
      die("/dev/fuse: a request of %zd bytes", length);
    } else if (errno == ENODEV) {
      return;                                       /* the mount has been unmounted */
    } else if (errno != EINTR && errno != ENOENT) { /* ENOENT: the caller was killed meanwhile */
      die("/dev/fuse: read: %m");
    }
  }
}

/* --- the mount --- */

static void unmount_self(void) { umount2(floor_options.mountpoint, MNT_DETACH | UMOUNT_NOFOLLOW); }

/*
 * Exits from the handler: the loop has no state to save, and so no race with a blocking read
 * exists.
 */
static void on_end(int signal_number) {
  (void)signal_number;
  unmount_self();
  _exit(0);
}

static void mount_self(void) {
  char options[128];
  floor_options.fuse_fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
  if (floor_options.fuse_fd < 0) die("/dev/fuse: %m");
  snprintf(options, sizeof options,
           "fd=%d,rootmode=41777,user_id=0,group_id=0,default_permissions,allow_other",
           floor_options.fuse_fd);
  if (mount("floor", floor_options.mountpoint, "fuse.floor", MS_NOSUID | MS_NODEV | MS_NOEXEC,
            options) != 0)
    die("mount: %s: %m", floor_options.mountpoint);
  before_death = unmount_self;
}

static void parse_options(int argc, char **argv) {
  static const struct option options[] = {
      {"readers", required_argument, NULL, 'r'},
      {"bytes", required_argument, NULL, 'b'},
      {"ready-fd", required_argument, NULL, 'f'},
      {"limit", required_argument, NULL, 'l'},
      {0},
  };
  floor_options.record_bytes = FILE_BYTES;
  unsigned limit_s = LIMIT_S;
  for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) switch (option) {
      case 'r':
        floor_options.readers = (size_t)parse_number(optarg, "--readers", 1, READERS_MOST);
        break;
      case 'b': floor_options.record_bytes = (size_t)parse_record_bytes(optarg); break;
      case 'f':
        floor_options.ready_fd = (int)parse_number(optarg, "--ready-fd", 0, INT32_MAX);
        break;
      case 'l': limit_s = (unsigned)parse_number(optarg, "--limit", 1, 86400); break;
      default: _exit(1); /* getopt has printed the error */
    }
  if (argc - optind != 2)
    die("usage: floor MOUNTPOINT files|park [--readers N] [--bytes N] [--ready-fd N] [--limit "
        "SECONDS]");
  floor_options.mountpoint = argv[optind];
  const char *mode = argv[optind + 1];
  floor_options.parks = strcmp(mode, "park") == 0;
  if (!floor_options.parks && strcmp(mode, "files") != 0)
    die("'%s' is neither files nor park", mode);
  if (floor_options.parks && floor_options.readers == 0) die("park: --readers is missing");
  floor_options.nodes = floor_options.parks ? park_nodes : files_nodes;
  floor_options.last_node =
      (floor_options.parks ? sizeof park_nodes : sizeof files_nodes) / sizeof(struct node) - 1;
  limit_time(limit_s);
}

int main(int argc, char **argv) {
  parse_options(argc, argv);
  floor_options.record = record_new(floor_options.record_bytes);
  make_replies();
  signal(SIGTERM, on_end);
  signal(SIGINT, on_end);
  prctl(PR_SET_PDEATHSIG, SIGTERM); /* a runner that crashes leaves no mount behind */
  mount_self();
  serve();
  return 0;
}
