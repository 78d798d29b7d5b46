/**
 * `eventfs emit`: publishes one event, or the events on standard input.
 *
 * mdev, udev or a script starts it for every event, and it should take no longer than Node's own
 * start. So it parses its arguments itself, and loads neither the addon nor a library unless there
 * is an error.
 */
import { type StatsFs, close, constants, open, readFileSync, statfs, write } from 'node:fs';
import { PUBLISH_HINTS } from '../../client/publish-hints.js';
import { argumentBytes, isPlainPath } from '../../shared/argument-bytes.js';
import {
  FailedCallError,
  NotServedError,
  UsageError,
  UserError,
  isSystemError,
  named,
} from '../../shared/errors.js';
import { FUSE_SUPER_MAGIC } from '../../shared/kernel/mountinfo.js';
import { MAX_WRITE_BYTES } from '../../shared/kernel/write-size.js';
import { deviceVariables } from '../device-variables.js';
import { explain } from '../terminal/explain.js';
import { DEFAULT_DIRECTORY } from '../defaults.js';

/** How long a daemon may take for one write(2). */
const PATIENCE_MS = 10_000;

// Not imported: each file that Node loads makes its start longer.
const LF = 0x0a;
const NUL = 0;

/** The options of `eventfs emit`. */
export interface EmitOptions {
  readonly environment?: boolean;
  readonly mount: string;
}

/**
 * Runs `emit` without the command line's parser, and sets the exit code.
 *
 * @param args the arguments after `emit`
 * @returns false, without any effect, if an argument needs the parser and its messages
 */
export async function emitAtOnce(args: readonly string[]): Promise<boolean> {
  const asked = plainArguments(args);
  if (asked === null) return false;
  try {
    await emit(asked.properties, asked);
  } catch (error) {
    process.exitCode = explain(error, 'emit');
  }
  return true;
}

function plainArguments(args: readonly string[]): (EmitOptions & { properties: string[] }) | null {
  const properties: string[] = [];
  let environment = false;
  let mount = DEFAULT_DIRECTORY;
  for (let i = 0; i < args.length; i++) {
    const arg = args[i];
    if (arg === '--environment') environment = true;
    else if (arg === '--mount' && i + 1 < args.length) mount = args[++i];
    else if (arg.startsWith('--mount=')) mount = arg.slice('--mount='.length);
    else if (arg.startsWith('-') && arg !== '-') return null;
    else properties.push(arg);
  }
  return isPlainPath(mount) ? { properties, environment, mount } : null;
}

/**
 * Publishes events by write(2) to the file `publish`. If the daemon does not answer within 10 s, it
 * reports that and ends the process.
 *
 * @param properties `KEY=VALUE` each; or only `-`, for events on standard input
 * @throws UserError if the event is malformed or too large, standard input is empty, the daemon
 *   refuses the event, or eventfs is not mounted there
 */
export async function emit(properties: readonly string[], options: EmitOptions): Promise<void> {
  const event =
    properties.length === 1 && properties[0] === '-'
      ? (await import('../terminal/input.js')).readAll()
      : fromProperties(collect(properties, options.environment === true));
  // write(2) of nothing would succeed
  if (event.length === 0)
    throw new UsageError('standard input is empty (write an event to it, or give KEY=VALUE)');
  const text = new PublishText(event);
  // The daemon refuses an event of more than 64 KiB: no piece of a split one must be published.
  if (text.count === 1 && event.length >= MAX_WRITE_BYTES)
    throw new FailedCallError(`${options.mount}/publish: File too large (${PUBLISH_HINTS.EFBIG})`);
  await send(options.mount, text);
}

/**
 * Publishes events. If the daemon does not answer within 10 s, reports that and ends the process.
 *
 * @param isFirst whether it is the first request of this process to the daemon
 * @throws UserError if the daemon refuses an event, or if eventfs is not mounted there
 */
export async function send(mount: string, text: PublishText, isFirst = true): Promise<void> {
  const late = setTimeout(() => void giveUp(mount, text), PATIENCE_MS);
  try {
    // A child process makes the first request: a thread of this process that waits for the daemon
    // could not be ended (docs/decisions/061-io-uring-gaps.md).
    const { answers } = await import('../../client/probe.js');
    if (isFirst && !(await answers(mount, PATIENCE_MS))) return await giveUp(mount, text);
    await publish(mount, text, () => late.refresh());
  } finally {
    clearTimeout(late);
  }
}

/** The bytes for `publish`: one event, or several with an empty line after each. */
export class PublishText {
  readonly bytes: Buffer;
  /** The number of events. */
  readonly count: number;
  /** How many bytes the daemon has accepted. */
  taken = 0;

  constructor(event: Buffer) {
    const isText = !event.includes(NUL);
    let end = event.length;
    while (isText && end > 0 && event[end - 1] === LF) end--;
    const others = isText ? emptyLines(event.subarray(0, end)) : 0;
    this.count = others + 1;
    // Without an empty line at the end the daemon would wait for the rest of the last record.
    this.bytes =
      others === 0 ? event : Buffer.concat([event.subarray(0, end), Buffer.from('\n\n')]);
  }

  /**
   * The end of an error message: how many of several events were accepted, as in `; 1 of 3 events
   * were published`.
   */
  get progress(): string {
    return this.count === 1 ? '' : `; ${this.published} of ${this.count} events were published`;
  }

  /** How many of several events the daemon has accepted. */
  get published(): number {
    return emptyLines(this.bytes.subarray(0, this.taken));
  }
}

/** Returns how many times one or more empty lines follow a line. */
function emptyLines(text: Buffer): number {
  let count = 0;
  for (let at = text.indexOf('\n\n'); at >= 0; at = text.indexOf('\n\n', at)) {
    count++;
    while (text[at] === LF) at++;
  }
  return count;
}

async function publish(mount: string, text: PublishText, onProgress: () => void): Promise<void> {
  const path = `${mount}/publish`;
  const { bytes } = text;
  try {
    const { type } = await call<StatsFs>((done) => statfs(mount, done));
    if (type !== FUSE_SUPER_MAGIC) return await explainMount(mount);
    const fd = await call<number>((done) => open(path, constants.O_WRONLY, done));
    while (text.taken < bytes.length) {
      const taken = await call<number>((done) =>
        write(fd, bytes, text.taken, bytes.length - text.taken, null, done),
      );
      if (taken === 0)
        throw new UserError(
          `${path}: the daemon accepts no more bytes (try eventfs doctor)${text.progress}`,
        );
      text.taken += taken;
      onProgress();
    }
    await call<null>((done) => close(fd, (error) => done(error ?? null, null)));
  } catch (error) {
    if (!isSystemError(error)) throw error;
    if (!(error.code in PUBLISH_HINTS)) await explainMount(mount);
    const failure = UserError.from(error, path, PUBLISH_HINTS);
    failure.message += text.progress;
    throw failure;
  }
}

/**
 * Makes a call on another thread, so that timers still fire. fs/promises would have to be loaded
 * first.
 */
function call<T>(make: (done: (error: Error | null, result: T) => void) => void): Promise<T> {
  return new Promise((done, failed) =>
    make((error, result) => (error === null ? done(result) : failed(error))),
  );
}

/** Throws the reason if eventfs is not mounted there, or if no daemon serves it. */
async function explainMount(mount: string): Promise<void> {
  await (await import('../../client/mounted.js')).requireMount(mount);
}

/**
 * Reports that the daemon does not answer, and ends the process at once: a thread of this process
 * hangs too, and a normal exit would wait for it.
 */
async function giveUp(mount: string, text: PublishText): Promise<void> {
  const { exitNow } = await import('#native');
  exitNow(
    explain(
      new NotServedError(
        `${mount}: its daemon does not answer (try eventfs umount ${mount})${text.progress}`,
      ),
      'emit',
    ),
  );
}

/** Collects the properties of arguments and environment, one character for each byte. */
function collect(properties: readonly string[], environment: boolean): Map<string, string> {
  // process.env decodes all values as UTF-8, and loses other bytes
  const inherited =
    environment || properties.length === 0
      ? readFileSync('/proc/self/environ', 'latin1').split('\0')
      : [];
  const all = deviceVariables(inherited.map(split));
  for (const property of properties) {
    const [key, value] = split(argumentBytes(property));
    if (key === '')
      throw new UsageError(`${named(property)}: an argument must be KEY=VALUE, or - alone`);
    all.set(key, value);
  }
  return all;
}

/** Splits `KEY=VALUE`. The key is empty if there is no `=`. */
function split(property: string): [key: string, value: string] {
  const at = Math.max(0, property.indexOf('='));
  return [property.slice(0, at), property.slice(at + 1)];
}

/** Formats an event as the kernel does: NUL ends each line, so a value may contain line ends. */
function fromProperties(properties: ReadonlyMap<string, string>): Buffer {
  const action = properties.get('ACTION');
  const devpath = properties.get('DEVPATH');
  if (action === undefined || devpath === undefined) {
    throw new UsageError(
      'ACTION and DEVPATH are required (try eventfs emit ACTION=change DEVPATH=/my/thing SUBSYSTEM=mine)',
    );
  }
  if (!/^[^@\n]+$/.test(action))
    throw new UsageError(`ACTION=${action}: it must be a text without @ and line ends`);
  if (!devpath.startsWith('/')) throw new UsageError(`DEVPATH=${devpath}: it must begin with /`);
  if (devpath.includes('\n')) throw new UsageError(`DEVPATH=${devpath}: it has a line end`);
  const lines = [
    `${action}@${devpath}`,
    ...[...properties].map(([key, value]) => `${key}=${value}`),
  ];
  return Buffer.from(lines.map((line) => `${line}\0`).join(''), 'latin1');
}
