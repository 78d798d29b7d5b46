/**
 * Filters, which decide the events that a queue takes: the parser and matcher of udev's match
 * syntax.
 *
 * A filter is plain data. Its canonical `text` describes it completely: `Filter.parse(filter.text)`
 * is the same filter. So filters are shown, compared and stored as text.
 */
import { SEARCHED_BYTES } from './glob.js';
import { NO_FILTER_LIMITS, OversizedFilter } from './limits.js';
import { Parser } from './parser.js';
import { type Rule, ruleMatches } from './term.js';
import { type Way, waysOf } from './ways.js';
import type { Matchable } from '../values.js';

export { FILTER_LIMITS, type FilterLimits, NO_FILTER_LIMITS, OversizedFilter } from './limits.js';
export { FilterError } from './parser.js';
export type { Way } from './ways.js';
export type { Matchable } from '../values.js';

/*
 * Bytes of heap, as measured. test/unit/bus/filter-memory.test.ts compares the sum with a real
 * heap.
 */
const RULE_BYTES = 40;
const FILTER_BYTES = 640;

/** A parsed filter. It matches events, and knows its cost. */
export class Filter {
  /** The most that a match of one event can cost, in units (see glob.ts). */
  readonly cost: number;
  /** The most heap that the filter takes with its place in a {@link FilterIndex}, in bytes. */
  readonly memory: number;

  private constructor(
    /** One rule a line, without comments, unneeded quotes or a newline at the end. */
    readonly text: string,
    private readonly rules: readonly Rule[],
    parsedBytes: number,
  ) {
    const terms = rules.flat();
    this.cost = terms.reduce((sum, term) => sum + term.cost, rules.length);
    const parsed = terms.reduce((sum, term) => sum + term.memory, rules.length * RULE_BYTES);
    // The keys and patterns are slices of the parsed text, which they keep in memory.
    this.memory = this.all ? 0 : FILTER_BYTES + parsedBytes + text.length + parsed;
  }

  /**
   * Parses a filter. Throws no other errors than these.
   * @param text latin1, one character a byte
   * @param limits the bounds of the filter
   * @throws FilterError if the text is not a filter
   * @throws OversizedFilter if the filter exceeds a limit
   */
  static parse(text: string, limits = NO_FILTER_LIMITS): Filter {
    if (text.length > limits.text) throw new OversizedFilter('text', limits.text);
    const rules = new Parser(text, limits).filter();
    const canonical = rules.map((rule) => rule.map((term) => term.text).join(', ')).join('\n');
    return new Filter(canonical, rules.slice(), text.length);
  }

  /**
   * Returns the most that a match of an event can cost, in units. For a short event it is less than
   * `cost`, because a search ends with the value.
   * @param bytes the length of the event's text
   */
  costOf(bytes: number): number {
    return this.cost * Math.min(1, bytes / SEARCHED_BYTES);
  }

  /** Returns whether a term of the filter has this key. */
  hasKey(key: string): boolean {
    return this.rules.some((rule) => rule.some((term) => term.key === key));
  }

  /** Whether the filter takes every event: no rule restricts it. */
  get all(): boolean {
    return this.rules.length === 0;
  }

  /** The keys of all terms, in order. */
  get keys(): string[] {
    return this.rules.flatMap((rule) => rule.map(({ key }) => key));
  }

  /**
   * Returns the ways by which an index can find the filter's events: one list for each rule that
   * can match at all. For an event that matches the filter, there is a rule of which every way
   * finds the event. A rule with an empty list can match any event. Wildcards are not evaluated: in
   * `SUBSYSTEM==usb|net, SUBSYSTEM!=u*` the value usb stays.
   */
  ways(): readonly (readonly Way[])[] {
    return this.rules.map(waysOf).filter((ways) => ways !== null);
  }

  /** Returns whether the filter takes the event. */
  matches(event: Matchable): boolean {
    if (this.all) return true;
    for (const rule of this.rules) {
      if (ruleMatches(rule, event)) return true;
    }
    return false;
  }
}
