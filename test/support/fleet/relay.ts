/** A relay between bridges and a broker: see relay-process.ts. */
import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { until } from '../mount/daemon.js';
import type { Broker } from './broker.js';
import { enterHub } from './network.js';

/** The orders for the packets of all connections. */
export interface RelayOrders {
  /** The next events are answered with this reason code, and do not come to the broker. */
  readonly refuse?: { readonly code: number; readonly count: number };
  /** How many messages may be in flight, as the broker's answer to a connection says. */
  readonly receiveMaximum?: number;
  /** No acknowledgement of the broker comes back. */
  readonly keepsAcknowledgements?: boolean;
  /** No pong of the broker comes back. */
  readonly keepsPongs?: boolean;
  /** Subscriptions to the events of hosts are refused. */
  readonly refusesSubscriptions?: boolean;
  /** No question and no call of a client comes to the broker. */
  readonly keepsQuestions?: boolean;
}

/** The packets that the relay has seen. */
export interface RelayReport {
  mostInFlight: number;
  refused: number;
  /** The first packet of each connection. */
  readonly firstPackets: string[];
  /** Messages with events. */
  events: number;
}

const PORT_OFFSET = 1000;

/** A running relay in the hub. It ends with this process. */
export class Relay {
  #report: RelayReport | null = null;
  #isReady = false;

  private constructor(
    readonly url: string,
    private readonly child: ChildProcess,
  ) {
    child.on('message', (message) => {
      if (message === 'ready') this.#isReady = true;
      else this.#report = message as RelayReport;
    });
  }

  static async start(broker: Broker, orders: RelayOrders = {}): Promise<Relay> {
    const port = broker.port + PORT_OFFSET;
    const script = join(import.meta.dirname, 'relay-process.js');
    const [program, ...words] = [...(await enterHub()), process.execPath, script];
    const args = [...words, broker.address, String(broker.port), String(port)];
    const child = spawn(program, args, { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
    const relay = new Relay(`mqtt://${broker.address}:${port}`, child);
    await until(() => relay.#isReady, 'the relay does not listen', 5000);
    relay.order(orders);
    return relay;
  }

  order(orders: RelayOrders): void {
    this.child.send(orders);
  }

  async report(): Promise<RelayReport> {
    this.#report = null;
    this.child.send('report');
    return until(
      () => this.#report ?? undefined,
      'the relay does not report',
    ) as Promise<RelayReport>;
  }

  stop(): void {
    this.child.kill('SIGKILL');
  }
}
