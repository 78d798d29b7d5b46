/** `eventfs bridge --status`: what the running bridge does. */
import type { BridgeStatus } from '../../../bridge/report.js';
import { askStatus } from '../../../bridge/status-socket.js';
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
export function statusText(status: BridgeStatus): string {
  const { out, in: from } = status;
  const lines: (readonly [string, string])[] = [
    ['bridge', `${status.host}, process ${status.pid}, for ${status.seconds} s`],
    ['broker', `${status.broker}, ${connectionOf(status)}`],
    ['name', `${status.name}, session ${status.session}`],
  ];
  if (out !== null)
    lines.push(
      ['published', `${out.events} events of ${out.mount} in ${out.messages} messages`],
      ['waiting', `${out.waiting} for the broker`],
      ['lost', `${out.lost} by the own queue, ${out.unsentLost} by the history`],
      ['history', `${out.first} to ${out.next - 1}, ${out.bytes} bytes, ${out.answers} answers`],
    );
  if (from !== null)
    lines.push(
      ['hosts', `${from.online} online of ${from.known} known, in ${from.mount}`],
      ['received', `${from.events} events, ${from.lost} lost, ${from.duplicates} duplicates`],
      ['questions', `${from.questions} about missing events`],
      ['refused', `${from.refused} writes by the mount, ${status.malformed} messages malformed`],
    );
  return lines.map(([name, text]) => `${name.padEnd(10)} ${printable(text)}\n`).join('');
}

function connectionOf({ isConnected, connections, failures, lastFailure }: BridgeStatus): string {
  const counts = `${connections} connections, ${failures} failures`;
  return isConnected ? `connected; ${counts}` : `not connected: ${lastFailure}; ${counts}`;
}
