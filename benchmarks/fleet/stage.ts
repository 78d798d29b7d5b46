/** Hosts, a broker and mounts for the benchmarks of a fleet. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, rmdirSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  type Broker,
  type BrokerSetting,
  startBroker,
  stopFleet,
} from '../../test/support/fleet/broker.js';
import { type Host, startHost } from '../../test/support/fleet/network.js';
import {
  type Daemon,
  EVENTFS_SCRIPT,
  startDaemon,
  until,
  within,
} from '../../test/support/mount/daemon.js';

const PATIENCE_MS = 30_000;
/** Room for all events of a run: what is measured must not be a bound. */
const ROOMY = `
[queue]
events = 200000
bytes = "256 MiB"
[log]
ring_events = 200000
ring_bytes = "256 MiB"
`;

/** Two hosts: `web` publishes, `watching` follows. */
export interface Stage {
  readonly broker: Broker;
  readonly web: Host;
  readonly watching: Host;
  readonly local: Daemon;
  readonly fleet: Daemon;
  readonly folder: string;
  /** Starts the bridge of `web`, as the host web1. */
  publisher(...args: readonly string[]): Promise<ChildProcess>;
  /** Starts a bridge on the host `watching`, which follows the others. */
  follower(...args: readonly string[]): Promise<ChildProcess>;
}

/** Ends a process, and waits for its end. */
export async function end(child: ChildProcess, signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise((done) => child.once('exit', done));
  child.kill(signal);
  await within(PATIENCE_MS, gone, 'a bridge did not end');
}

/** Why there is no stage: the machine lacks the version of mosquitto. */
export class NoBroker extends Error {}

type Start = (host: Host, args: readonly string[]) => Promise<ChildProcess>;

/** Returns a function that starts bridges, and adds them to `running`. */
function starter(broker: Broker, folder: string, running: ChildProcess[]): Start {
  return async (host, args) => {
    const node = [process.execPath, '--no-memory-reducer', EVENTFS_SCRIPT];
    const state = mkdtempSync(join(folder, 'state-'));
    const own = ['bridge', '--broker', broker.url, '--state', state, ...args];
    const [command, ...rest] = [...host.enter, ...node, ...own];
    const child = spawn(command, rest, { stdio: ['ignore', 'ignore', 'pipe'] });
    running.push(child);
    let log = '';
    child.stderr.on('data', (chunk: Buffer) => (log += chunk.toString()));
    const isUp = (): boolean => log.includes('connected');
    await until(isUp, () => `the bridge does not connect: ${log}`, PATIENCE_MS);
    return child;
  };
}

/**
 * Runs `work` on a stage, and takes the stage down even if `work` fails.
 * @throws NoBroker if the wanted version of mosquitto is not to be had
 */
export async function onStage<T>(
  setting: BrokerSetting & { readonly source?: 'kernel' | 'none' },
  work: (stage: Stage) => Promise<T>,
): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), 'eventfs-fleet-'));
  const running: ChildProcess[] = [];
  const daemons: Daemon[] = [];
  const config = join(folder, 'roomy.toml');
  writeFileSync(config, ROOMY);
  try {
    const lines = ['max_queued_messages 0'];
    const broker: Broker | null = await startBroker({ ...setting, lines });
    if (broker === null) throw new NoBroker('no mirror of Debian answers');
    const web = await startHost('web');
    const watching = await startHost('watching');
    const local = await startDaemon(['--source', setting.source ?? 'none', '--config', config]);
    daemons.push(local);
    const fleet = await startDaemon(['--fleet', '--config', config]);
    daemons.push(fleet);
    const bridge = starter(broker, folder, running);
    return await work({
      broker,
      web,
      watching,
      local,
      fleet,
      folder,
      publisher: (...args) =>
        bridge(web, ['--host', 'web1', '--mount', local.path, '--publish', '', ...args]),
      follower: (...args) =>
        bridge(watching, ['--host', 'watcher', '--fleet', fleet.path, ...args]),
    });
  } finally {
    for (const child of running) await end(child, 'SIGKILL');
    for (const daemon of daemons) {
      await daemon.stop();
      rmdirSync(daemon.path);
    }
    await stopFleet();
    rmSync(folder, { recursive: true, force: true });
  }
}
