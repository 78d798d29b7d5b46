/** The last messages of a bridge that stops. */
import type { Link } from './mqtt/link.js';
import type { Outgoing } from './outgoing.js';

/** How long the broker may take for the last events, and for the last state, in ms. */
const GOODBYE_MS = 2000;

/**
 * Sends the last events, says that this host is gone, and ends the connection.
 *
 * @param isOnline tells whether this host uses its name now
 */
export async function sayFarewell(
  link: Link,
  outgoing: Outgoing,
  isOnline: () => boolean,
): Promise<void> {
  let isTold = false;
  if (isOnline()) await inTime((done) => outgoing.settle(done));
  if (isOnline())
    await inTime((done) =>
      outgoing.sayGoodbye(link.connection!, () => {
        isTold = true;
        done();
      }),
    );
  // The broker may still know this host as online, from an earlier connection.
  link.close(!isTold);
}

/** Waits for work, but not for long. @param work calls `done` at its end */
async function inTime(work: (done: () => void) => void): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  await Promise.race([
    new Promise<void>(work),
    new Promise<void>((done) => (timer = setTimeout(done, GOODBYE_MS))),
  ]);
  clearTimeout(timer);
}
