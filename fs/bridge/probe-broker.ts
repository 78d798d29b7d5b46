/** Tries a broker for `eventfs bridge --check`: the connection, the rights, and too many rights. */
import { type Abilities, Echo } from './echo.js';
import type { Broker } from './mqtt/broker.js';
import { Connection } from './mqtt/connection.js';
import { CLOSED_AT_ONCE } from './mqtt/failures.js';
import type { ArrivedMessage, Codec, Will } from './mqtt/messages.js';
import { UNSUPPORTED_VERSION, reasonText } from './mqtt/reasons.js';
import { randomId } from './options.js';
import { answerTopic, askTopic, stateTopic } from './protocol/names.js';
import { callText } from './protocol/state.js';

/** How long a message of this host may take to come back to it, in ms. */
const BACK_MS = 5000;

/** The results of a trial. A text is the reason why a step failed; null if it worked. */
export interface Probed {
  readonly connection: string | null;
  /** Whether this host may write its own topics and read those of others. */
  readonly own: string | null;
  /** The abilities of the broker; null if this host's messages do not come back to it. */
  readonly abilities: Abilities | null;
  /** Whether the broker publishes this host's will. */
  readonly hasWills: boolean;
  /** Whether the broker keeps this host from writing the topics of another one. */
  readonly isConfined: boolean;
}

const NOTHING = { own: null, abilities: null, hasWills: false, isConfined: false };

/** Tries a broker. The broker retains none of the messages in the end. */
export async function probeBroker(codec: Codec, broker: Broker, host: string): Promise<Probed> {
  const nonce = randomId(8);
  const connection = await tryBroker(codec, broker, checkId());
  if (connection === CLOSED_AT_ONCE && (await speaksEarlier(broker)))
    return { ...NOTHING, connection: reasonText(UNSUPPORTED_VERSION) };
  if (connection !== null) return { ...NOTHING, connection };
  const own = await attempt(codec, broker, (open, done) =>
    open.subscribe([stateTopic('+'), askTopic('+', host)], () =>
      // A machine that is none: a living host of this name says its state again.
      open.publish({ topic: answerTopic(host, host), payload: callText(nonce) }, done),
    ),
  );
  if (own !== null) return { ...NOTHING, connection, own };
  const { abilities, hasWills } = await probeAbilities(codec, broker, host);
  const other = await attempt(codec, broker, (open, done) =>
    open.publish({ topic: answerTopic(`other-${nonce}`, host), payload: '' }, done),
  );
  return { connection, own, abilities, hasWills, isConfined: other !== null };
}

/** CONNECT of MQTT 3.1.1, its section 3.1: a clean session of the client `x`. */
const EARLIER_CONNECT = Buffer.from('100d00044d5154540402000500' + '0178', 'hex');
const CONNACK = 0x20;

/** Tells whether a broker answers MQTT 3.1.1. RabbitMQ 3 closes connections of MQTT 5 silently. */
function speaksEarlier(broker: Broker): Promise<boolean> {
  return new Promise((done) => {
    const socket = broker.open((bytes) => end(bytes[0] === CONNACK));
    const end = (answers: boolean): void => {
      socket.destroy();
      done(answers);
    };
    socket
      .once(broker.isTls ? 'secureConnect' : 'connect', () => socket.write(EARLIER_CONNECT))
      .on('error', () => end(false))
      .once('close', () => end(false))
      .setTimeout(BACK_MS, () => end(false));
  });
}

/** Tries what the broker does with messages and wills. */
async function probeAbilities(
  codec: Codec,
  broker: Broker,
  host: string,
): Promise<Pick<Probed, 'abilities' | 'hasWills'>> {
  let abilities: Abilities | null = null;
  let hasWills = false;
  const will = { topic: answerTopic(host, host), payload: `${randomId(8)}-will` };
  const dies = (): Promise<unknown> => attempt(codec, broker, (_, done) => done(), { will });
  let timer: NodeJS.Timeout | undefined;
  await attempt(codec, broker, (open, done) => {
    const end = (): void =>
      open.publish({ topic: will.topic, payload: '', retain: true }, done, done);
    const wait = (): void => {
      clearTimeout(timer);
      timer = setTimeout(end, BACK_MS);
    };
    const echo = new Echo(host, (found) => {
      abilities = found;
      wait();
      void dies();
    });
    open.subscribe([answerTopic('+', host)], () => {
      wait();
      echo.start(open);
    });
    return (message) => {
      echo.take(message);
      if (message.payload.toString() !== will.payload || hasWills) return;
      hasWills = true;
      clearTimeout(timer);
      end();
    };
  });
  clearTimeout(timer);
  return { abilities, hasWills };
}

/** Connects. @returns the reason of a failure; null if it worked */
export function tryBroker(codec: Codec, broker: Broker, clientId: string): Promise<string | null> {
  return attempt(codec, broker, (_, done) => done(), { clientId });
}

function checkId(): string {
  return `eventfs-check-${randomId(8)}`;
}

/** The options of an attempt. */
interface AttemptOptions {
  readonly clientId?: string;
  /** The broker publishes it in the end. */
  readonly will?: Will;
}

/** Takes the messages that come meanwhile. */
type Take = (message: ArrivedMessage) => void;

/**
 * Connects, and does one step.
 *
 * @param work returns a function for the messages that come, if it wants them
 * @returns the reason of a failure; null if it worked
 */
function attempt(
  codec: Codec,
  broker: Broker,
  work: (connection: Connection, done: () => void) => Take | void,
  { clientId = checkId(), will }: AttemptOptions = {},
): Promise<string | null> {
  return new Promise((end) => {
    const ignore = (): void => undefined;
    let take: Take | void;
    const done = (connection: Connection): void => {
      end(null);
      connection.disconnect('done', will !== undefined);
    };
    try {
      const connection: Connection = new Connection(
        codec,
        broker,
        { clientId, keepAlive: 5, ...(will !== undefined && { will }) },
        {
          opened: () => void (take = work(connection, () => done(connection))),
          closed: (reason) => end(reason),
          message: (message) => take?.(message),
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
