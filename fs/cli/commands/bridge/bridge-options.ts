/** The options of `eventfs bridge`, and what they mean together. */
import { hostname } from 'node:os';
import { join } from 'node:path';
import type { BridgeOptions } from '../../../bridge/options.js';
import { Broker, type BrokerOptions } from '../../../bridge/mqtt/broker.js';
import { MESSAGE_LIMITS } from '../../../bridge/protocol/history.js';
import { badHostName } from '../../../bridge/protocol/names.js';
import { parseFilter } from '../../../client/events/text.js';
import { UsageError } from '../../../shared/errors.js';
import type { LogLevel } from '../../../shared/log/log-levels.js';
import type { Filter } from '../../../uevent/filter/filter.js';
import { homeDirectory } from '../../defaults.js';

/** The values of the command line. */
export interface BridgeArguments extends Partial<BrokerOptions> {
  readonly host?: string;
  readonly mount: string;
  readonly publish?: string;
  readonly subscribe?: string;
  readonly fleet?: string;
  /** The keep-alive time of MQTT, in seconds. */
  readonly keepAlive: number;
  /** The most events of a message. */
  readonly batch: number;
  /** In MiB. */
  readonly history: number;
  readonly state?: string;
  readonly metrics?: string;
  readonly readyFd?: number;
  readonly status?: boolean;
  readonly check?: boolean;
  readonly logLevel: LogLevel;
  readonly logJson?: boolean;
}

const MIB = 1024 * 1024;
/** The most events of a history: an event of a device has about 300 bytes. */
const EVENTS_PER_MIB = 4096;

/**
 * Returns the directory of the state: `--state`, that of the service manager, or a user's own.
 */
export function stateDirectory({ state }: Pick<BridgeArguments, 'state'>): string {
  if (state !== undefined) return state;
  const { STATE_DIRECTORY: given = '', XDG_STATE_HOME: home = '' } = process.env;
  if (given.startsWith('/')) return given.split(':')[0];
  if (process.geteuid?.() === 0) return '/var/lib/eventfs-bridge';
  return join(
    home.startsWith('/') ? home : join(homeDirectory(), '.local/state'),
    'eventfs-bridge',
  );
}

/**
 * Checks the options.
 *
 * @throws UsageError that names the wrong one
 */
export function bridgeOptions(given: BridgeArguments): BridgeOptions {
  const { broker, host = hostname(), publish, subscribe, fleet, mount } = given;
  if (broker === undefined)
    throw new UsageError('--broker is missing (name one, as in mqtts://broker:8883)');
  const bad = badHostName(host);
  if (bad !== null) throw new UsageError(`--host ${JSON.stringify(host)}: ${bad}`);
  if (subscribe !== undefined && fleet === undefined)
    throw new UsageError(
      '--subscribe needs --fleet (name the mount for the events of other hosts)',
    );
  if (publish === undefined && fleet === undefined)
    throw new UsageError(
      "nothing to do (use --publish FILTER, where '' is every event, or --fleet)",
    );
  return {
    broker: new Broker({ ...given, broker }),
    host,
    out: publish === undefined ? undefined : { mount, filter: parseFilter(publish) },
    in: fleet === undefined ? undefined : { mount: fleet, filter: hostsOf(subscribe ?? '*') },
    keepAlive: given.keepAlive,
    message: { ...MESSAGE_LIMITS, events: given.batch },
    history: { bytes: given.history * MIB, events: given.history * EVENTS_PER_MIB },
    stateDirectory: stateDirectory(given),
    metrics: given.metrics,
  };
}

/** Returns the filter for the names of hosts. @param patterns as in `web*|db1` */
function hostsOf(patterns: string): Filter {
  if (!/^[\w.*?|[\]!^-]+$/.test(patterns))
    throw new UsageError(
      `--subscribe ${JSON.stringify(patterns)}: it is no pattern of names (use one as in 'web*|db1')`,
    );
  return parseFilter(`HOST==${patterns}`);
}
