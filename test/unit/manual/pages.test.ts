/** The manual's pages are right for mandoc and man, and hold what their sources say. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { RootContent } from 'mdast';
import * as assert from 'uvu/assert';
import { EXIT_CODE_MEANINGS, ExitCode } from '../../../fs/cli/terminal/explain.js';
import { commandLine, manual } from '../../../tools/manual/product.js';
import { heading, paragraph, parse, render, text } from '../../../tools/manual/roff.js';
import { readDocument } from '../../support/documents/markdown.js';
import { need } from '../../support/runner/programs.js';
import { skip, suite } from '../../support/runner/suite.js';

const page = suite('the manual');
const scratch = mkdtempSync(join(tmpdir(), 'eventfs-manual-'));
page.after(() => rmSync(scratch, { recursive: true, force: true }));

/** The documents of each page. */
const SOURCES: Readonly<Record<string, readonly string[]>> = {
  'eventfs.1': ['cli.md'],
  'eventfs.toml.5': ['config.md'],
  'eventfs.5': ['tree.md', 'outlets.md'],
  'eventfs-filter.7': ['filter.md'],
};

/** Whether `man` is man-db's: others, and the stub of small images, have no --warnings. */
const isManDb = /^man /.test(spawnSync('man', ['--version'], { encoding: 'utf8' }).stdout ?? '');

function fileOf(name: string, roff: string): string {
  const file = join(scratch, name);
  writeFileSync(file, roff);
  return file;
}

/** Returns a page as a terminal without colours shows it, with one blank between words. */
function shown(name: string, roff: string): string {
  const wide = ['-T', 'ascii', '-O', 'width=500', fileOf(name, roff)];
  const output = execFileSync('mandoc', wide, { encoding: 'utf8' });
  return oneBlank(output.replaceAll(/.[\b]/g, ''));
}

function oneBlank(value: string): string {
  return value.replaceAll(/\s+/g, ' ');
}

/** Returns the texts of a document: words between marks, and the lines of blocks. */
function textsOf(node: RootContent): string[] {
  if ('value' in node)
    return node.type === 'html' ? [] : node.value.split('\n').map((line) => oneBlank(line).trim());
  if (!('children' in node)) return [];
  const children = node.children as RootContent[];
  // Of a table with two columns the page has no header.
  const isPair = node.type === 'table' && node.children[0].children.length === 2;
  return (isPair ? children.slice(1) : children).flatMap(textsOf);
}

page('passes mandoc -T lint', () => {
  need('mandoc');
  for (const { file, roff } of manual()) {
    const { stdout, status } = spawnSync(
      'mandoc',
      ['-T', 'lint', '-W', 'warning', fileOf(file, roff)],
      { encoding: 'utf8' },
    );
    assert.is(stdout, '');
    assert.is(status, 0, file);
  }
});

page('passes man --warnings', () => {
  if (!isManDb) skip('man-db is not installed');
  for (const { file, roff } of manual()) {
    const { stderr, status } = spawnSync(
      'man',
      ['--warnings', '-E', 'UTF-8', '-l', fileOf(file, roff)],
      {
        encoding: 'utf8',
        env: { ...process.env, MANWIDTH: '80', MANPAGER: 'cat' },
      },
    );
    assert.is(stderr, '');
    assert.is(status, 0, file);
  }
});

page('loses no text of its documents', () => {
  need('mandoc');
  const pages = manual();
  assert.equal(
    pages.map(({ file }) => file),
    Object.keys(SOURCES),
  );
  for (const { file, roff } of pages) {
    const output = shown(file, roff);
    for (const document of SOURCES[file]) {
      const kept = parse(readDocument(`docs/reference/${document}`)).children.filter(
        (node) => !isReplaced(node),
      );
      const texts = kept.flatMap(textsOf).filter((each) => /\w/.test(each));
      assert.ok(texts.length > 50, document);
      for (const each of texts)
        assert.ok(
          output.toLowerCase().includes(each.toLowerCase()),
          `${file} lacks a text of ${document}: ${each}`,
        );
    }
  }
});

/** A title or a table of options, in whose place the page has the parser's. */
function isReplaced(node: RootContent): boolean {
  const [first] = textsOf(node);
  if (node.type === 'heading') return node.depth === 1 || /^(eventfs |Exit codes$)/.test(first);
  return node.type === 'table' && textsOf(node.children[0])[0] === 'option';
}

page('lists every command, option and exit code', () => {
  need('mandoc');
  const output = shown('eventfs.1', manual()[0].roff);
  for (const { usage, options, arguments: all } of commandLine.commands) {
    assert.ok(output.includes(usage), usage);
    for (const { term, text, note } of [...options, ...commandLine.options]) {
      if (term.includes('--help')) continue;
      const entry = oneBlank(`${term} ${text}${note === '' ? '' : ` (${note})`}`);
      assert.ok(output.includes(entry), entry);
    }
    for (const { value, text } of all)
      if (text !== '') assert.ok(output.includes(oneBlank(`${value.name} ${text}`)), text);
  }
  for (const name of Object.keys(ExitCode) as (keyof typeof ExitCode)[])
    assert.ok(output.includes(`${ExitCode[name]} ${EXIT_CODE_MEANINGS[name]}`), name);
});

page('has the exit codes of the reference', () => {
  const rows = [...readDocument('docs/reference/cli.md').matchAll(/^\| (\d+) \| (.*) \|$/gm)];
  const codes = Object.keys(ExitCode) as (keyof typeof ExitCode)[];
  assert.equal(
    rows.map(([, code, meaning]) => [Number(code), meaning]),
    codes.map((name) => [ExitCode[name], EXIT_CODE_MEANINGS[name]]),
  );
});

page('shows each character that roff has a use for', () => {
  need('mandoc');
  const characters = `.a 'b \\c "d" -e ^f ~g \`h [i] @j {k} % # $ | < > & * / \\fB \\&`;
  const header = { name: 'x', section: '7', date: '2026-01-01', version: '1' };
  const lines = ['.dot', "'quote", '...', '\\', '-', 'a@b', characters];
  const roff = render(header, [
    heading(2, 'Name'),
    paragraph('x - y'),
    heading(2, `"Z" -[z] .`),
    ...lines.flatMap((line) => [
      paragraph(line),
      paragraph({ type: 'inlineCode', value: line }),
      paragraph('in ', { type: 'strong', children: [text(line)] }, ' it'),
      { type: 'code' as const, value: `${line}\n${line}` },
    ]),
    ...parse('| a@b | c |\n|---|---|\n| .x@y | [z](https://example.org/a-b) |').children,
  ]);
  const output = shown('x.7', roff);
  assert.match(output, '"Z" -[Z] .');
  for (const line of lines) {
    const times = output.split(oneBlank(line)).length - 1;
    assert.ok(times >= 5, `${line} stands ${times} times in it`);
  }
  assert.match(output, '.x@y z');
});

page('has the date that a reproducible build sets', () => {
  process.env.SOURCE_DATE_EPOCH = '86400';
  try {
    for (const { file, roff } of manual()) assert.match(roff, /^\.TH .* "1970-01-02" /m, file);
  } finally {
    delete process.env.SOURCE_DATE_EPOCH;
  }
});

page.run();
