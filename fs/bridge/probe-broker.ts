/** Tries a broker for `eventfs bridge --check`: the connection, the rights, and too many rights. */
import type { Broker } from './mqtt/broker.js';
import { Connection } from './mqtt/connection.js';
import type { Codec } from './mqtt/messages.js';
import { randomId } from './options.js';
import { answerTopic, askTopic, stateTopic } from './protocol/names.js';
import { callText } from './protocol/state.js';

/** The result. A text is the reason why a step failed; null if it worked. */
interface Probed {
  readonly connection: string | null;
  /** Whether this host may write its own topics and read those of others. */
  readonly own: string | null;
  /** Whether the broker keeps this host from writing the topics of another one. */
  readonly isConfined: boolean;
}

/** Tries a broker. The broker retains none of the messages. */
export async function probeBroker(codec: Codec, broker: Broker, host: string): Promise<Probed> {
  const nonce = randomId(8);
  const connection = await tryBroker(codec, broker, checkId());
  if (connection !== null) return { connection, own: null, isConfined: false };
  const own = await attempt(codec, broker, (open, done) =>
    open.subscribe([stateTopic('+'), askTopic('+', host)], () =>
      // A machine that is none: a living host of this name says its state again.
      open.publish({ topic: answerTopic(host, host), payload: callText(nonce) }, done),
    ),
  );
  const other = await attempt(codec, broker, (open, done) =>
    open.publish({ topic: answerTopic(`other-${nonce}`, host), payload: '' }, done),
  );
  return { connection, own, isConfined: other !== null };
}

/** Connects. @returns the reason of a failure; null if it worked */
export function tryBroker(codec: Codec, broker: Broker, clientId: string): Promise<string | null> {
  return attempt(codec, broker, (_, done) => done(), clientId);
}

function checkId(): string {
  return `eventfs-check-${randomId(8)}`;
}

/** Connects, and does one step. @returns the reason of a failure; null if it worked */
function attempt(
  codec: Codec,
  broker: Broker,
  work: (connection: Connection, done: () => void) => void,
  clientId = checkId(),
): Promise<string | null> {
  return new Promise((end) => {
    const ignore = (): void => undefined;
    try {
      const connection: Connection = new Connection(
        codec,
        broker,
        { clientId, keepAlive: 5 },
        {
          opened: () =>
            work(connection, () => {
              end(null);
              connection.disconnect('done');
            }),
          closed: (reason) => end(reason),
          message: ignore,
          settled: ignore,
          drained: ignore,
          beat: ignore,
        },
      );
    } catch (error) {
      end(error instanceof Error ? error.message : String(error));
    }
  });
}
