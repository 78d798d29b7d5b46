/** The last messages of a bridge that stops. */
import { inTime } from '../shared/in-time.js';
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
  if (isOnline()) await inTime(new Promise<void>((done) => outgoing.settle(done)), GOODBYE_MS);
  if (isOnline())
    await inTime(
      new Promise<void>((done) =>
        outgoing.sayGoodbye(link.connection!, () => {
          isTold = true;
          done();
        }),
      ),
      GOODBYE_MS,
    );
  // The broker may still know this host as online, from an earlier connection.
  link.close(!isTold);
}
