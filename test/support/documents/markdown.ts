/**
 * Parses the fenced blocks of the documents, and compares expected output with real output. The
 * conventions:
 *
 *     ```console              a session of bash, run by test/mounted/docs
 *     $ command               its input; a line that begins with `> ` continues the one before
 *     output                  the expected output up to the next command, standard error included
 *     ```console not-run      commands that no test can run; the test lists them (sh not-run too)
 *     ```python client.py     a file that the next session finds in its directory
 *     <!-- test: mount OPTIONS -->      the options of the document's `eventfs mount`
 *     <!-- test: prepare COMMAND -->    a command before that
 *     <!-- test: run COMMAND -->        a command that the reader does not see
 *     <!-- test: copy -->               the session begins in a copy of the project
 *     <!-- test: user -->               an unprivileged user runs the session, at home
 *
 * In an expected output, `...` stands for any text, and a line `...` for any lines. A number of
 * three or more digits stands for any number, and a time as in `Nov 23 18:49` for any time. The
 * number of blanks does not matter.
 */
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { PROJECT } from '../project.js';

/** A fenced block. */
interface Block {
  /** The line number of its opening fence, from 1. */
  readonly line: number;
  /** The first word after the fence, or ''. */
  readonly language: string;
  /** The other words after the fence. */
  readonly info: string;
  readonly lines: readonly string[];
}

/** A command of a session and the output that a document shows for it. */
export interface Step {
  readonly line: number;
  readonly command: string;
  readonly expected: readonly string[];
}

/** A file that a document shows. */
interface ShownFile {
  readonly line: number;
  readonly file: string;
  readonly text: string;
}

/** A document's session: its commands and files, and the options of its mount. */
export interface Session {
  readonly prepare: readonly string[];
  readonly mountOptions: string;
  readonly isCopy: boolean;
  readonly isOfUser: boolean;
  /** Commands and files, in order. */
  readonly parts: readonly (Step | ShownFile)[];
}

/**
 * Finds the project's documents.
 * @returns their paths from the project's root, sorted
 */
export function documents(): string[] {
  const below = (directory: string): string[] =>
    (readdirSync(join(PROJECT, directory), { recursive: true }) as string[])
      .filter((name) => name.endsWith('.md'))
      .map((name) => `${directory}/${name}`);
  const top = readdirSync(PROJECT).filter((name) => name.endsWith('.md'));
  return [...top, ...below('docs'), ...below('examples')].sort();
}

/**
 * Reads a document.
 * @param path from the project's root
 */
export function readDocument(path: string): string {
  return readFileSync(join(PROJECT, path), 'utf8');
}

/**
 * Splits a document into its fenced blocks.
 * @throws Error if a block has no end
 */
export function blocks(markdown: string): Block[] {
  const found: Block[] = [];
  const lines = markdown.split('\n');
  for (let at = 0; at < lines.length; at++) {
    const open = /^\s*(`{3,})(.*)$/.exec(lines[at]);
    if (open === null) continue;
    const end = lines.findIndex((line, index) => index > at && line.trim() === open[1]);
    if (end < 0) throw new Error(`the block of line ${at + 1} has no end`);
    const [language = '', ...info] = open[2].trim().split(/\s+/);
    found.push({ line: at + 1, language, info: info.join(' '), lines: lines.slice(at + 1, end) });
    at = end;
  }
  return found;
}

/** Returns true if a block holds commands that no test runs. */
export function isNotRun({ info }: Block): boolean {
  return info === 'not-run';
}

/**
 * Reads a document's session: all of its console blocks, run one after the other in one shell.
 * @returns undefined if the document has no session
 * @throws Error if output stands before the first command of a block
 */
export function sessionOf(markdown: string): Session | undefined {
  const directives = [...markdown.matchAll(/^<!-- test: (\w+) ?(.*?) ?-->$/gm)];
  const of = (verb: string): string[] =>
    directives.filter(([, word]) => word === verb).map(([, , rest]) => rest);
  const hidden = directives
    .filter(([, word]) => word === 'run')
    .map((found) => ({
      line: markdown.slice(0, found.index).split('\n').length,
      command: found[2],
      expected: ['...'],
    }));
  const shown = blocks(markdown)
    .filter((block) => !isNotRun(block))
    .flatMap((block): (Step | ShownFile)[] => {
      if (block.language === 'console') return steps(block);
      return block.info === ''
        ? []
        : [{ line: block.line, file: block.info, text: `${block.lines.join('\n')}\n` }];
    });
  if (!shown.some((part) => 'command' in part)) return undefined;
  const parts: (Step | ShownFile)[] = [...hidden, ...shown].sort((a, b) => a.line - b.line);
  return {
    prepare: of('prepare'),
    mountOptions: of('mount')[0] ?? '',
    isCopy: of('copy').length > 0,
    isOfUser: of('user').length > 0,
    parts,
  };
}

function steps({ line, lines }: Block): Step[] {
  const found: { line: number; command: string; expected: string[] }[] = [];
  for (const [index, text] of lines.entries()) {
    const last = found.at(-1);
    if (text.startsWith('$ '))
      found.push({ line: line + index + 1, command: text.slice(2), expected: [] });
    else if (last === undefined)
      throw new Error(`line ${line + index + 1}: output before the first command`);
    else if (text.startsWith('> ') && last.expected.length === 0)
      last.command += `\n${text.slice(2)}`;
    else last.expected.push(text);
  }
  return found;
}

/** Returns true if `output` matches the expected lines. */
export function fits(expected: readonly string[], output: string): boolean {
  const pattern = expected
    .map((line) => (line === '...' ? '(?:.*\\n)*?' : `${linePattern(line)} *\\n`))
    .join('');
  const text = output === '' || output.endsWith('\n') ? output : `${output}\n`;
  return new RegExp(`^${pattern}$`).test(text);
}

const VARIABLE = /(\.\.\.)|([A-Z][a-z]{2} [ \d]\d \d\d:\d\d)|(\d{3,})|( +)|([^\w ])|(\w)/g;

function linePattern(line: string): string {
  const pattern = line
    .trimEnd()
    .replaceAll(
      VARIABLE,
      (
        _,
        any?: string,
        time?: string,
        digits?: string,
        blanks?: string,
        other?: string,
        word?: string,
      ) => {
        if (any !== undefined) return '.*';
        if (time !== undefined) return '[A-Z][a-z]{2} +\\d+ +\\d\\d:\\d\\d';
        if (digits !== undefined) return '\\d+';
        if (blanks !== undefined) return ' +';
        return other === undefined ? word! : `\\${other}`;
      },
    );
  return pattern.replace(/^ \+/, ' *');
}
