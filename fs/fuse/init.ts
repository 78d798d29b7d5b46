/** INIT: the version and the flags that the kernel and the daemon agree on, once for a mount. */
import { Errno } from '../shared/errors.js';
import {
  FUSE_HAS_RESEND,
  FUSE_KERNEL_MINOR_VERSION,
  FUSE_KERNEL_VERSION,
  FUSE_NO_EXPORT_SUPPORT,
  FUSE_OVER_IO_URING,
  FUSE_REQUEST_TIMEOUT,
  InitFlag,
  OLDEST_MINOR_VERSION,
  Size,
} from './abi.js';
import type { Reply } from './reply.js';
import { type Request, ShortRequest } from './request.js';
import { MAX_WRITE_BYTES } from '../shared/kernel/write-size.js';
import { MAX_PAGES } from './sizes.js';

/**
 * The most RELEASEs that the kernel sends before the first of them is answered. The others wait
 * apart from its queue, and requests that were made after them overtake them. So there is room for
 * two processes that end with a thousand open files each. The users take turns
 * (native/addon/device/fair_queue.h).
 */
const MAX_BACKGROUND = 2048;
/** The same with io_uring, where users take no turns: their closes would delay all others. */
const MAX_BACKGROUND_OF_RING = 64;

/**
 * The INIT flags that the daemon requests if the kernel offers them. It never requests
 * FUSE_NO_OPENDIR_SUPPORT and FUSE_CACHE_SYMLINKS (docs/design.md, section 4).
 */
const WANTED_FLAGS =
  bit(InitFlag.FUSE_ASYNC_READ) |
  bit(InitFlag.FUSE_ATOMIC_O_TRUNC) |
  bit(InitFlag.FUSE_BIG_WRITES) |
  bit(InitFlag.FUSE_PARALLEL_DIROPS) |
  bit(InitFlag.FUSE_ABORT_ERROR) |
  bit(InitFlag.FUSE_MAX_PAGES);

function bit(n: number): number {
  return 1 << n;
}

/** The calls by which the session tells the driver of the negotiation. */
interface Negotiation {
  /** Called when the kernel and the daemon have agreed on a version. */
  onNegotiated(): void;
  /**
   * Called when the kernel lacks what eventfs needs.
   *
   * @param why with a remedy
   */
  onUnsuitable(why: string): void;
  /**
   * Called when the kernel offers io_uring.
   *
   * @returns whether the driver accepts it; if so, the driver has already set it up
   */
  onRingOffered(): boolean;
  /** Whether a kernel without FUSE_NOTIFY_RESEND is unsuitable (default: no). */
  readonly needsResend?: boolean;
}

/** The kernel's part of a fuse_init_in. */
interface Offer {
  readonly major: number;
  readonly minor: number;
  readonly maxReadahead: number;
  readonly flags: number;
  readonly flags2: number;
}

/** The negotiation of one connection. */
export class Init {
  /** The negotiated minor version; -1 before INIT. */
  minor = -1;
  #negotiation: Negotiation | null = null;
  #requestTimeoutS = 0;

  /** Attaches the driver. The driver calls this before INIT comes. */
  attach(negotiation: Negotiation): void {
    this.#negotiation = negotiation;
  }

  /**
   * Sets the age of a request at which the kernel shall end the connection, before INIT comes.
   *
   * @param seconds 0 for the kernel's own choice
   */
  limitRequests(seconds: number): void {
    this.#requestTimeoutS = seconds;
  }

  /**
   * Continues a connection that another daemon has negotiated.
   *
   * @param minor the negotiated minor version
   */
  adopt(minor: number): void {
    this.minor = minor;
  }

  /**
   * Negotiates INIT, which mount(2) causes. The reply is a fuse_init_out, or EPROTO if the kernel
   * is older than 7.31.
   *
   * @returns the reply's length in bytes
   * @throws ShortRequest if the request has no room for a fuse_init_in
   */
  answer(request: Request, reply: Reply): number {
    if (request.rest < Size.fuse_init_in) throw new ShortRequest('FUSE_INIT is too short');
    const offer = readOffer(request);
    const { major, minor, flags2: offered2 } = offer;
    if (
      major < FUSE_KERNEL_VERSION ||
      (major === FUSE_KERNEL_VERSION && minor < OLDEST_MINOR_VERSION)
    ) {
      this.#negotiation?.onUnsuitable(
        `the kernel has FUSE ${major}.${minor}, but eventfs needs ${FUSE_KERNEL_VERSION}.${OLDEST_MINOR_VERSION} (run Linux 5.4 or newer)`,
      );
      return reply.error(reply.refuse(Errno.EPROTO, 'the kernel is too old'));
    }
    if (this.#negotiation?.needsResend === true && (offered2 & FUSE_HAS_RESEND) === 0) {
      this.#negotiation.onUnsuitable(
        'the kernel can not send unanswered requests again, so no daemon can take over (run Linux 6.9 or newer, or mount without --guard)',
      );
      return reply.error(reply.refuse(Errno.EPROTO, 'the kernel is too old for --guard'));
    }
    return this.#accept(offer, reply);
  }

  /** Writes the fuse_init_out. */
  #accept({ major, minor, maxReadahead, flags, flags2: offered2 }: Offer, reply: Reply): number {
    reply.u32(FUSE_KERNEL_VERSION);
    // A node may end, so a client has no use for its file handle (name_to_handle_at(2)). Without
    // export support the kernel creates none.
    let flags2 = offered2 & FUSE_NO_EXPORT_SUPPORT;
    if (this.#requestTimeoutS > 0) flags2 |= offered2 & FUSE_REQUEST_TIMEOUT;
    if (major > FUSE_KERNEL_VERSION) {
      // If the kernel's major version is newer, the daemon replies with its own, and the kernel
      // sends INIT again in that version.
      reply.u32(FUSE_KERNEL_MINOR_VERSION);
    } else {
      this.minor = Math.min(minor, FUSE_KERNEL_MINOR_VERSION);
      reply.u32(this.minor);
      if ((offered2 & FUSE_OVER_IO_URING) !== 0 && this.#negotiation?.onRingOffered() === true)
        flags2 |= FUSE_OVER_IO_URING;
      this.#negotiation?.onNegotiated();
    }
    reply.u32(maxReadahead);
    reply.u32((flags & WANTED_FLAGS) | (flags2 === 0 ? 0 : bit(InitFlag.FUSE_INIT_EXT)));
    // u16 max_background, u16 congestion_threshold
    const isRing = (flags2 & FUSE_OVER_IO_URING) !== 0;
    const background = isRing ? MAX_BACKGROUND_OF_RING : MAX_BACKGROUND;
    reply.u32(background | (((background * 3) / 4) << 16));
    reply.u32(MAX_WRITE_BYTES);
    reply.u32(1); // time_gran: nanoseconds
    reply.u32(MAX_PAGES); // u16 max_pages, u16 map_alignment
    reply.u32(flags2);
    reply.u32(0); // max_stack_depth
    reply.u32((flags2 & FUSE_REQUEST_TIMEOUT) === 0 ? 0 : this.#requestTimeoutS); // u16, and unused
    for (let word = 11; word < Size.fuse_init_out >>> 2; word++) reply.u32(0);
    return reply.end();
  }
}

function readOffer(request: Request): Offer {
  const major = request.u32();
  const minor = request.u32();
  const maxReadahead = request.u32();
  const flags = request.u32();
  const isExtended = (flags & bit(InitFlag.FUSE_INIT_EXT)) !== 0 && request.rest >= 4;
  return { major, minor, maxReadahead, flags, flags2: isExtended ? request.u32() : 0 };
}
