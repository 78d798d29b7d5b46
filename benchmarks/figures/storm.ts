/**
 * Sends uevents as fast as the kernel can, to 16 subscribers of four kinds. The events that each
 * gets, and those that it is told are lost, must add up to those sent. It runs once with the full
 * buffer that the daemon asks for, and once with that of a daemon without CAP_NET_ADMIN, which
 * overruns.
 */
import { rmdirSync } from 'node:fs';
import { statusOf } from '../../test/support/clients/clients.js';
import { mountPoint, startDaemon } from '../../test/support/mount/daemon.js';
import { type Benchmark, type Figure, figure } from '../figure.js';
import { measure } from '../programs.js';

const EVENTS = 100_000;
const WRITERS = 4;
const KINDS = {
  stream: 'stream',
  match: 'match/',
  directory: '.stream',
  socket: '--socket',
} as const;
const SMALL_BUFFER = ['setpriv', '--bounding-set', '-net_admin', '--inh-caps', '-net_admin'];

export const storm: Benchmark = {
  name: 'storm',
  run: async (say) => {
    say(`${EVENTS} uevents to 16 subscribers`);
    const all = await figuresOf('', []);
    say(`${EVENTS} uevents, and a small buffer`);
    return [...all, ...(await figuresOf('small buffer: ', SMALL_BUFFER))];
  },
};

async function figuresOf(label: string, under: readonly string[]): Promise<Figure[]> {
  const path = mountPoint();
  const socket = `${path}.socket`;
  const daemon = await startDaemon(['--source', 'kernel', '--socket', socket], path, { under });
  try {
    const run = await measure('storm', [EVENTS, WRITERS, path, socket]);
    const of = (key: string): number => run.get(key) ?? NaN;
    const status = statusOf(`${path}/log`);
    return [
      figure(
        `${label}uevents that the kernel sent to ${WRITERS} writers' orders`,
        of('sent_per_s'),
        ' /s',
      ),
      figure(
        `${label}the same, until all 16 subscribers had all events`,
        of('delivered_per_s'),
        ' /s',
      ),
      figure(
        `${label}lost by overruns of the netlink socket (${status.KERNEL_OVERRUNS})`,
        Number(status.LOST),
        '',
      ),
      ...Object.entries(KINDS).map(([kind, name]) =>
        figure(`${label}lost by each of 4 on ${name}, mean`, of(`${kind}_lost`) / 4, ''),
      ),
      figure(`${label}events that the kernel sent after a later SEQNUM`, of('reordered'), ''),
      figure(`${label}SEQNUMs of other namespaces' events`, of('foreign'), ''),
      figure(`${label}events out of their writer's order`, of('disorder'), '', { atMost: 0 }),
      figure(`${label}subscribers whose sums do not match`, of('mismatches'), '', { atMost: 0 }),
    ];
  } finally {
    await daemon.stop();
    rmdirSync(path);
  }
}
