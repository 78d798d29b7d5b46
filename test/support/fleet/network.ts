/**
 * Hosts as network namespaces. Each has one veth, whose other end is a port of a bridge in the
 * namespace of the hub. No route leads out, so that the addresses cannot collide with the
 * machine's. Brokers run in the namespace of the hub.
 *
 * A namespace's name has the PID of the test in it. The namespaces of tests that were killed are
 * removed before the first host starts.
 */
import { existsSync, readdirSync } from 'node:fs';
import { run, until } from '../mount/daemon.js';

const PREFIX = 'eventfs-fleet-';
const NAMESPACES = '/run/netns';
const SUBNET = '10.99.0.';
/** The bridge's address, where brokers listen. */
export const HUB_ADDRESS = `${SUBNET}1`;
const HUB_MAC = '02:00:00:00:00:01';
const END_MS = 5000;

/** A namespace that stands for a machine. */
export interface Host {
  readonly name: string;
  /** The name for `ip netns`. */
  readonly namespace: string;
  readonly address: string;
  /** A command that runs another one in the host's network, with the mounts of the caller. */
  readonly enter: readonly string[];
  /** The name of the hub's end of its cable. */
  readonly port: string;
}

const hosts = new Map<string, Host>();
let hub: string | null = null;
let serial = 1;

/**
 * Runs `ip`.
 * @throws Error with its message if it fails
 */
async function ip(...words: readonly string[]): Promise<void> {
  const { err, code } = await run(['ip', ...words]);
  if (code !== 0) throw new Error(`ip ${words.join(' ')}: ${err}`);
}

/** Returns a command that runs another one in a network namespace. */
function enter(namespace: string): readonly string[] {
  return ['nsenter', `--net=${NAMESPACES}/${namespace}`];
}

/** Returns a command that runs another one in the hub's network, which it makes first. */
export async function enterHub(): Promise<readonly string[]> {
  if (hub !== null) return enter(hub);
  await removeStale();
  const namespace = `${PREFIX}${process.pid}-hub`;
  await ip('netns', 'add', namespace);
  hub = namespace;
  await ip('-n', namespace, 'link', 'set', 'lo', 'up');
  // Without an address of its own a bridge takes the lowest one of its ports. With the next host it
  // may change, and the hosts before that one would send to the old address.
  await ip('-n', namespace, 'link', 'add', 'hub', 'address', HUB_MAC, 'type', 'bridge');
  await ip('-n', namespace, 'address', 'add', `${HUB_ADDRESS}/24`, 'dev', 'hub');
  await ip('-n', namespace, 'link', 'set', 'hub', 'up');
  return enter(namespace);
}

/**
 * Makes a host that is connected to the hub.
 * @param name up to 32 letters, digits and hyphens
 * @returns the host, which reaches the hub already
 */
export async function startHost(name: string): Promise<Host> {
  await enterHub();
  if (hosts.has(name)) throw new Error(`there is a host ${name} already`);
  const number = ++serial;
  const namespace = `${PREFIX}${process.pid}-${name}`;
  const host: Host = {
    name,
    namespace,
    address: `${SUBNET}${number}`,
    enter: enter(namespace),
    port: `port${number}`,
  };
  await ip('netns', 'add', namespace);
  hosts.set(name, host);
  const peer = ['peer', 'name', 'eth0', 'netns', namespace];
  await ip('-n', hub!, 'link', 'add', host.port, 'type', 'veth', ...peer);
  await ip('-n', hub!, 'link', 'set', host.port, 'master', 'hub', 'up');
  await ip('-n', namespace, 'link', 'set', 'lo', 'up');
  await ip('-n', namespace, 'address', 'add', `${host.address}/24`, 'dev', 'eth0');
  await ip('-n', namespace, 'link', 'set', 'eth0', 'up');
  await until(() => reaches(host), `the host ${name} does not reach the hub`);
  return host;
}

/** Returns true if a packet of a host reaches the hub: a refused connection shows it too. */
async function reaches({ enter: inside }: Host): Promise<boolean> {
  const connect = `</dev/tcp/${HUB_ADDRESS}/9`;
  // A bash whose input is a socket takes itself for one of rshd, and reads .bashrc first.
  const bash = ['bash', '--norc', '-c', connect];
  const { err } = await run([...inside, 'timeout', '0.2', ...bash]);
  return err.includes('refused');
}

/**
 * Pulls a host's cable. Its address and routes stay, and connections stay open: neither end is
 * told.
 */
export async function cut(host: Host): Promise<void> {
  await ip('-n', hub!, 'link', 'set', host.port, 'down');
}

/** Plugs a host's cable in again. */
export async function restore(host: Host): Promise<void> {
  await ip('-n', hub!, 'link', 'set', host.port, 'up');
}

/**
 * Delays each packet that a host sends.
 * @param ms the delay, in milliseconds; 0 ends it
 * @returns false if the kernel has no netem; then nothing changes
 */
export async function delay(host: Host, ms: number): Promise<boolean> {
  const device = ['-n', host.namespace, 'qdisc', 'replace', 'dev', 'eth0', 'root'];
  const { code } = await run(['tc', ...device, 'netem', 'delay', `${ms}ms`]);
  return code === 0;
}

/** Kills all processes of the network, and removes the network. */
export async function stopNetwork(): Promise<void> {
  for (const host of hosts.values()) await remove(host.namespace);
  hosts.clear();
  serial = 1;
  if (hub !== null) await remove(hub);
  hub = null;
}

/** Kills the processes in a namespace, and removes it. */
async function remove(namespace: string): Promise<void> {
  const living = async (): Promise<string[]> =>
    (await run(['ip', 'netns', 'pids', namespace])).out.split('\n').filter((pid) => pid !== '');
  await until(
    async () => {
      const pids = await living();
      for (const pid of pids) {
        try {
          process.kill(Number(pid), 'SIGKILL');
        } catch {
          // It has ended.
        }
      }
      return pids.length === 0;
    },
    `processes of ${namespace} did not end`,
    END_MS,
  );
  await ip('netns', 'delete', namespace);
}

/** Removes the networks of tests that have been killed. */
async function removeStale(): Promise<void> {
  if (!existsSync(NAMESPACES)) return;
  for (const namespace of readdirSync(NAMESPACES)) {
    const pid = /^eventfs-fleet-(\d+)-/.exec(namespace)?.[1];
    if (pid !== undefined && !existsSync(`/proc/${pid}`)) await remove(namespace);
  }
}
