/* A subscriber: a process that takes events in one of the ways that are compared, and writes down when they came. */
#ifndef COMPARE_SUBSCRIBER_H
#define COMPARE_SUBSCRIBER_H

#include "order.h"
#include "histogram.h"
#include "leavings.h"
#include "stamp.h"

/* What the herd and the subscriber share. */
struct shared {
  volatile pid_t pid;
  volatile uint32_t next_number[PUBLISHERS_MOST];
  struct histogram latencies;
};

struct subscriber {
  struct order order; /* first: see note_arrival */
  struct shared *shared;
  const volatile bool *in_a_hurry; /* the herd's: nobody measures, what waits is to be taken as fast as it goes */
  uint64_t arrived_ns; /* when the system call returned that handed over what is being checked */
  /* Adds to the order what it has lost. By default streams and messages tell by themselves. */
  void (*learn_losses)(struct subscriber *subscriber, uint64_t missing);
  const char *place, *fifodir; /* the command line's */
  char directory[PATH_MAX]; /* its own, where the way has one */
};

/* How a way takes events. It says that it is ready, and never returns. */
typedef void way(struct subscriber *subscriber);

way follow_own_stream, follow_stream, pop_head, watch_directory, take_links;  /* directories.c, ways.c */
way receive_messages, receive_descriptors, receive_netlink;                   /* messages.c */

/* Nobody tells it what is lost: what is missing is. */
void count_missing(struct subscriber *subscriber, uint64_t missing);
/* read(2), and again where a SIGSTOP or SIGCONT has ended it: FUSE and inotify can't go on by themselves. */
ssize_t read_again(int fd, void *buffer, size_t bytes);
void say_ready(struct subscriber *subscriber);
/* One event by itself, or a record of losses. */
void take_event(struct subscriber *subscriber, const char *text, size_t bytes);
/* read(2) of whole records from a stream, for ever. */
__attribute__((noreturn)) void follow(struct subscriber *subscriber, int fd);
void make_directory(struct subscriber *subscriber);

#endif
