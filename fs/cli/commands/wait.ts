/** `eventfs wait`: waits for one event, or until a time-out. */
import { isatty } from 'node:tty';
import { daemonEnded } from '../../client/ended.js';
import { devices } from '../devices.js';
import { EventStream } from '../../client/events/stream.js';
import { type EventText, parseFilter, lostOf, tellsOfLoss } from '../../client/events/text.js';
import { adviseOnFilter } from '../terminal/filter-advice.js';
import { ExitCode } from '../terminal/explain.js';
import { requireMount } from '../../client/mounted.js';
import { EventOutput } from '../terminal/event-output.js';
import { STDOUT, print, printError, printableBytes } from '../terminal/output.js';

/** The options of `eventfs wait`. */
export interface WaitOptions {
  /** The longest wait, in seconds. */
  readonly timeout?: number;
  readonly since?: string;
  readonly existing?: boolean;
  readonly mount: string;
}

/**
 * Prints the first event that matches, in the form of its file. The exit code is 1 after the
 * time-out, and only then. It is 111 once nothing reads standard output any more.
 *
 * With `existing` a device that already exists counts too. The stream is opened before the devices
 * are listed: a new device can't be missed in between.
 *
 * @param filterText the events to wait for, as a filter
 * @throws UsageError if the filter is invalid, NotServedError if eventfs is not mounted there,
 *   DaemonEndedError if its daemon ends
 */
export async function wait(filterText: string, options: WaitOptions): Promise<void> {
  const filter = parseFilter(filterText);
  const stream = new EventStream(await requireMount(options.mount), filter, '.wait', options.since);
  adviseOnFilter('wait', filter);
  const output = new EventOutput();
  let timer: NodeJS.Timeout | undefined;
  try {
    if (options.existing === true) {
      for (const device of devices()) {
        if (!filter.matches(device.event)) continue;
        printEvent(device.event);
        return;
      }
    }
    const late = new Promise<'late'>((done) => {
      if (options.timeout !== undefined)
        timer = setTimeout(() => done('late'), options.timeout * 1000);
    });
    const unread = output.unread.then(() => 'unread' as const);
    const outcome = await Promise.race([unread, late, firstOf(stream)]);
    if (outcome === 'late') process.exitCode = ExitCode.failed;
    else if (outcome === 'unread') process.exitCode = ExitCode.systemCall;
    else if (outcome === 'ended') throw daemonEnded(options.mount, 'try eventfs doctor');
  } finally {
    clearTimeout(timer);
    stream.close();
    output.close();
  }
}

async function firstOf(stream: EventStream): Promise<'came' | 'ended'> {
  let came = false;
  await stream.forEach((events) => {
    for (const event of events) {
      if (tellsOfLoss(event)) {
        const lost = `${lostOf(event)} events were lost`;
        printError(`wait: ${lost}, and the awaited event may be one of them (try --existing)`);
        continue;
      }
      printEvent(event);
      came = true;
      return false;
    }
    return true;
  });
  return came ? 'came' : 'ended';
}

/** Prints the text of an event; on a terminal without control characters. */
function printEvent({ text }: EventText): void {
  const lines = text.replace(/\n*$/, '').split('\n');
  const shown = isatty(STDOUT) ? lines.map(printableBytes) : lines;
  if (!print(Buffer.from(`${shown.join('\n')}\n`, 'latin1')))
    process.exitCode = ExitCode.systemCall;
}
