/**
 * Filters, which decide the events that a queue takes: the parser and matcher of udev's match
 * syntax.
 *
 * A filter is plain data. Its canonical `text` describes it completely: `Filter.parse(filter.text)`
 * is the same filter. So filters are shown, compared and stored as text.
 */

import { type Glob, SEARCHED_BYTES, compileGlob } from './glob.js';

/** The values that a filter matches. They are latin1: one character a byte. */
export interface Matchable {
  /** The action, from the header line or from ACTION. */
  readonly action: string;
  readonly devpath: string;
  /** {@link kernelName} of devpath, if the event computes it once for all filters. */
  readonly kernel?: string;
  /** {@link tagsOf} TAGS, if the event computes them once for all filters. */
  readonly tags?: ReadonlySet<string>;
  /** Returns the value of a property, or undefined if the event has none. */
  property(key: string): string | undefined;
}

/** The bounds of a filter. */
export interface FilterLimits {
  /** The most bytes of text. */
  readonly text: number;
  /** The most terms, in all rules together. */
  readonly terms: number;
  /** The most alternatives of one term. */
  readonly alternatives: number;
}

/** The daemon's limits if the configuration sets none. */
export const FILTER_LIMITS: FilterLimits = { text: 4 * 1024, terms: 64, alternatives: 32 };

/** The limits for programs that filter events themselves: none. */
export const NO_FILTER_LIMITS: FilterLimits = {
  text: Infinity,
  terms: Infinity,
  alternatives: Infinity,
};

/** The text is not a filter: `column 12: expected == or != after SUBSYSTEM`. */
export class FilterError extends Error {
  override readonly name = 'FilterError';

  /**
   * @param column the place of the error in the text, in bytes, from 1
   * @param expected the token that the parser expected there
   */
  constructor(
    readonly column: number,
    readonly expected: string,
  ) {
    super(`column ${column}: expected ${expected}`);
  }
}

/** The text is a filter that exceeds a limit: `a filter has at most 64 terms`. */
export class OversizedFilter extends Error {
  override readonly name = 'OversizedFilter';

  /**
   * @param what the limit that the filter exceeds
   * @param most the limit's value
   */
  constructor(
    readonly what: keyof FilterLimits,
    most: number,
  ) {
    super(
      {
        text: `a filter has at most ${most} bytes`,
        terms: `a filter has at most ${most} terms`,
        alternatives: `a term has at most ${most} alternatives`,
      }[what],
    );
  }
}

/**
 * A way to find a rule's events in an index: each of them has one of these values of the key. Never
 * '', which a missing key has too.
 */
export interface Way {
  readonly key: string;
  readonly values: readonly string[];
}

/** `KEY==pattern` or `KEY!=pattern`. */
class Term {
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
type Rule = readonly Term[];

/** The most tags that are read. udev's own rules give a device ten tags at most. */
const MOST_TAGS = 64;
/** The most bytes of TAGS that are read. */
const MOST_TAGS_BYTES = 4 * 1024;
/** The extra cost of a pattern for TAGS, in units: it is matched with each tag, not one value. */
const TAGS_COST = 400;

/*
 * Bytes of heap, as measured. test/unit/bus/filter-memory.test.ts compares the sum with a real
 * heap.
 */
const POINTER_BYTES = 8;
const STRING_BYTES = 32;
const TERM_BYTES = 160;
const RULE_BYTES = 40;
const FILTER_BYTES = 512;

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

  /** Whether the filter takes every event: no rule restricts it. */
  get all(): boolean {
    return this.rules.length === 0;
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

function ruleMatches(rule: Rule, event: Matchable): boolean {
  for (const term of rule) {
    if (!term.matches(event)) return false;
  }
  return true;
}

/**
 * Returns the value of KERNEL: the last part of DEVPATH. Drivers write `!` for a `/` in a name
 * (`cciss!c0d0`); eventfs turns it back, as udev does.
 */
export function kernelName(devpath: string): string {
  return devpath.slice(devpath.lastIndexOf('/') + 1).replaceAll('!', '/');
}

const NO_TAGS: ReadonlySet<string> = new Set(['']);

/**
 * Splits a value of TAGS: `:a:b:` has the tags a and b. A value without tags has one empty tag, as
 * a missing property has an empty value. The tags after the first MOST_TAGS tags or MOST_TAGS_BYTES
 * bytes are ignored.
 * @param value latin1, one character a byte
 */
export function tagsOf(value = ''): ReadonlySet<string> {
  const tags = new Set<string>();
  for (const tag of value.slice(0, MOST_TAGS_BYTES).split(':', 2 * MOST_TAGS))
    if (tag !== '' && tags.size < MOST_TAGS) tags.add(tag);
  return tags.size > 0 ? tags : NO_TAGS;
}

/**
 * Returns the ways of one rule (see `Filter.ways`), or null if the rule can match no event. The
 * time is linear in the rule's length. Wildcards would need values times patterns.
 */
function waysOf(rule: Rule): readonly Way[] | null {
  const required = new Map<string, Set<string>>();
  const tagged: Way[] = [];
  for (const { key, negated, literals } of rule) {
    if (negated || literals === null) continue;
    const known = required.get(key);
    if (key === 'TAGS')
      tagged.push({ key, values: [...new Set(literals)] }); // each term can match another tag
    else
      required.set(
        key,
        new Set(known === undefined ? literals : literals.filter((literal) => known.has(literal))),
      );
  }
  for (const { key, negated, alternatives } of rule) {
    if (negated)
      for (const { literal } of alternatives)
        if (literal !== null) required.get(key)?.delete(literal);
  }
  const ways = [...required].map(([key, values]) => ({ key, values: [...values] }));
  if (ways.some(({ values }) => values.length === 0)) return null;
  return [...ways, ...tagged].filter(({ values }) => !values.includes(''));
}

/*
 * The grammar. A text without a rule takes every event.
 *
 *     filter      = line { NEWLINE line }                      one line or another: OR
 *     line        = comment | [ rule ] { ";" [ rule ] }        one rule or another: OR
 *     comment     = "#" { any byte but NEWLINE }
 *     rule        = term { "," term }                          every term: AND
 *     term        = key operator pattern
 *     key         = ( letter | "_" ) { letter | digit | "_" | "." }
 *     operator    = "==" | "=" | "!="                          "=" is "=="
 *     pattern     = part { "|" part }                          one part or another
 *     part        = '"' alternative { "|" alternative } '"' | word
 *     alternative = { escape | any byte but '"' "|" }          "" matches the empty string
 *     word        = { escape | any byte but '"' "|" "," ";" blank NEWLINE }
 *     escape      = "\" any byte
 *     blank       = { SPACE | TAB | CR | VT | FF | "\" NEWLINE }
 *
 * - Blanks may stand around every term, operator, pattern and "|", and before a comment.
 * - "\" NEWLINE is a blank, as in udev's rules, but an escape within quotes.
 * - A word may be empty only beside a "|". The empty pattern is written "".
 * - A NUL is an error anywhere: no event has one, so it can only be the end of a C string that a
 *   program has passed by mistake.
 * - Each alternative and each word is a pattern of fnmatch(3): see glob.ts. The parser splits at
 *   separators first: inside a bracket expression they need quotes or a "\" too, and "|" always
 *   needs a "\".
 */
class Parser {
  private at = 0;
  private terms = 0;

  constructor(
    private readonly text: string,
    private readonly limits: FilterLimits,
  ) {}

  /**
   * Parses the whole text.
   * @throws FilterError
   * @throws OversizedFilter
   */
  filter(): Rule[] {
    const nul = this.text.indexOf('\0');
    if (nul >= 0) {
      this.at = nul;
      throw this.expected('no NUL byte');
    }

    const rules: Rule[] = [];
    let lineBegins = true;
    for (;;) {
      this.skipBlanks();
      if (lineBegins && this.next() === '#') this.skipLine();
      else if (!this.ruleEnds()) rules.push(this.rule());
      if (this.at === this.text.length) return rules;
      lineBegins = this.next() === '\n';
      this.at += 1;
    }
  }

  private rule(): Rule {
    const terms = [this.term('a key, such as SUBSYSTEM or ACTION')];
    while (this.next() === ',') {
      this.at += 1;
      this.skipBlanks();
      terms.push(this.term('a key after the comma'));
    }
    if (this.ruleEnds()) return terms.slice(); // without the spare room of a list that has grown

    const { key } = terms[terms.length - 1];
    const afterBlank = isBlank(this.text.charAt(this.at - 1));
    const hint = afterBlank ? ' (outside quotes a space ends the pattern)' : '';
    throw this.expected(`, or ; or a new line after the pattern of ${key}${hint}`);
  }

  private term(expectedKey: string): Term {
    const { limits } = this;
    const key = this.key(expectedKey);
    const negated = this.operator(key);
    if (this.next() === ',' || this.ruleEnds()) {
      throw this.expected(`a pattern after ${key}${negated ? '!=' : '=='} ("" is the empty one)`);
    }

    const alternatives: Glob[] = [];
    this.part(alternatives);
    while (this.next() === '|') {
      this.at += 1;
      this.skipBlanks();
      this.part(alternatives);
    }
    if (alternatives.length > limits.alternatives)
      throw new OversizedFilter('alternatives', limits.alternatives);
    if (++this.terms > limits.terms) throw new OversizedFilter('terms', limits.terms);
    return new Term(key, negated, alternatives.slice());
  }

  private key(expectedKey: string): string {
    const start = this.at;
    if (!/[A-Za-z_]/.test(this.next())) throw this.expected(expectedKey);
    while (/[A-Za-z0-9_.]/.test(this.next())) this.at += 1;
    return this.text.slice(start, this.at);
  }

  /** Skips the operator, and returns whether it is `!=`. */
  private operator(key: string): boolean {
    const braced = this.next() === '{';
    this.skipBlanks();
    const operator = ['==', '!=', '='].find((text) => this.text.startsWith(text, this.at));
    if (operator === undefined) {
      const hint = braced ? ' (a property goes by its name alone: ID_BUS==usb)' : '';
      throw this.expected(`== or != after ${key}${hint}`);
    }
    this.at += operator.length;
    this.skipBlanks();
    return operator === '!=';
  }

  private part(alternatives: Glob[]): void {
    if (this.next() === '"') {
      this.quoted(alternatives);
    } else {
      const word = this.word();
      if (word !== '' && this.next() === '"') {
        throw this.expected(
          'quotes around all of the pattern, or \\" for a quote that belongs to it',
        );
      }
      alternatives.push(compileGlob(word));
    }
    this.skipBlanks();
  }

  private quoted(alternatives: Glob[]): void {
    const open = this.at;
    do {
      this.at += 1; // the opening quote, or a `|`
      const start = this.at;
      while (!endsAlternative(this.next())) this.skipByte();
      alternatives.push(compileGlob(this.text.slice(start, this.at)));
    } while (this.next() === '|');
    if (this.next() !== '"') throw this.expected(`" to close the one at column ${open + 1}`);
    this.at += 1;
  }

  private word(): string {
    const start = this.at;
    while (!endsWord(this.next()) && !this.text.startsWith('\\\n', this.at)) this.skipByte();
    return this.text.slice(start, this.at);
  }

  /** Skips one byte or one escape. The escape stays in the text for the glob to resolve. */
  private skipByte(): void {
    if (this.next() === '\\') {
      this.at += 1;
      if (this.at === this.text.length) throw this.expected('a character after \\');
    }
    this.at += 1;
  }

  private skipBlanks(): void {
    for (;;) {
      if (isBlank(this.next())) this.at += 1;
      else if (this.text.startsWith('\\\n', this.at)) this.at += 2;
      else return;
    }
  }

  private skipLine(): void {
    const end = this.text.indexOf('\n', this.at);
    this.at = end < 0 ? this.text.length : end;
  }

  private ruleEnds(): boolean {
    const next = this.next();
    return next === '' || next === ';' || next === '\n';
  }

  /** Returns the next byte, or '' at the end. */
  private next(): string {
    return this.text.charAt(this.at);
  }

  private expected(what: string): FilterError {
    return new FilterError(this.at + 1, what);
  }
}

function isBlank(char: string): boolean {
  return char === ' ' || char === '\t' || char === '\r' || char === '\v' || char === '\f';
}

function endsAlternative(char: string): boolean {
  return char === '' || char === '"' || char === '|';
}

function endsWord(char: string): boolean {
  return endsAlternative(char) || char === ',' || char === ';' || char === '\n' || isBlank(char);
}
