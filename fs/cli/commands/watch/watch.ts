/** `eventfs watch`: prints events as they come. */
import { closeSync, constants, fstatSync, openSync } from 'node:fs';
import picocolors from 'picocolors';
import { ReadableWatch } from '#native';
import { eventJson } from '../terminal/event-json.js';
import { EventStream } from '../../client/event-stream.js';
import { type EventText, parseFilter, tellsOfLoss } from '../../client/event-text.js';
import { requireMount } from '../../client/mounted.js';
import { STDOUT, print, printable } from '../terminal/output.js';
import type { SeqNum } from '../../uevent/text.js';

/**
 * The output is colored on a terminal, or if FORCE_COLOR is set. picocolors alone would color it
 * wherever CI is set.
 */
const { env, stdout } = process;
const isTerminal = stdout.isTTY === true && env.TERM !== 'dumb';
const colors = picocolors.createColors(!env.NO_COLOR && (Boolean(env.FORCE_COLOR) || isTerminal));

/** The options of `eventfs watch`. */
export interface WatchOptions {
  readonly json?: boolean;
  readonly properties?: boolean;
  /** A SEQNUM: kept events after it come first. */
  readonly since?: SeqNum;
  readonly mount: string;
}

/**
 * Prints matching events until the daemon ends or the output has no reader.
 *
 * @param filterText the events to print, as a filter
 * @throws UserError if the filter is invalid, or eventfs is not mounted there
 */
export async function watch(filterText: string, options: WatchOptions): Promise<void> {
  const filter = parseFilter(filterText);
  const stream = new EventStream(
    await requireMount(options.mount),
    filter,
    '.watch',
    options.since,
  );
  const output = openOutput();
  let watching: ReadableWatch | null = null;
  try {
    const unread = new Promise<void>((end) => {
      if (output !== null) watching = new ReadableWatch(output, end);
    });
    await Promise.race([
      unread,
      stream.forEach((events) =>
        print(Buffer.from(events.map((event) => format(event, options)).join(''), 'latin1')),
      ),
    ]);
  } finally {
    stream.close();
    (watching as ReadableWatch | null)?.close();
    if (output !== null) closeSync(output);
  }
}

/**
 * Opens a descriptor that becomes ready when the output has no reader any more, as after
 * `| head -1`. Without it the process would notice that only at the next event. The pipe is opened
 * anew, because ReadableWatch makes its descriptor non-blocking.
 *
 * @returns null if the output is not a pipe
 */
function openOutput(): number | null {
  if (!fstatSync(STDOUT).isFIFO()) return null;
  try {
    return openSync(`/proc/self/fd/${STDOUT}`, constants.O_WRONLY | constants.O_NONBLOCK);
  } catch {
    return null; // EACCES, or no reader is left: then the write of the next event detects it
  }
}

function format(event: EventText, options: WatchOptions): string {
  if (options.json === true) return `${eventJson(event)}\n`;
  const action = printable(event.action).padEnd(8);
  const seqnum = printable(event.property('SEQNUM') ?? '-').padStart(6);
  const subsystem = printable(event.property('SUBSYSTEM') ?? '-').padEnd(10);
  const paint = COLORS[event.action] ?? colors.cyan;
  const line = `${seqnum} ${paint(action)} ${colors.bold(subsystem)} ${printable(event.devpath)}\n`;
  if (options.properties !== true && !tellsOfLoss(event)) return line;
  return (
    line +
    event.properties
      .map(([key, value]) => `       ${colors.dim(`${printable(key)}=`)}${printable(value)}\n`)
      .join('')
  );
}

const COLORS: Readonly<Record<string, (text: string) => string>> = {
  add: colors.green,
  remove: colors.red,
  change: colors.yellow,
  overflow: colors.magenta,
};
