/*
 * eventfs-guard: the guardian. It is the parent of the daemon under `eventfs mount --guard`, holds
 * the descriptors of the mount, and starts the daemon again. docs/decisions/103-guardian.md.
 *
 * All memory is static: a machine without memory must not end the guardian.
 *
 *   main.c             the command line and the loop
 *   kept.c             the descriptors that it holds
 *   message.c          messages to and from a daemon
 *   start.c            starts and ends daemons
 *   handover.c         which daemon serves, and the descriptors for the next one
 *   daemon_messages.c  what the messages of a daemon change
 *   death.c            the death of a daemon
 *   reload.c           a new daemon in place of one that lives
 *   standby.c          a daemon that is warm before it is needed
 *   control.c          one guardian for a mount, `eventfs reload` and `eventfs umount`
 *   end.c              RESEND, and the end of the mount
 *   left.c             a reply that a daemon has left
 *   mounts.c           the places of the mount
 *   supervisor.c       sd_notify(3) for the daemon, and syslog(3)
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* fs/guard/hello.ts has the same number. Another number is refused. */
enum { PROTOCOL = 1 };
/* The longest message, with its NUL. */
enum { MESSAGE_BYTES = 512 };
/* The most descriptors that a guardian holds, and the longest name of one, with its NUL. */
enum { MOST_KEPT = 16384, NAME_BYTES = 64 };
/* The most deaths of --limit. */
enum { MOST_DEATHS = 1000 };
/*
 * How long a standby waits for its start after the last one has begun to serve. After each failed
 * start it waits twice as long, 2^MOST_DOUBLED times at most.
 */
enum { STANDBY_DELAY_MS = 1000, MOST_DOUBLED = 6 };
/*
 * How long to wait if no process can be started. So long too if UNPAUSED_STARTS in a row or more
 * have failed, and the last one has not said HELLO: an update may replace its files right now, or
 * the machine may lack memory.
 */
enum { RETRY_MS = 1000, UNPAUSED_STARTS = 2 };
/* How long a client of the socket may take to ask. */
enum { ASK_MS = 2000 };
/* How long a daemon may take to end once its connection has ended. A stopped one never does. */
enum { OVER_MS = 1000 };

enum { EXIT_USAGE = 100, EXIT_SYSTEM_CALL = 111, EXIT_NOT_RUN = 126 };

/* The phases of a daemon's life, in their order. */
enum phase {
  GONE,
  STARTING, /* HELLO is sent */
  WARM,     /* it waits for TAKE */
  TAKING,   /* it gets the descriptors, and restores the tree */
  SERVING,
  YIELDING, /* it shall stop serving */
  YIELDED,
  LEAVING, /* another daemon serves; this one ends */
};

struct daemon {
  pid_t pid;
  int socket;
  enum phase phase;
  uint64_t deadline_ms; /* 0: none */
  uint64_t ping_ms;     /* the time limit of the next ping of the watchdog; 0: none */
  int handed;           /* the next message of the hand-over; -1: none */
  bool serves_at_once;  /* SERVE precedes TAKE: no older daemon could serve again */
  bool has_descriptors; /* it has been handed some of the last daemon */
  bool has_greeted;     /* it has sent HELLO */
};

/* The initial value of a `struct daemon`: there is no process. */
#define NO_DAEMON \
  { .socket = -1, .handed = -1 }

/* The command line. */
struct options {
  const char *mount, *socket, *lock;
  int ready_fd; /* -1: none */
  int deaths;
  uint64_t within_ms;
  uint64_t start_ms, take_ms, yield_ms, stop_ms; /* time limits */
  bool standby, json, syslog;
  char **command;
};
extern struct options options;

/* main.c */
uint64_t now_ms(void);
/* Writes a message for the administrator to standard error. */
__attribute__((format(printf, 2, 3))) void say(const char *level, const char *format, ...);
/* Ends the daemon and the mount, as SIGTERM does. */
void stop(void);

/* kept.c */
struct kept {
  int fd;
  char name[NAME_BYTES];
};
extern struct kept kept[MOST_KEPT];
extern int kept_count;
/* Takes the descriptor over. Returns false and closes it if there is no room. */
bool keep(const char *name, int fd);
void drop(const char *name);
/* Returns -1 if there is none. */
int find_kept(const char *name);
void drop_all(void);

/* message.c */
/* Sends one message, with a descriptor unless `fd` is -1. Returns false if there is no room now. */
bool send_message(int socket, const char *text, int fd);
__attribute__((format(printf, 2, 3))) bool send_format(int socket, const char *format, ...);
/*
 * Receives one message. Returns its length; 0 at the end, -1 if none waits. `*fd` is -1 without a
 * descriptor.
 */
int receive_message(int socket, char text[MESSAGE_BYTES], int *fd);
/* Returns the text behind `word` and a blank; NULL if the message is another one. */
const char *argument_of(const char *text, const char *word);

/* start.c */
void copy_environment(char **environment);
/* Returns false if it fails, after a message. */
bool start_daemon(struct daemon *daemon, const char *role, enum phase phase);
void close_socket(struct daemon *daemon);
void kill_daemon(struct daemon *daemon);

/* handover.c */
extern struct daemon active, next, leaving;
extern bool is_ready; /* a daemon has served */
extern bool is_stopping;
extern int restarts, reloads;
/* Begins to hand the descriptors to a daemon. */
void hand(struct daemon *daemon, bool serves_at_once);
/* Sends more messages of the hand-over. */
void hand_more(struct daemon *daemon);
/* Returns the number of the message SERVE (`handed`) for a daemon that has had TAKE. */
int serve_after_take(void);
/* Has a daemon serve. It logs how the last one ended. Returns false if there is no room now. */
bool send_serve(struct daemon *daemon);
/* Pings in place of a daemon whose next ping is a while away. */
void ping_for(struct daemon *daemon);
void on_deadline(struct daemon *daemon);
/* Ends a daemon that has sent no ping in time, unless it has yielded. */
void on_silence(struct daemon *daemon);

/* daemon_messages.c */
void on_message(struct daemon *daemon, const char *text, int fd);

/* death.c */
void start_first(void);
void on_death(pid_t pid, int status);
/* Tries again to start a daemon if it is time. Returns the time of the next call; 0: no need. */
uint64_t keep_active(void);
/* Forgets the daemons that did not begin to serve. Called once a daemon serves. */
void clear_failed_starts(void);
/* Returns how the last daemon ended; "" before the first death. */
const char *last_ending(void);
/* Keeps why a daemon could not take over, for the guardian's last message. */
void note_refusal(const char *why);

/* reload.c */
/* Begins a reload. Returns NULL, or why it can't. */
const char *begin_reload(void);
bool reload_is_under_way(void);
/* Tells the active daemon to stop serving, between two requests. */
void yield_active(void);
/* Returns whether an answer is that to the last YIELD. Older daemons do not repeat its number. */
bool is_present_yield(const char *number);
/* Lets the next daemon serve from now on: it has restored the tree. */
void replace_active(void);
/* Tells the client of a reload, if there is one, that the new daemon is the active one. */
void finish_reload(void);
/* Lets the old daemon serve again. */
void fail_reload(const char *why);
/* Kills the next daemon. Its death is of no further interest. */
void discard_next(void);
/* Discards the next daemon. The old one serves again. */
void fail_next(const char *why);

/* standby.c */
/* Starts the next daemon. It maps the state, and tries to restore it, while there is time. */
bool start_next(void);
/* Makes `keep_standby` start a standby a while later. */
void schedule_standby(void);
/* Schedules the next standby after one that has not become warm. */
void delay_standby(void);
/* Forgets the standbys that failed. Called once a standby is warm. */
void clear_failed_standbys(void);
/* Tells the active daemon whether a standby is warm. */
void tell_standby(bool is_warm);
/* Starts the standby if it is time. Returns the time of the next call; 0: no need. */
uint64_t keep_standby(void);
/* Starts the standby anew, because the configuration has changed. */
void renew_standby(void);

/* control.c */
/* Ends the process, after a message, if another guardian serves the mount. */
void open_control(void);
int control_socket(void);
int client_socket(void);
void accept_client(void);
/* When a silent client is closed, since others wait behind it; 0: none is silent. */
uint64_t client_limit(void);
void check_client(void);
void serve_client(void);
__attribute__((format(printf, 1, 2))) void answer_client(const char *format, ...);
void close_control(void);

/* end.c */
/* Makes the kernel send all requests again that no daemon has answered: FUSE_NOTIFY_RESEND. */
void resend_requests(void);
/* Returns whether the connection has ended: the mount is gone, or a process has aborted it. */
bool connection_is_over(void);
/* Ends the connection and its mount, and the process with `code`. */
__attribute__((noreturn)) void end(int code);
/* Ends because the daemon can't serve. */
__attribute__((noreturn, format(printf, 1, 2))) void give_up(const char *format, ...);
/* Ends without a look at the mount, which the daemon has unmounted. */
__attribute__((noreturn)) void leave(int code);

/* mounts.c */
/* Notes the device of the mount: the first daemon has just mounted. */
void note_mount(void);
/* Calls `detach` for the mount's places until it has detached one. Returns false if none was. */
bool detach_one(bool (*detach)(const char *path));

/* left.c */
/*
 * Sends the reply that opens a file if the daemon has committed it to the state, and maybe not sent
 * it. After RESEND its caller can be killed, and then the file would stay open for ever.
 */
void send_left_reply(int device);

/* supervisor.c */
/* Sends a line to /dev/log, or drops it: nothing waits for a syslog daemon. */
void write_syslog(const char *level, const char *line);
void find_supervisor(void);
void notify_supervisor(const char *state);
/* Returns the time limit for pings of the daemon; 0: none. */
uint64_t watchdog_ms(void);
