/** Open files of a daemon before this one, whose directory has ended. */
import { Errno, FsError } from '../../../shared/errors.js';
import { QUEUE_STREAM_PRICE } from '../../prices.js';
import type { QuotaAccount } from '../../quota/account.js';
import { Kind } from '../../../state/schema.js';
import { Handle, type HandleType, Lifetime, Node, type NodeId } from '../node.js';

const ENDED = 'the directory has ended';

/** A node that has ended. */
class EndedNode extends Node {
  readonly mode = 0;

  /** @throws FsError ESTALE */
  attributes(): never {
    throw new FsError(Errno.ESTALE, ENDED);
  }

  /** @throws FsError ESTALE */
  open(): never {
    throw new FsError(Errno.ESTALE, ENDED);
  }
}

/** An open file of which only the number is left: each request for it fails until it is closed. */
export class EndedHandle extends Handle {
  /**
   * @param id the id that the node had
   * @param streamAccount the account that is charged for a `.stream` until it is closed; else null
   */
  constructor(
    id: NodeId,
    private readonly streamAccount: QuotaAccount | null,
  ) {
    const lifetime = new Lifetime();
    lifetime.isEnded = true;
    super(new EndedNode(id, lifetime));
  }

  override get recordType(): HandleType {
    return 'ended';
  }

  protected override get recordNumbers(): string {
    return this.streamAccount === null ? '0' : '1';
  }

  override release(): void {
    this.streamAccount?.refundAll(QUEUE_STREAM_PRICE);
  }

  /** Also drops the rest of a record: the next open file may get the same number. */
  override forgetRecord(): void {
    this.recorder?.dropped(Kind.cursor, this.fh);
    super.forgetRecord();
  }
}
