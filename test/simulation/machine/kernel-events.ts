/** The uevents of the simulated kernel. */
import type { MailItem } from './daemon.js';
import type { Random } from './random.js';

/** The kernel's events, with SEQNUMs of which other network namespaces take some. */
export class KernelEvents {
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
