/** Debian's mosquitto in the hub of the test's network. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { mountPoint, run, until, within } from '../mount/daemon.js';
import { Authority, type Certificate } from './certificates.js';
import { HUB_ADDRESS, enterHub, stopNetwork } from './network.js';
import { type MosquittoVersion, mosquittoCommand } from './mosquitto.js';

const READY_MS = 10_000;
const END_MS = 5000;
const FIRST_PORT = 1883;

/** The way to start a broker. */
export interface BrokerSetting {
  /** Default `own`. */
  readonly version?: MosquittoVersion;
  /** True: retained messages and sessions outlive a restart, also one after SIGKILL. */
  readonly persistence?: boolean;
  /** The text of its ACL file. */
  readonly acl?: string;
  /** User names and their passwords. With them, other clients are refused. */
  readonly users?: Readonly<Record<string, string>>;
  /** `server`: it shows a certificate. `client`: it asks for one too, whose CN is the user. */
  readonly tls?: 'server' | 'client';
  /** Further lines of its configuration, as in `max_queued_messages 10`. */
  readonly lines?: readonly string[];
}

const running = new Set<ChildProcess>();
let ports = FIRST_PORT;

/** A running broker. */
export class Broker {
  #child: ChildProcess | null = null;
  #log = '';

  /** Use `startBroker`. */
  constructor(
    readonly address: string,
    readonly port: number,
    /** The authority of its certificate and of its clients'; null without TLS. */
    readonly authority: Authority | null,
    /** A folder of its own, with its configuration. */
    readonly folder: string,
    private readonly command: readonly string[],
  ) {}

  /** Its address for clients: `mqtt://10.99.0.1:1883`. */
  get url(): string {
    return `${this.authority === null ? 'mqtt' : 'mqtts'}://${this.address}:${this.port}`;
  }

  /** Its PID. */
  get pid(): number {
    return this.#child!.pid!;
  }

  /** Returns its log so far, of all its lives. */
  log(): string {
    return this.#log;
  }

  /** Returns the arguments of mosquitto_pub and mosquitto_sub for its address and authority. */
  get clientArguments(): readonly string[] {
    const authority = this.authority === null ? [] : ['--cafile', this.authority.certificate];
    return ['-V', 'mqttv5', '-h', this.address, '-p', String(this.port), ...authority];
  }

  /** Makes a client's certificate. */
  async certificate(name: string): Promise<Certificate> {
    return this.authority!.sign(name);
  }

  /** Starts it, and waits until it listens. */
  async start(): Promise<void> {
    const from = this.#log.length;
    const [program, ...words] = this.command;
    const child = spawn(program, words, { stdio: ['ignore', 'ignore', 'pipe'] });
    this.#child = child;
    running.add(child);
    child.stderr.on('data', (chunk: Buffer) => (this.#log += chunk.toString('latin1')));
    child.once('exit', () => running.delete(child));
    await until(
      () => {
        if (child.exitCode !== null) throw new Error(`mosquitto has ended: ${this.#log}`);
        return this.#log.slice(from).includes(' running\n');
      },
      'mosquitto does not listen',
      READY_MS,
    );
  }

  /**
   * Ends it, and waits for its end.
   * @param signal SIGTERM by default; it sends no wills at SIGKILL
   */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    await end(this.#child!, signal);
  }

  /** Stops its process: the kernel accepts connections for it, and it does not answer. */
  pause(): void {
    this.#child!.kill('SIGSTOP');
  }

  /** Continues a paused broker. */
  resume(): void {
    this.#child!.kill('SIGCONT');
  }
}

/** Sends a signal to a broker, and waits for its end. */
async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise<void>((done) => child.once('exit', () => done()));
  child.kill('SIGCONT');
  child.kill(signal);
  // mosquitto listens before it says that it runs, and forgets a signal from before that
  const again = setInterval(() => child.kill(signal), END_MS / 5);
  await within(END_MS, gone, 'mosquitto did not end').finally(() => clearInterval(again));
}

/**
 * Starts a broker in the hub.
 * @returns null if the version is not here and cannot be fetched
 */
export async function startBroker(
  setting: BrokerSetting & { version: 'trixie' },
): Promise<Broker | null>;
export async function startBroker(setting?: BrokerSetting): Promise<Broker>;
export async function startBroker(setting: BrokerSetting = {}): Promise<Broker | null> {
  const mosquitto = await mosquittoCommand(setting.version ?? 'own');
  if (mosquitto === null) return null;
  const inside = await enterHub();
  const folder = mountPoint();
  const authority = setting.tls === undefined ? null : await Authority.make(folder);
  const port = ports++;
  const file = join(folder, 'mosquitto.conf');
  const lines = [
    `listener ${port} ${HUB_ADDRESS}`,
    'user root', // the files are the test's
    'log_dest stderr',
    ...(await secretLines(setting, folder)),
    ...(authority === null ? [] : await tlsLines(authority, setting.tls === 'client')),
    ...persistenceLines(setting.persistence === true, folder),
    ...(setting.lines ?? []),
  ];
  writeFileSync(file, `${lines.join('\n')}\n`);
  const command = [...inside, ...mosquitto, '-c', file];
  const broker = new Broker(HUB_ADDRESS, port, authority, folder, command);
  await broker.start();
  return broker;
}

/** Returns the lines for users and the ACL. */
async function secretLines({ users, acl, tls }: BrokerSetting, folder: string): Promise<string[]> {
  const lines = [`allow_anonymous ${users === undefined && tls !== 'client'}`];
  if (users !== undefined) {
    const file = join(folder, 'passwords');
    writeFileSync(file, '', { mode: 0o600 });
    for (const [name, password] of Object.entries(users))
      await run(['mosquitto_passwd', '-b', file, name, password]);
    lines.push(`password_file ${file}`);
  }
  if (acl !== undefined) {
    const file = join(folder, 'acl');
    writeFileSync(file, acl, { mode: 0o600 });
    lines.push(`acl_file ${file}`);
  }
  return lines;
}

async function tlsLines(authority: Authority, asksForClients: boolean): Promise<string[]> {
  const { certificate, key } = await authority.sign('broker', HUB_ADDRESS);
  const clients = ['require_certificate true', 'use_identity_as_username true'];
  return [
    `cafile ${authority.certificate}`,
    `certfile ${certificate}`,
    `keyfile ${key}`,
    ...(asksForClients ? clients : []),
  ];
}

function persistenceLines(isOn: boolean, folder: string): string[] {
  if (!isOn) return ['persistence false'];
  const location = join(folder, 'state');
  mkdirSync(location);
  // Each change is saved at once, so that SIGKILL loses none.
  return [
    ...['persistence true', `persistence_location ${location}/`],
    ...['autosave_on_changes true', 'autosave_interval 1'],
  ];
}

/** Ends all brokers, and removes the network with all processes in it. */
export async function stopFleet(): Promise<void> {
  for (const child of running) await end(child, 'SIGKILL');
  ports = FIRST_PORT;
  await stopNetwork();
}
