/**
 * Requests whose handlers hang. The addon answers them, because JavaScript can't run meanwhile
 * (native/addon/fuse/request_watchdog.h). This side says what to do, and clears up afterwards.
 */
import type { HangOptions } from '#native';
import { InHeader, Opcode } from '../../fuse/abi.js';
import { opcodeName } from '../../fuse/opcodes.js';
import type { Session } from '../../fuse/session.js';
import { errnoText } from '../../shared/errors.js';
import type { Logger } from '../../shared/log/logger.js';
import type { DevFuseOptions } from '../driver.js';
import type { Reads } from './handlers/reads.js';

/** Counts and logs hangs. */
export class Hangs {
  /** How many requests were answered EIO because their handler hung, for `.status`. */
  count = 0;
  /** For the channel. */
  readonly options: HangOptions;

  constructor(
    private readonly session: Session,
    private readonly reads: Pick<Reads, 'interrupt'>,
    private readonly logger: Logger,
    { requestBoundMs, linePrefix }: Pick<DevFuseOptions, 'requestBoundMs' | 'linePrefix'>,
  ) {
    const names = Array.from({ length: Math.max(...Object.values(Opcode)) + 1 }, (_, opcode) =>
      opcodeName(opcode),
    );
    this.options = {
      boundMs: requestBoundMs,
      prefix: linePrefix,
      names,
      onNoTimer: (errno) =>
        logger.warn(
          `timer_create: ${errnoText(errno)}: no bound applies to requests (try ulimit -i unlimited)`,
        ),
    };
  }

  /**
   * Logs a hang that is over. If its handler has parked the request, ends that read: its caller is
   * gone, and it would take an event.
   * @param ms how long the handler has run, at least
   */
  readonly told = (ms: number): void => {
    this.count++;
    const { request } = this.session;
    const words = new Uint32Array(request.bytes.buffer, request.bytes.byteOffset, 4);
    this.reads.interrupt(words[InHeader.unique >>> 2], words[(InHeader.unique >>> 2) + 1]);
    this.logger.error(
      `${this.session.current} from pid ${request.pid}: its handler took ${(ms / 1000).toFixed(1)} s; its caller got EIO after ${this.options.boundMs / 1000} s (report this bug)`,
    );
  };
}
