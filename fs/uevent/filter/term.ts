/** One term of a filter: a key, an operator and the patterns of its value. */
import { type Matchable, kernelName, tagsOf } from '../values.js';
import type { Glob } from './glob.js';

/** The extra cost of a pattern for TAGS, in units: it is matched with each tag, not one value. */
const TAGS_COST = 400;

/*
 * Bytes of heap, as measured. test/unit/bus/filter-memory.test.ts compares the sum with a real
 * heap.
 */
const POINTER_BYTES = 8;
const STRING_BYTES = 32;
const TERM_BYTES = 160;

/** `KEY==pattern` or `KEY!=pattern`. */
export class Term {
  constructor(
    readonly key: string,
    readonly negated: boolean,
    /** The parts that `|` separates; at least one. */
    readonly alternatives: readonly Glob[],
  ) {}

  /** The term's canonical text. */
  get text(): string {
    const pattern = this.alternatives.map((glob) => glob.pattern).join('|');
    // A pattern has a `"` only after a backslash, so nothing needs an escape here.
    const quote = pattern === '' || /[ \t\r\v\f\n,;]/.test(pattern) ? '"' : '';
    return `${this.key}${this.negated ? '!=' : '=='}${quote}${pattern}${quote}`;
  }

  /** The most that a match can cost, in units (see glob.ts). */
  get cost(): number {
    const more = this.key === 'TAGS' ? TAGS_COST : 0;
    return this.alternatives.reduce(
      (sum, glob) => sum + glob.cost + (glob.literal === null ? more : 0),
      1,
    );
  }

  /** The most heap that the term takes, in bytes. */
  get memory(): number {
    return this.alternatives.reduce(
      (sum, glob) => sum + POINTER_BYTES + glob.memory + STRING_BYTES,
      TERM_BYTES,
    );
  }

  /** The values of which an event must have one, or null if they cannot be listed. */
  get literals(): readonly string[] | null {
    const literals = this.alternatives
      .map((glob) => glob.literal)
      .filter((literal) => literal !== null);
    return literals.length === this.alternatives.length ? literals : null;
  }

  /** Returns whether the event matches the term. */
  matches(event: Matchable): boolean {
    return this.takes(event) !== this.negated;
  }

  private takes(event: Matchable): boolean {
    switch (this.key) {
      case 'ACTION':
        return this.takesValue(event.action);
      case 'DEVPATH':
        return this.takesValue(event.devpath);
      case 'KERNEL':
        return this.takesValue(event.kernel ?? kernelName(event.devpath));
      case 'SOURCE':
        return this.takesValue(event.source ?? '');
      case 'TAGS':
        return this.takesTag(event.tags ?? tagsOf(event.property('TAGS')));
      default:
        return this.takesValue(event.property(this.key) ?? '');
    }
  }

  private takesTag(tags: ReadonlySet<string>): boolean {
    for (const glob of this.alternatives) {
      const { literal } = glob;
      if (literal !== null) {
        if (tags.has(literal)) return true;
      } else {
        for (const tag of tags) if (glob.matches(tag)) return true;
      }
    }
    return false;
  }

  private takesValue(value: string): boolean {
    for (const glob of this.alternatives) {
      if (glob.matches(value)) return true;
    }
    return false;
  }
}

/** Terms that must all match. */
export type Rule = readonly Term[];

export function ruleMatches(rule: Rule, event: Matchable): boolean {
  for (const term of rule) {
    if (!term.matches(event)) return false;
  }
  return true;
}
