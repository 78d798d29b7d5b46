/** The options of a bridge, checked. */
import { createHash, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Filter } from '../uevent/filter/filter.js';
import type { Broker } from './mqtt/broker.js';
import type { HistoryLimits, MessageLimits } from './protocol/history.js';

/** The checked options of a bridge. */
export interface BridgeOptions {
  readonly broker: Broker;
  /** This host's name. */
  readonly host: string;
  /** The events to publish, and the mount that has them; undefined to publish none. */
  readonly out: { readonly mount: string; readonly filter: Filter } | undefined;
  /** The hosts to follow, and the mount for their events; undefined to follow none. */
  readonly in: { readonly mount: string; readonly filter: Filter } | undefined;
  /** The keep-alive time of MQTT, in seconds. */
  readonly keepAlive: number;
  readonly message: MessageLimits;
  readonly history: HistoryLimits;
  /** The directory of what outlives the process. */
  readonly stateDirectory: string;
  /** The file of the metrics; undefined for none. */
  readonly metrics: string | undefined;
}

const ID_LENGTH = 16;

/** Returns the boot that this machine is in: it differs after each start. */
export function bootId(): string {
  return readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').slice(0, 8);
}

/** Returns the time of CLOCK_MONOTONIC in whole ms: it never goes back in a boot. */
export function bootClockMs(): number {
  return Number(process.hrtime.bigint() / 1_000_000n);
}

/** Returns a number of this machine that tells no one the machine's own: machine-id(5). */
export function machineId(): string | null {
  try {
    const id = readFileSync('/etc/machine-id', 'latin1').trim();
    if (!/^[0-9a-f]{32}$/.test(id)) return null;
    return createHash('sha256').update(`eventfs bridge ${id}`).digest('hex').slice(0, ID_LENGTH);
  } catch {
    return null;
  }
}

/** Returns a new random id. */
export function randomId(length = ID_LENGTH): string {
  return randomBytes(length / 2).toString('hex');
}
