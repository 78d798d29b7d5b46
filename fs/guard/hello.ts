/** The first message of a guardian: its protocol, and what it wants of this daemon. */
import { receiveMessage, sendMessage } from '#native';
import { UserError, isSystemError } from '../shared/errors.js';

/** The protocol's number: PROTOCOL in native/guard/guard.h. */
export const PROTOCOL = 1;
/** The variable in which the guardian names the daemon's end of the socket. */
export const GUARD_VARIABLE = 'EVENTFS_GUARD';

/**
 * Reads the guardian's HELLO.
 *
 * @param socket the descriptor that {@link GUARD_VARIABLE} names
 * @returns the daemon's role: `first`, `restart` or `next`
 * @throws UserError if there is no guardian, or one with another protocol
 */
export function readHello(socket: number): string {
  let hello: string | null = null;
  try {
    hello = receiveMessage(socket, new Int32Array(1));
  } catch (error) {
    if (!isSystemError(error)) throw error;
  }
  const [word, protocol, role] = (hello ?? '').split(' ');
  if (word !== 'HELLO')
    throw new UserError(`${GUARD_VARIABLE}=${socket}: there is no guardian (unset this variable)`);
  if (protocol === String(PROTOCOL)) return role;
  const why =
    `the guardian has protocol ${protocol}, this daemon ${PROTOCOL} ` +
    '(start the guardian again: eventfs umount, eventfs mount --guard)';
  sendMessage(socket, `NACK ${why}`, -1);
  throw new UserError(why);
}
