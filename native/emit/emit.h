/*
 * eventfs-emit publishes one event, or those on standard input, like `eventfs emit`, but without
 * the start of Node. It needs only the C library. To build it alone, in this folder:
 *
 *   cc -O2 -static -o eventfs-emit main.c environment.c publish.c
 *
 *   main.c              options and messages
 *   environment.c       properties, from arguments and the environment
 *   publish.c           the write to `publish`, in a child process
 *   device_variables.h  which variables of the environment describe a device (generated)
 *   write_size.h        the size of a write(2) (generated)
 */
#ifndef EMIT_H
#define EMIT_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <stddef.h>

/* EXIT_USAGE and EXIT_SYSTEM_CALL are s6's. */
enum { EXIT_FAILED = 1, EXIT_USAGE = 100, EXIT_NOT_SERVED = 102, EXIT_SYSTEM_CALL = 111 };

/* The mount's path. */
extern const char *mount_path;

/* Prints a message and ends the process at once. */
__attribute__((noreturn, format(printf, 2, 3))) void die(int code, const char *format, ...);
/* realloc(3); ends the process if it fails. */
void *larger(void *old, size_t size);

/* Sets a property. Its place is that of the key's first `set`. The texts must stay in memory. */
void set(const char *key, size_t key_length, const char *value);
/* Sets a property for each device variable of the environment. */
void set_from_environment(void);
/*
 * Returns the event of all properties, in the kernel's own form: its NULs let values contain line
 * ends. Ends the process if ACTION or DEVPATH is missing.
 */
char *build_event(size_t *length);

/*
 * Writes `length` bytes, one event or several, to `publish`. `event` must come from malloc(3). Ends
 * the process if anything fails. Several events may go in several writes, as the daemon takes them.
 */
void publish(char *event, size_t length);

#endif
