/** The violations that the checker finds, and its figures. */
import type { Call, History } from './lines.js';

/** The most violations of a rule that are kept; the others are counted. */
const MOST_KEPT = 10;

/** The rules of a history; docs/testing.md explains each. */
type Rule =
  'dead' | 'alive' | 'order' | 'repeat' | 'sum' | 'late' | 'hung' | 'failed' | 'names' | 'books';

/** The figures of a check. */
interface Figures {
  calls: number;
  published: number;
  delivered: number;
  lost: number;
  deaths: number;
  /** The longest call that may not wait for an event, in nanoseconds. */
  longestCall: number;
  /** The longest time from the end of a publisher's call to the waiting reader's return. */
  longestWait: number;
}

/** Collects violations. */
export class Findings {
  readonly violations: { readonly rule: Rule; readonly text: string }[] = [];
  readonly counts = new Map<Rule, number>();
  readonly figures: Figures = {
    calls: 0,
    published: 0,
    delivered: 0,
    lost: 0,
    deaths: 0,
    longestCall: 0,
    longestWait: 0,
  };

  /** Notes a violation. */
  add(rule: Rule, { client }: History, call: Call | null, why: string): void {
    const count = (this.counts.get(rule) ?? 0) + 1;
    this.counts.set(rule, count);
    if (count > MOST_KEPT) return;
    const what =
      call === null
        ? ''
        : `:${call.line}: ${call.operation} ${call.words.join(' ').slice(0, 120)} = ${call.result}`;
    this.violations.push({ rule, text: `${rule}: ${client}${what}: ${why}` });
  }

  /** Notes a call that may not wait for an event. `bound` is in nanoseconds. */
  timed(history: History, call: Call, bound: number): void {
    const took = call.end - call.start;
    if (took > this.figures.longestCall) this.figures.longestCall = took;
    if (took > bound) this.add('hung', history, call, `it took ${(took / 1e6).toFixed(0)} ms`);
  }

  /** Returns the report: the figures, then a line for each violation. */
  report(): string {
    const f = this.figures;
    const ms = (ns: number): string => `${(ns / 1e6).toFixed(1)} ms`;
    const head = `${f.calls} calls, ${f.published} events published, ${f.delivered} delivered, ${f.lost} lost with a record, ${f.deaths} deaths; longest call ${ms(f.longestCall)}, longest wait ${ms(f.longestWait)}`;
    const counts = [...this.counts].map(([rule, count]) => `${rule} ${count}`).join(', ');
    const lines = this.violations.map(({ text }) => text);
    return [head, ...(counts === '' ? [] : [`violations: ${counts}`]), ...lines].join('\n');
  }
}
