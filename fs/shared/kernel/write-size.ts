/**
 * The largest write(2) in bytes that the kernel hands to the daemon in one piece: INIT negotiates
 * it, and `emit` refuses more. native/emit/write_size.h has it for the C program.
 *
 * It is more than the largest event, and not much more, because the daemon reads the writes of a
 * user's many processes before it serves other users (docs/decisions/140-turns-of-users.md).
 */
export const MAX_WRITE_BYTES = 68 * 1024;
