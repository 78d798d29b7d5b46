/** `eventfs wait`: end when an event comes, or when the time is up. */
import { UserError } from '../../shared/errors.js';
import { devices } from '../devices.js';
import { EventStream } from '../../client/event-stream.js';
import { parseFilter, tellsOfLoss } from '../../client/event-text.js';
import { ExitCode } from '../terminal/explain.js';
import { requireMount } from '../../client/mounted.js';
import { print } from '../terminal/output.js';
import type { SeqNum } from '../../uevent/text.js';

export interface WaitOptions {
  readonly timeout?: number;
  readonly since?: SeqNum;
  readonly existing?: boolean;
  readonly mount: string;
}

/**
 * Prints the first event that matches, as its file would show it. The exit code is 1 when none has come in time. `existing`: a device that
 * is there already counts too; the stream is open before it is looked for, so that none can slip through between.
 */
export async function wait(filterText: string, options: WaitOptions): Promise<void> {
  const filter = parseFilter(filterText);
  const stream = new EventStream(await requireMount(options.mount), filter, '.wait', options.since);
  let timer: NodeJS.Timeout | undefined;
  try {
    if (options.existing === true) {
      for (const device of devices()) {
        if (!filter.matches(device.event)) continue;
        print(Buffer.from(device.event.text, 'latin1'));
        return;
      }
    }
    const late = new Promise<'late'>((done) => {
      if (options.timeout !== undefined)
        timer = setTimeout(() => done('late'), options.timeout * 1000);
    });
    const outcome = await Promise.race([late, firstOf(stream)]);
    if (outcome === 'late') process.exitCode = ExitCode.failed;
    else if (outcome === 'ended') throw new UserError(`${options.mount}: its daemon has ended`);
  } finally {
    clearTimeout(timer);
    stream.close();
  }
}

async function firstOf(stream: EventStream): Promise<'came' | 'ended'> {
  let came = false;
  await stream.forEach((events) => {
    for (const event of events) {
      if (tellsOfLoss(event)) {
        console.error(
          `eventfs: wait: ${event.property('LOST')} events are lost, and it may have been among them`,
        );
        continue;
      }
      print(Buffer.from(`${event.text.replace(/\n*$/, '\n')}`, 'latin1'));
      came = true;
      return false;
    }
    return true;
  });
  return came ? 'came' : 'ended';
}
