/** `eventfs bridge --status`: the state and the counters of the running bridge. */
import type { BridgeStatus } from '../../../bridge/report.js';
import { askStatus } from '../../../bridge/files/status-socket.js';
import { count, counted, duration } from '../../terminal/numbers.js';
import { print, printable } from '../../terminal/output.js';

/**
 * Prints the status of the running bridge.
 *
 * @param directory its state directory
 * @throws UserError if none runs there
 */
export async function bridgeStatus(directory: string): Promise<void> {
  print(statusText(await askStatus(directory)));
}

/** Formats a status, one line for each part. */
function statusText(status: BridgeStatus): string {
  const { out, in: from } = status;
  const lines: (readonly [string, string])[] = [
    ['bridge', `${status.host}, process ${status.pid}, for ${duration(status.seconds)}`],
    ['broker', `${status.broker}, ${connectionOf(status)}`],
    ['name', `${status.name}, session ${status.session}`],
  ];
  if (out !== null)
    lines.push(
      [
        'published',
        `${counted(out.events, 'event')} of ${out.mount} in ${counted(out.messages, 'message')}`,
      ],
      ['waiting', `${counted(out.waiting, 'event')} for the broker`],
      [
        'lost',
        `${count(out.lost)} in its queue of the mount, ${count(out.unsentLost)} in its history`,
      ],
      ['history', historyOf(out)],
    );
  if (from !== null)
    lines.push(
      ['hosts', `${count(from.online)} online of ${count(from.known)} known, in ${from.mount}`],
      [
        'received',
        `${counted(from.events, 'event')}, ${count(from.lost)} lost, ${counted(from.duplicates, 'duplicate')}`,
      ],
      ['questions', `${count(from.questions)} about missing events`],
      [
        'refused',
        `${counted(from.refused, 'write')} by the mount, ${counted(status.malformed, 'malformed message')}`,
      ],
    );
  return lines.map(([name, text]) => `${name.padEnd(10)} ${printable(text)}\n`).join('');
}

function historyOf({ first, next, bytes, answers }: NonNullable<BridgeStatus['out']>): string {
  if (next === first) return 'empty';
  const kept = `${count(first)} to ${count(next - 1)}`;
  return `events ${kept}, ${counted(bytes, 'byte')}, ${counted(answers, 'answer')}`;
}

function connectionOf({ isConnected, connections, failures, lastFailure }: BridgeStatus): string {
  const counts = `${counted(connections, 'connection')}, ${counted(failures, 'failure')}`;
  return isConnected ? `connected; ${counts}` : `not connected: ${lastFailure}; ${counts}`;
}
