/**
 * Which events a queue takes: udev's match syntax.
 *
 * A filter is plain data, and its canonical `text` says all there is to it: `Filter.parse(filter.text)` is the same
 * filter, which is how it is shown, compared and written down.
 */

import { compileGlob, type Glob } from './glob.js';

/** What a filter looks at. Values are bytes as characters (latin1: one char a byte). */
export interface Matchable {
  /** From the header line or ACTION. */
  readonly action: string;
  readonly devpath: string;
  /** The value of a property, or undefined when the event has none. */
  property(key: string): string | undefined;
}

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
        return this.takesValue(kernelName(event.devpath));
      case 'TAGS':
        return tagsOf(event.property('TAGS') ?? '').some((tag) => this.takesValue(tag));
      default:
        return this.takesValue(event.property(this.key) ?? '');
    }
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

export class Filter {
  private constructor(
    /** One rule a line, no comments, no quotes but where they are needed, no newline at the end. */
    readonly text: string,
    private readonly rules: readonly Rule[],
    /**
     * Every value of SUBSYSTEM with which an event can match, '' standing for none at all; null if they cannot be
     * listed. For an index: an event of another subsystem need not be shown to this filter. Only wildcards are not
     * counted: in `SUBSYSTEM==usb|net, SUBSYSTEM!=u*` usb stays listed.
     */
    readonly subsystems: readonly string[] | null,
  ) {}

  /**
   * @param text bytes as characters (latin1)
   * @throws FilterError and nothing else
   */
  static parse(text: string): Filter {
    const rules = new Parser(text).filter();
    const canonical = rules.map((rule) => rule.map((term) => term.text).join(', ')).join('\n');
    return new Filter(canonical, rules, subsystemsOf(rules));
  }

  /** Whether it takes everything: no rule restricts it. */
  get all(): boolean {
    return this.rules.length === 0;
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
function kernelName(devpath: string): string {
  return devpath.slice(devpath.lastIndexOf('/') + 1).replaceAll('!', '/');
}

/** `:a:b:` is a and b. No tags at all is one empty value, as a property that is missing is. */
function tagsOf(value: string): readonly string[] {
  const tags = value.split(':').filter((tag) => tag !== '');
  return tags.length > 0 ? tags : [''];
}

function subsystemsOf(rules: readonly Rule[]): readonly string[] | null {
  if (rules.length === 0) return null;
  const union = new Set<string>();
  for (const rule of rules) {
    const subsystems = ruleSubsystems(rule);
    if (subsystems === null) return null;
    for (const subsystem of subsystems) union.add(subsystem);
  }
  return [...union];
}

/** As `Filter.subsystems`. Takes time linear in the rule: to try wildcards too would be values times patterns. */
function ruleSubsystems(rule: Rule): ReadonlySet<string> | null {
  const required: string[][] = [];
  const excluded = new Set<string>();
  for (const { key, negated, alternatives } of rule) {
    if (key !== 'SUBSYSTEM') continue;
    const literals = alternatives.map((glob) => glob.literal).filter((literal) => literal !== null);
    if (negated) {
      for (const literal of literals) excluded.add(literal);
    } else if (literals.length === alternatives.length) {
      required.push(literals);
    }
  }
  if (required.length === 0) return null;

  let possible = new Set(required[0]);
  for (const literals of required) possible = new Set(literals.filter((literal) => possible.has(literal)));
  for (const literal of excluded) possible.delete(literal);
  return possible;
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

  constructor(private readonly text: string) {}

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
    if (this.ruleEnds()) return terms;

    const { key } = terms[terms.length - 1];
    const afterBlank = isBlank(this.text.charAt(this.at - 1));
    const hint = afterBlank ? ' (outside quotes a space ends the pattern)' : '';
    throw this.expected(`, or ; or a new line after the pattern of ${key}${hint}`);
  }

  private term(expectedKey: string): Term {
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
    return new Term(key, negated, alternatives);
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
        throw this.expected('quotes around all of the pattern, or \\" for a quote that belongs to it');
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
