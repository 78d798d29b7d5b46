/**
 * Which events a queue takes: udev's match syntax.
 *
 * A filter is plain data, and its canonical `text` says all there is to it: `Filter.parse(filter.text)` is the same
 * filter, which is how it is shown, compared and written down.
 */

import { type Glob, SEARCHED_BYTES, compileGlob } from './glob.js';

/** What a filter looks at. Values are bytes as characters (latin1: one char a byte). */
export interface Matchable {
  /** From the header line or ACTION. */
  readonly action: string;
  readonly devpath: string;
  /** {@link kernelName} of devpath, where it is worked out once for all filters. */
  readonly kernel?: string;
  /** {@link tagsOf} TAGS, where they are worked out once for all filters. */
  readonly tags?: ReadonlySet<string>;
  /** The value of a property, or undefined when the event has none. */
  property(key: string): string | undefined;
}

/** How large a filter may be. */
export interface FilterLimits {
  /** Bytes of text. */
  readonly text: number;
  /** Terms, of all rules together. */
  readonly terms: number;
  /** Alternatives of one term. */
  readonly alternatives: number;
}

/** What the daemon takes where the configuration says nothing. */
export const FILTER_LIMITS: FilterLimits = { text: 4 * 1024, terms: 64, alternatives: 32 };

/** For programs that filter for themselves. */
export const NO_FILTER_LIMITS: FilterLimits = {
  text: Infinity,
  terms: Infinity,
  alternatives: Infinity,
};

/** The text is no filter: `column 12: expected == or != after SUBSYSTEM`. */
export class FilterError extends Error {
  override readonly name = 'FilterError';

  /**
   * @param column where in the text, in bytes, the first being 1
   * @param expected what should have stood there
   */
  constructor(
    readonly column: number,
    readonly expected: string,
  ) {
    super(`column ${column}: expected ${expected}`);
  }
}

/** The text is a filter, but a larger one than may be: `a filter has at most 64 terms`. */
export class OversizedFilter extends Error {
  override readonly name = 'OversizedFilter';

  /** @param what which of the limits it exceeds */
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

/** A way to find a rule's events: one of these values of the key is in each of them. Never '', which a missing key has too. */
export interface Way {
  readonly key: string;
  readonly values: readonly string[];
}

/** `KEY==pattern` or `KEY!=pattern`. */
class Term {
  constructor(
    readonly key: string,
    readonly negated: boolean,
    /** What `|` separates; there is always one. */
    readonly alternatives: readonly Glob[],
  ) {}

  get text(): string {
    const pattern = this.alternatives.map((glob) => glob.pattern).join('|');
    // A pattern holds a `"` only after a backslash, so that nothing needs escaping here.
    const quote = pattern === '' || /[ \t\r\v\f\n,;]/.test(pattern) ? '"' : '';
    return `${this.key}${this.negated ? '!=' : '=='}${quote}${pattern}${quote}`;
  }

  get cost(): number {
    const more = this.key === 'TAGS' ? TAGS_COST : 0;
    return this.alternatives.reduce(
      (sum, glob) => sum + glob.cost + (glob.literal === null ? more : 0),
      1,
    );
  }

  get memory(): number {
    return this.alternatives.reduce(
      (sum, glob) => sum + POINTER_BYTES + glob.memory + STRING_BYTES,
      TERM_BYTES,
    );
  }

  /** The values of which an event must have one, or null when they cannot be listed. */
  get literals(): readonly string[] | null {
    const literals = this.alternatives
      .map((glob) => glob.literal)
      .filter((literal) => literal !== null);
    return literals.length === this.alternatives.length ? literals : null;
  }

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

/** How much of TAGS is looked at: udev's own rules give a device ten tags at most. */
const MOST_TAGS = 64;
const MOST_TAGS_BYTES = 4 * 1024;
/** A pattern is matched with each tag: so much more than with one value. */
const TAGS_COST = 400;

/* Bytes of heap, as measured: test/unit/events/filter-memory.test.ts holds the sum against a real heap. */
const POINTER_BYTES = 8;
const STRING_BYTES = 32;
const TERM_BYTES = 160;
const RULE_BYTES = 40;
const FILTER_BYTES = 512;

export class Filter {
  /** What one event costs at most that it is matched with, in units (see glob.ts). */
  readonly cost: number;
  /** How many bytes of heap it takes, at most, with its place in a {@link FilterIndex}. */
  readonly memory: number;

  private constructor(
    /** One rule a line, no comments, no quotes but where they are needed, no newline at the end. */
    readonly text: string,
    private readonly rules: readonly Rule[],
    parsedBytes: number,
  ) {
    const terms = rules.flat();
    this.cost = terms.reduce((sum, term) => sum + term.cost, rules.length);
    const parsed = terms.reduce((sum, term) => sum + term.memory, rules.length * RULE_BYTES);
    // The keys and patterns are slices of the text that was parsed, and keep it.
    this.memory = this.all ? 0 : FILTER_BYTES + parsedBytes + text.length + parsed;
  }

  /**
   * @param text bytes as characters (latin1)
   * @param limits how large it may be
   * @throws FilterError where it is none, OversizedFilter where it exceeds a limit, and nothing else
   */
  static parse(text: string, limits = NO_FILTER_LIMITS): Filter {
    if (text.length > limits.text) throw new OversizedFilter('text', limits.text);
    const rules = new Parser(text, limits).filter();
    const canonical = rules.map((rule) => rule.map((term) => term.text).join(', ')).join('\n');
    return new Filter(canonical, rules.slice(), text.length);
  }

  /** What it costs at most to match an event of so many bytes: a search cannot take longer than the event is. */
  costOf(bytes: number): number {
    return this.cost * Math.min(1, bytes / SEARCHED_BYTES);
  }

  /** Whether it takes everything: no rule restricts it. */
  get all(): boolean {
    return this.rules.length === 0;
  }

  /**
   * For an index: for each rule that can match at all, the ways to find its events. An event that matches the filter is
   * found by each way of one of its rules. A rule without a way can match anything. Wildcards are not looked into: in
   * `SUBSYSTEM==usb|net, SUBSYSTEM!=u*` usb stays.
   */
  ways(): readonly (readonly Way[])[] {
    return this.rules.map(waysOf).filter((ways) => ways !== null);
  }

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

/** The last part of DEVPATH. Drivers write `!` for a `/` in a name (`cciss!c0d0`); udev turns it back, and so do we. */
export function kernelName(devpath: string): string {
  return devpath.slice(devpath.lastIndexOf('/') + 1).replaceAll('!', '/');
}

const NO_TAGS: ReadonlySet<string> = new Set(['']);

/**
 * `:a:b:` is a and b. No tags at all is one empty value, as a property that is missing is. Of more than MOST_TAGS tags or
 * MOST_TAGS_BYTES bytes the rest is not looked at.
 */
export function tagsOf(value = ''): ReadonlySet<string> {
  const tags = new Set<string>();
  for (const tag of value.slice(0, MOST_TAGS_BYTES).split(':', 2 * MOST_TAGS))
    if (tag !== '' && tags.size < MOST_TAGS) tags.add(tag);
  return tags.size > 0 ? tags : NO_TAGS;
}

/** As `Filter.ways`; null where it can match nothing. Takes time linear in the rule: to try wildcards too would be values times patterns. */
function waysOf(rule: Rule): readonly Way[] | null {
  const required = new Map<string, Set<string>>();
  const tagged: Way[] = [];
  for (const { key, negated, literals } of rule) {
    if (negated || literals === null) continue;
    const known = required.get(key);
    if (key === 'TAGS')
      tagged.push({ key, values: [...new Set(literals)] }); // one tag fits one term, another the next
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
 *     alternative = { escape | any byte but '"' "|" }          may be empty: it matches the empty string
 *     word        = { escape | any byte but '"' "|" "," ";" blank NEWLINE }
 *     escape      = "\" any byte
 *     blank       = { SPACE | TAB | CR | VT | FF | "\" NEWLINE }
 *
 * - Blanks may stand around every term, operator, pattern and "|", and before a comment.
 * - "\" NEWLINE is a blank, as in udev's rules, but an escape within quotes.
 * - A word may be empty beside a "|" only: the empty pattern is written "".
 * - Nowhere may a NUL stand: no event has one, so it can only be a C string's end handed over by mistake.
 * - Each alternative and each word is a pattern of fnmatch(3): see glob.ts. The separators come first: to stand in a
 *   bracket expression they need quotes or a "\" too, and "|" always needs a "\".
 */
class Parser {
  private at = 0;
  private terms = 0;

  constructor(
    private readonly text: string,
    private readonly limits: FilterLimits,
  ) {}

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
    if (this.ruleEnds()) return terms.slice(); // a list that has grown has room

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

  /** Whether it is `!=`. */
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

  /** Over one byte or one escape, which is left as it is, for the glob to read. */
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

  /** The byte to be read, or '' at the end. */
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
