/** `eventfs watch`: print events as they come. */
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import picocolors from 'picocolors';
import { ReadableWatch } from '#native';
import { Filter, FilterError } from '../events/filter.js';
import { Refusal, isSystemError } from '../errno.js';
import { requireMount } from './mounted.js';
import { STDOUT, print, printable } from './output.js';

/** On a terminal, or where it is asked for; not, as picocolors would have it, wherever CI is set. */
const { env, stdout } = process;
const isTerminal = stdout.isTTY === true && env.TERM !== 'dumb';
const colors = picocolors.createColors(!env.NO_COLOR && (Boolean(env.FORCE_COLOR) || isTerminal));

const READ_BYTES = 1024 * 1024;
const LF = 0x0a;
/** A file name's most bytes: a longer filter is applied here instead. */
const NAME_MAX = 255;

export interface WatchOptions {
  readonly json?: boolean;
  readonly properties?: boolean;
  readonly mount: string;
}

export async function watch(filterText: string, options: WatchOptions): Promise<void> {
  const filter = parseFilter(Buffer.from(filterText, 'utf8').toString('latin1'));
  const path = await requireMount(options.mount);
  const { stream, rest } = streamFor(filter);
  const fd = openSync(Buffer.concat([Buffer.from(`${path}/`), Buffer.from(stream, 'latin1')]), constants.O_RDONLY | constants.O_NONBLOCK);
  const output = openOutput();
  const watches: ReadableWatch[] = [];
  try {
    await new Promise<void>((end, failed) => {
      const buffer = Buffer.alloc(READ_BYTES);
      const readOn = (): void => {
        try {
          const length = readSome(fd, buffer);
          if (length === 0 || (length > 0 && !show(buffer.subarray(0, length), rest, options))) end();
        } catch (error) {
          if (!(error instanceof Error)) throw error;
          failed(error);
        }
      };
      watches.push(new ReadableWatch(fd, readOn));
      if (output !== null) watches.push(new ReadableWatch(output, end));
    });
  } finally {
    for (const watching of watches) watching.close();
    for (const opened of output === null ? [fd] : [fd, output]) closeSync(opened);
  }
}

/**
 * A descriptor that becomes ready when nobody reads our output any more, as behind `| head -1`: else we would end with
 * the next event only. Null where the output is no pipe. Opened anew, for what is watched is made non-blocking.
 */
function openOutput(): number | null {
  if (!fstatSync(STDOUT).isFIFO()) return null;
  try {
    return openSync(`/proc/self/fd/${STDOUT}`, constants.O_WRONLY | constants.O_NONBLOCK);
  } catch {
    return null; // it is another user's, or without readers already: then the next event tells
  }
}

/** The stream that the filesystem filters for us, or, where the filter is no file name, all events and a filter of our own. */
function streamFor(filter: Filter): { stream: string; rest: Filter | null } {
  if (filter.all) return { stream: 'stream', rest: null };
  const { text } = filter;
  if (text.includes('/') || text.length > NAME_MAX) return { stream: 'stream', rest: filter };
  return { stream: `match/${text}`, rest: null };
}

/** How many bytes came, 0 at the end, -1 when there are none yet. */
function readSome(fd: number, buffer: Buffer): number {
  try {
    return readSync(fd, buffer);
  } catch (error) {
    if (isSystemError(error, 'EAGAIN') || isSystemError(error, 'EINTR')) return -1;
    if (isSystemError(error, 'ECONNABORTED') || isSystemError(error, 'ENOTCONN')) return 0; // the daemon was killed
    throw error;
  }
}

/** Prints whole records; false when nobody reads what we print any more. */
function show(bytes: Buffer, filter: Filter | null, options: WatchOptions): boolean {
  let text = '';
  for (const record of records(bytes)) {
    const event = parseRecord(record);
    if (filter !== null && !tellsOfLoss(event) && !filter.matches(event)) continue;
    text += format(event, options);
  }
  return print(Buffer.from(text, 'latin1'));
}

interface Shown {
  readonly action: string;
  readonly devpath: string;
  readonly properties: readonly (readonly [string, string])[];
  property(key: string): string | undefined;
}

/** Every filter lets it pass. */
function tellsOfLoss({ action, devpath }: Shown): boolean {
  return action === 'overflow' && devpath === '/eventfs';
}

/** A read of a stream is whole records, and an empty line ends each. */
function* records(bytes: Buffer): Generator<string> {
  for (let start = 0; start < bytes.length; ) {
    let end = bytes.indexOf('\n\n', start);
    if (end < 0) end = bytes.length;
    yield bytes.toString('latin1', start, end);
    for (start = end; bytes[start] === LF; start++);
  }
}

function parseRecord(record: string): Shown {
  const [header, ...lines] = record.split('\n');
  const at = header.indexOf('@/');
  const properties = lines.map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)] as const);
  return {
    action: header.slice(0, at),
    devpath: header.slice(at + 1),
    properties,
    property: (key) => properties.find(([name]) => name === key)?.[1],
  };
}

function format(event: Shown, options: WatchOptions): string {
  if (options.json === true) {
    const utf8 = (text: string): string => Buffer.from(text, 'latin1').toString('utf8');
    const properties = Object.fromEntries(event.properties.map(([key, value]) => [utf8(key), utf8(value)]));
    const object = { action: utf8(event.action), devpath: utf8(event.devpath), properties };
    return `${Buffer.from(JSON.stringify(object), 'utf8').toString('latin1')}\n`;
  }
  const action = printable(event.action).padEnd(8);
  const seqnum = printable(event.property('SEQNUM') ?? '-').padStart(6);
  const subsystem = printable(event.property('SUBSYSTEM') ?? '-').padEnd(10);
  const paint = COLORS[event.action] ?? colors.cyan;
  const line = `${seqnum} ${paint(action)} ${colors.bold(subsystem)} ${printable(event.devpath)}\n`;
  if (options.properties !== true && !tellsOfLoss(event)) return line;
  return line + event.properties.map(([key, value]) => `       ${colors.dim(`${printable(key)}=`)}${printable(value)}\n`).join('');
}

const COLORS: Readonly<Record<string, (text: string) => string>> = {
  add: colors.green,
  remove: colors.red,
  change: colors.yellow,
  overflow: colors.magenta,
};

function parseFilter(text: string): Filter {
  try {
    return Filter.parse(text);
  } catch (error) {
    if (error instanceof FilterError) throw new Refusal(`bad filter: ${error.message}`);
    throw error;
  }
}
