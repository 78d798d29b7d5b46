/* poll(2), select(2) and epoll(7), for stream-calls.c, which includes this file. */
#ifndef POLL_CALLS_H
#define POLL_CALLS_H

/* poll <ms> <events> <slot>...: answers the revents of each */
static void do_poll(void) {
  struct pollfd polled[MOST_WORDS];
  int count = word_count - 3;
  for (int i = 0; i < count; i++)
    polled[i] = (struct pollfd){.fd = fd(3 + i), .events = (short)number(2)};
  int ready = poll(polled, (nfds_t)count, (int)number(1));
  if (ready < 0) {
    answer(-1);
    return;
  }
  printf("%d", ready);
  for (int i = 0; i < count; i++) printf(" %d", polled[i].revents);
  putchar('\n');
}

/* select <ms> <slot>...: answers for each whether it is readable */
static void do_select(void) {
  fd_set readable;
  FD_ZERO(&readable);
  int highest = 0;
  for (int i = 2; i < word_count; i++) {
    FD_SET(fd(i), &readable);
    if (fd(i) > highest) highest = fd(i);
  }
  struct timeval limit = {number(1) / 1000, number(1) % 1000 * 1000};
  int ready = select(highest + 1, &readable, NULL, NULL, &limit);
  if (ready < 0) {
    answer(-1);
    return;
  }
  printf("%d", ready);
  for (int i = 2; i < word_count; i++) printf(" %d", FD_ISSET(fd(i), &readable) ? 1 : 0);
  putchar('\n');
}

/* epoll_add <epoll slot> <slot> <events>: the event carries the slot's number */
static void do_epoll_add(void) {
  struct epoll_event event = {.events = (uint32_t)number(3), .data.u32 = (uint32_t)number(2)};
  answer(epoll_ctl(fd(1), EPOLL_CTL_ADD, fd(2), &event));
}

/* epoll_wait <epoll slot> <ms>: answers the number of events, and slot:events of each */
static void do_epoll_wait(void) {
  struct epoll_event events[MOST_WORDS];
  int ready = epoll_wait(fd(1), events, MOST_WORDS, (int)number(2));
  if (ready < 0) {
    answer(-1);
    return;
  }
  printf("%d", ready);
  for (int i = 0; i < ready; i++) printf(" %u:%u", events[i].data.u32, events[i].events);
  putchar('\n');
}

#endif
