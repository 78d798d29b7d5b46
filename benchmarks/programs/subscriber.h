/* A subscriber: a process that takes events in one mode, and records when they came. */
#ifndef COMPARE_SUBSCRIBER_H
#define COMPARE_SUBSCRIBER_H

#include "histogram.h"
#include "leftovers.h"
#include "order.h"
#include "stamp.h"

/* The memory that a subscriber shares with the process that commands all subscribers. */
struct shared {
  volatile pid_t pid;
  volatile uint32_t next_number[PUBLISHERS_MOST];
  struct histogram latencies;
};

struct subscriber {
  struct order order; /* The first field: note_arrival casts its pointer. */
  struct shared *shared;
  /* Shared: waiting events are taken in the fastest way, and are not measured. */
  const volatile bool *drains;
  uint64_t arrived_ns; /* When the read of the event under check returned. */
  /* Adds the lost events to `order`; NULL in modes whose records state losses. */
  void (*learn_losses)(struct subscriber *subscriber, uint64_t missing);
  const char *place, *fifodir; /* From the command line. */
  char directory[PATH_MAX];    /* Its own directory, in modes that have one. */
};

/* A mode: it calls say_ready, then takes events and never returns. */
typedef void mode(struct subscriber *subscriber);

mode follow_own_stream, follow_stream;                       /* subscriber.c */
mode pop_head, watch_directory, take_links;                  /* directories.c */
mode receive_messages, receive_descriptors, receive_netlink; /* messages.c */

/* Counts the missing events as lost, in modes that learn no number. */
void count_missing(struct subscriber *subscriber, uint64_t missing);
/* read(2) that goes on after EINTR: SIGCONT interrupts reads of FUSE and inotify. */
ssize_t read_again(int fd, void *buffer, size_t bytes);
void say_ready(struct subscriber *subscriber);
/* Checks and counts one event or overflow record. */
void take_event(struct subscriber *subscriber, const char *text, size_t bytes);
/* Reads records of a stream, for ever. */
__attribute__((noreturn)) void follow(struct subscriber *subscriber, int fd);
void make_directory(struct subscriber *subscriber);

#endif
