/**
 * Checks the histories of all clients of one run. docs/testing.md has the rules.
 *
 * The histories are read twice: the calls of publishers, owners' births and deaths first, then all
 * calls against them.
 */
import { constants } from 'node:os';
import { Findings } from './findings.js';
import type { Call, History } from './lines.js';
import { NamesModel } from './names-model.js';
import { Published } from './published.js';
import { Queues } from './queues.js';

const { errno } = constants;

/** The errors that no client gets from a filesystem that works. */
const FORBIDDEN: ReadonlySet<number> = new Set(
  [
    errno.EIO,
    errno.ENOSYS,
    errno.ENOTCONN,
    errno.ECONNABORTED,
    errno.ECANCELED,
    errno.EPROTO,
    errno.EFAULT,
    errno.ENOMEM,
    errno.ENODEV,
    errno.ETIMEDOUT,
    errno.EINVAL,
  ].map((number) => -number),
);

/** The files of a directory that are there as long as its owner lives. */
const ALWAYS_THERE = /^[^/]+(\/(\.stream|\.status))?$/;

/** How many calls of a client stand in a violation of its model. */
const MOST_RECENT = 16;

const shown = ({ operation, words, result }: Call): string =>
  `${operation} ${words.join(' ')} = ${result}`;

/** The bounds of a check. */
interface Bounds {
  /** The longest call, and the longest wait for an event that is there, in nanoseconds. */
  readonly longest: number;
}

/** When an owner's directory was made, and when its owner died. */
interface Life {
  made: number;
  deathBegan: number;
  died: number;
}

/** The check of one run. */
class Check {
  readonly findings = new Findings();
  readonly #published = new Map<number, Published>();
  readonly #lives = new Map<string, Life>();
  readonly #queues: Queues;

  constructor(
    private readonly histories: readonly History[],
    private readonly bounds: Bounds,
  ) {
    this.#queues = new Queues(this.#published, this.findings, bounds.longest);
  }

  run(): Findings {
    for (const history of this.histories)
      for (const call of history.calls) this.#note(history, call);
    for (const history of this.histories) this.#check(history);
    this.#queues.finish();
    return this.findings;
  }

  /** Notes the facts that calls of other clients are checked against. */
  #note(history: History, call: Call): void {
    const { role } = history;
    if (role === 'publish' || role === 'send') {
      const [id, first, count] = call.words.map(Number);
      const published = this.#published.get(id) ?? new Published(role === 'publish');
      this.#published.set(id, published);
      published.add(call, first, count);
      if (call.result >= 0) this.findings.figures.published += count;
    } else if (call.operation === 'subscribe') this.#queues.subscribe(history, call);
    else if (call.operation === 'death') {
      const life = this.#life(call.words[0]);
      life.deathBegan = call.start;
      life.died = call.end;
      this.findings.figures.deaths++;
    } else if (role === 'owner' && call.operation === 'mkdir' && call.result === 0)
      this.#life(call.words[0]).made = call.end;
  }

  #life(directory: string): Life {
    const life = this.#lives.get(directory) ?? {
      made: Infinity,
      deathBegan: Infinity,
      died: Infinity,
    };
    this.#lives.set(directory, life);
    return life;
  }

  #check(history: History): void {
    if (history.role === 'read') return this.#queues.check(history);
    if (history.role === 'books') return this.#checkBooks(history);
    const model = history.role === 'names' ? new NamesModel() : null;
    let isKnown = true;
    const recent: Call[] = [];
    for (const call of history.calls) {
      this.findings.figures.calls++;
      if (call.operation === 'death') continue;
      this.findings.timed(history, call, this.bounds.longest);
      const isRight = this.#checkResult(history, call);
      // After such an error the model does not know whether the call was carried out.
      isKnown &&= isRight;
      recent.push(call);
      if (recent.length > MOST_RECENT) recent.shift();
      const why = model !== null && isKnown ? model.apply(call) : null;
      if (why === null) continue;
      this.findings.add('names', history, call, `${why}, after ${recent.map(shown).join('; ')}`);
      isKnown = false;
    }
  }

  /** Checks a call's result by itself. @returns false if the call failed because of the daemon */
  #checkResult(history: History, call: Call): boolean {
    const { role } = history;
    const { result } = call;
    const mustSucceed = role === 'publish' || role === 'send' || role === 'owner';
    const isHarmless = result === -errno.EINTR || (role === 'owner' && result === -errno.EAGAIN);
    if (FORBIDDEN.has(result) || (mustSucceed && result < 0 && !isHarmless)) {
      this.findings.add('failed', history, call, 'the call failed');
      return false;
    }
    if (role === 'look') this.#checkLife(history, call);
    return true;
  }

  /**
   * Checks that no success begins after a visible death, and that no failure lies within a life.
   */
  #checkLife(history: History, call: Call): void {
    const [path] = call.words;
    const life = this.#lives.get(path.split('/')[0]);
    if (life === undefined) return;
    if (call.result >= 0 && call.start > life.died)
      this.findings.add(
        'dead',
        history,
        call,
        `it began ${call.start - life.died} ns after the death`,
      );
    const isGone = call.result === -errno.ENOENT || call.result === -errno.ESTALE;
    if (isGone && ALWAYS_THERE.test(path) && call.start > life.made && call.end < life.deathBegan)
      this.findings.add('alive', history, call, 'its owner lives');
  }

  /** Checks that the counters at the end are those at the start. */
  #checkBooks(history: History): void {
    const lines = [...history.calls];
    for (const line of lines)
      if (line.words.join(' ') !== lines[0].words.join(' '))
        this.findings.add('books', history, line, `at the start: ${lines[0].words.join(' ')}`);
  }
}

/** Checks the histories of all clients of one run. */
export function checkHistories(histories: readonly History[], bounds: Bounds): Findings {
  return new Check(histories, bounds).run();
}
