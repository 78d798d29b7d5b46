/** The trace of the calls of libfuse: one line for each call, and one for its answer. */
import type { Signal } from 'fuse-native';
import { errnoName } from '../../shared/errors.js';
import { quoted } from '../../shared/escape.js';
import type { TraceLine } from '../../shared/log/trace.js';

/** Serves a call: the rest of the arguments are the call's. */
type Work = (signal: Signal, ...rest: readonly unknown[]) => void;

/** Writes the lines of all calls of a session. */
export class CallTrace {
  /** How many calls were traced. */
  #traced = 0;

  /**
   * @param line writes a line of the trace
   * @param reason returns why the call that has just failed has failed; its argument is the call's
   *   first one, mostly a path
   */
  constructor(
    private readonly line: TraceLine,
    private readonly reason: (first: unknown) => string | undefined,
  ) {}

  /** Serves a call by `work`, with a line before it and a line for its answer. */
  serve(name: string, work: Work, signal: Signal, rest: readonly unknown[]): void {
    const id = ++this.#traced;
    this.line(`-> #${id} ${name} ${rest.map(shown).join(' ')}`, {
      unique: String(id),
      opcode: name,
    });
    let isAnswered = false;
    let isParked = false;
    const tell: Signal = (result, ...more) => {
      const why =
        result >= 0
          ? undefined
          : isParked
            ? 'a signal interrupted the reader, or its read blocked another call'
            : this.reason(rest[0]);
      const outcome =
        result < 0
          ? `${errnoName(-result)}${why === undefined ? '' : ` (${why})`}`
          : `OK${result > 0 ? ` ${result}` : ''}${isParked ? ' (was parked)' : ''}`;
      this.line(`<- #${id} ${outcome}`, {
        unique: String(id),
        opcode: name,
        errno: result < 0 ? errnoName(-result) : undefined,
        reason: why,
      });
      isAnswered = true;
      signal(result, ...more);
    };
    work(tell, ...rest);
    if (isAnswered) return;
    isParked = true;
    this.line(`<- #${id} (parked)`, { unique: String(id), opcode: name });
  }
}

/** Returns an argument of a call as text for the trace. */
function shown(argument: unknown): string {
  if (typeof argument === 'string') return quoted(Buffer.from(argument).toString('latin1'));
  return argument instanceof Uint8Array ? `<${argument.length} bytes>` : String(argument);
}
