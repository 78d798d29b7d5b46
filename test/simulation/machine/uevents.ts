/** The uevents of the simulated kernel, and the mailbox in which a daemon receives them. */
import type { Journal } from '../../../fs/state/journal.js';
import type { StateTable } from '../../../fs/state/table.js';
import { check } from '../model/model.js';
import type { Random } from './random.js';

/** The most uevents of one batch. */
const MOST_EVENTS = 4;

/** One datagram, or a number of lost ones, as the model sees it. */
export interface MailItem {
  readonly datagram: Buffer | number;
  readonly text: string;
  readonly seqnum: number;
}

/** The source's mailbox: the part of a batch of datagrams that outlives the daemon. */
export class Mail {
  /** How many of the items are done. */
  done = 0;

  constructor(
    readonly batch: number,
    readonly items: readonly MailItem[],
  ) {}

  record(journal: Journal): void {
    const { batch, done } = this;
    const none = { gaps: 0, overruns: 0, late: 0, forged: 0, malformed: 0, lossUntold: 0 };
    journal.put('source', { group: 1, last: 0, ...none, skipped: '', batch, done });
  }
}

/** The kernel's events, with SEQNUMs of which other network namespaces take some. */
class KernelEvents {
  /** The last SEQNUM. */
  seqnum = 0;

  constructor(private readonly random: Random) {}

  /** Returns the next datagram, or a loss of the socket. */
  next(): MailItem {
    const { random } = this;
    if (random.once(40)) {
      const count = random.between(1, 9);
      this.seqnum += count;
      return { datagram: count, text: '', seqnum: 0 };
    }
    this.seqnum += random.once(10) ? random.between(2, 5) : 1;
    const devpath = `/devices/${'x'.repeat(random.below(30))}`;
    const lines = [`add@${devpath}`, 'ACTION=add', `DEVPATH=${devpath}`];
    if (!random.once(4)) lines.push(`K=${random.between(1, 3)}`);
    lines.push(`SEQNUM=${this.seqnum}`);
    return {
      datagram: Buffer.from(`${lines.join('\0')}\0`, 'latin1'),
      text: `${lines.join('\n')}\n`,
      seqnum: this.seqnum,
    };
  }
}

/** The mailbox of the daemons, and what they have taken from it. */
export class Mailbox {
  #mail: Mail | null = null;
  #taken = 0;
  #batches = 0;
  readonly #kernel: KernelEvents;

  /** @param took called for each datagram that is done */
  constructor(
    private readonly random: Random,
    private readonly took: (one: MailItem) => void,
  ) {
    this.#kernel = new KernelEvents(random);
  }

  /** The kernel's last SEQNUM. */
  get seqnum(): number {
    return this.#kernel.seqnum;
  }

  /** The batch that a daemon has received last; null before the first. */
  get last(): Mail | null {
    return this.#mail;
  }

  /** Returns the batch that is not done, or receives the next one. */
  receive(): Mail {
    const { random } = this;
    if (this.#mail !== null && this.#mail.done < this.#mail.items.length) return this.#mail;
    const items: MailItem[] = [];
    for (let n = random.between(1, MOST_EVENTS); n > 0; n--) items.push(this.#kernel.next());
    this.#taken = 0;
    return (this.#mail = new Mail(++this.#batches, items));
  }

  /** Notes that the daemon has done one more datagram of the batch. */
  noteTaken(): void {
    this.took(this.#mail!.items[this.#taken++]);
  }

  /** Restores how much of the last batch a dead daemon has done. */
  restore(table: StateTable): void {
    const source = table.get('source', 1);
    const mail = this.#mail;
    if (mail === null) return;
    mail.done = source?.batch === mail.batch ? source.done : 0;
    check(mail.done >= this.#taken, () => `${this.#taken} uevents were taken, ${mail.done} count`);
  }

  /** Notes the datagrams that the dead daemon has done last, which {@link restore} has found. */
  noteRestored(): void {
    while (this.#taken < (this.#mail?.done ?? 0)) this.noteTaken();
  }
}
