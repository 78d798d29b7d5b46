/** The reports of a bridge: the status, and counters in Prometheus' text format. */
import type { FleetMount } from './fleet-mount.js';
import type { Link } from './mqtt/link.js';
import type { BridgeOptions } from './options.js';
import type { Outgoing } from './outgoing.js';
import type { Presence } from './presence.js';
import type { Fleet } from './protocol/fleet.js';

/** The parts of a bridge that have counters. */
interface BridgeParts {
  readonly link: Link;
  readonly outgoing: Outgoing;
  readonly presence: Presence;
  readonly fleet: Fleet | null;
  readonly mount: FleetMount | null;
  readonly counted: { readonly malformed: number };
}

/** The status of a running bridge, as `--status` gets it. */
export interface BridgeStatus {
  readonly pid: number;
  /** How long it runs, in seconds. */
  readonly seconds: number;
  readonly host: string;
  readonly broker: string;
  readonly isConnected: boolean;
  readonly lastFailure: string;
  readonly connections: number;
  readonly failures: number;
  /** `online`, `checking`, `offline`, or why the name is refused. */
  readonly name: string;
  readonly session: string;
  readonly out: {
    readonly mount: string;
    readonly events: number;
    readonly lost: number;
    readonly messages: number;
    readonly waiting: number;
    readonly unsentLost: number;
    readonly answers: number;
    readonly first: number;
    readonly next: number;
    readonly bytes: number;
  } | null;
  readonly in: {
    readonly mount: string;
    readonly online: number;
    readonly known: number;
    readonly events: number;
    readonly lost: number;
    readonly duplicates: number;
    readonly questions: number;
    readonly refused: number;
  } | null;
  readonly malformed: number;
}

/** Describes a bridge at this moment. */
export function statusOf(bridge: BridgeParts, options: BridgeOptions): BridgeStatus {
  const { link, outgoing, counted } = bridge;
  return {
    pid: process.pid,
    seconds: Math.floor(process.uptime()),
    host: options.host,
    broker: options.broker.name,
    isConnected: link.isOpen,
    lastFailure: link.lastReason,
    connections: link.counted.connections,
    failures: link.counted.failures,
    name: bridge.presence.text,
    session: outgoing.session,
    out: options.out === undefined ? null : outOf(bridge, options.out.mount),
    in: options.in === undefined ? null : inOf(bridge, options.in.mount),
    malformed: counted.malformed,
  };
}

function outOf({ outgoing }: BridgeParts, mount: string): BridgeStatus['out'] {
  const { history, counted } = outgoing;
  return {
    mount,
    events: counted.events,
    lost: counted.lost,
    messages: counted.messages,
    waiting: history.next - 1 - history.acknowledged,
    unsentLost: history.droppedUnsent,
    answers: counted.answers,
    first: history.first,
    next: history.next,
    bytes: history.bytes,
  };
}

function inOf({ fleet, mount: target }: BridgeParts, mount: string): BridgeStatus['in'] {
  const sum = { events: 0, lost: 0, duplicates: 0, questions: 0 };
  const hosts = fleet!.hosts;
  let online = 0;
  for (const { counted, isOnline } of hosts) {
    if (isOnline) online++;
    for (const key of ['events', 'lost', 'duplicates', 'questions'] as const)
      sum[key] += counted[key];
  }
  return { mount, online, known: hosts.length, ...sum, refused: target!.counted.refused };
}

/** A family of metrics: its type, its meaning and its value; undefined leaves it out. */
type Family = readonly [
  name: string,
  type: 'counter' | 'gauge',
  help: string,
  value: number | undefined,
];

const PREFIX = 'eventfs_bridge_';

/** Returns the metrics of the connection and of the way out. */
function outFamilies({
  isConnected,
  name,
  connections,
  failures,
  malformed,
  out,
}: BridgeStatus): Family[] {
  return [
    ['connected', 'gauge', 'Whether the broker has accepted the connection.', flag(isConnected)],
    ['online', 'gauge', 'Whether this host uses its name.', flag(name === 'online')],
    ['connections_total', 'counter', 'Connections that the broker has accepted.', connections],
    ['connection_failures_total', 'counter', 'Connections that have failed or ended.', failures],
    ['malformed_messages_total', 'counter', 'Messages that are not of the protocol.', malformed],
    ['published_events_total', 'counter', 'Local events that passed the filter.', out?.events],
    [
      'published_lost_events_total',
      'counter',
      'Local events that the own queue has lost.',
      out?.lost,
    ],
    ['published_messages_total', 'counter', 'Messages with local events.', out?.messages],
    ['unacknowledged_events', 'gauge', 'Local events that the broker does not have.', out?.waiting],
  ];
}

/** Returns the metrics of the history and of the way in. */
function moreFamilies({ out, in: from }: BridgeStatus): Family[] {
  return [
    [
      'unsent_lost_events_total',
      'counter',
      'Local events that the history dropped unsent.',
      out?.unsentLost,
    ],
    ['answers_total', 'counter', 'Messages that answer questions.', out?.answers],
    ['history_bytes', 'gauge', 'Bytes of the history.', out?.bytes],
    ['hosts', 'gauge', 'Hosts that are online and followed.', from?.online],
    ['received_events_total', 'counter', 'Events of other hosts.', from?.events],
    ['received_lost_events_total', 'counter', 'Events of other hosts that are lost.', from?.lost],
    ['received_duplicates_total', 'counter', 'Messages that came twice.', from?.duplicates],
    ['questions_total', 'counter', 'Questions about missing events.', from?.questions],
    [
      'refused_writes_total',
      'counter',
      "Writes that the fleet's mount has refused.",
      from?.refused,
    ],
  ];
}

/** Formats a status for Prometheus. */
export function metricsOf(status: BridgeStatus): string {
  return [...outFamilies(status), ...moreFamilies(status)]
    .filter(([, , , value]) => value !== undefined)
    .map(
      ([name, type, help, value]) =>
        `# HELP ${PREFIX}${name} ${help}\n# TYPE ${PREFIX}${name} ${type}\n${PREFIX}${name} ${value}\n`,
    )
    .join('');
}

function flag(value: boolean): number {
  return value ? 1 : 0;
}
