/** The parser of udev's match syntax. */
import type { Glob } from './glob.js';
import { compileGlob } from './glob-compiler.js';
import { type FilterLimits, OversizedFilter } from './limits.js';
import { type Rule, Term } from './term.js';

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

/*
 * The grammar. A text without a rule takes every event.
 *
 *     filter      = line { NEWLINE line }                      one line or another: OR
 *     line        = comment | [ rule ] { ";" [ rule ] }        one rule or another: OR
 *     comment     = "#" { any byte but NEWLINE }
 *     rule        = term { "," term }                          every term: AND
 *     term        = key operator pattern
 *     key         = ( letter | "_" ) { letter | digit | "_" | "." }
 *     operator    = "==" | "=" | "!="                          "=" is "=="; not "=>", "=<", "=~"
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
export class Parser {
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
    const hint = afterBlank ? ' (a space ends a pattern without quotes)' : '';
    throw this.expected(`, or ; or a new line after the pattern of ${key}${hint}`);
  }

  private term(expectedKey: string): Term {
    const { limits } = this;
    const key = this.key(expectedKey);
    const negated = this.operator(key);
    if (this.next() === ',' || this.ruleEnds()) {
      throw this.expected(
        `a pattern after ${key}${negated ? '!=' : '=='} ("" is the empty pattern)`,
      );
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
      const hint = braced ? ' (write only the name of a property: ID_BUS==usb)' : '';
      throw this.expected(`== or != after ${key}${hint}`);
    }
    this.at += operator.length;
    // `=>` and `=~` are operators elsewhere: a pattern that begins so needs quotes.
    if (operator === '=' && /[<>~]/.test(this.next())) {
      this.at -= operator.length;
      throw this.expected(
        `== or != after ${key} (there is no =${this.text.charAt(this.at + 1)}; quote a pattern that begins with it)`,
      );
    }
    this.skipBlanks();
    return operator === '!=';
  }

  private part(alternatives: Glob[]): void {
    if (this.next() === '"') {
      this.quoted(alternatives);
    } else {
      const word = this.word();
      if (word !== '' && this.next() === '"') {
        throw this.expected('quotes around the whole pattern, or \\" for a quote within it');
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
    if (this.next() !== '"') throw this.expected(`" to close the quote at column ${open + 1}`);
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
