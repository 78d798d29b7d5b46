/**
 * The house style, as far as a test can hold it: line lengths, files that are named and exist,
 * words and beginnings of sentences that are not used, and the form of the decisions.
 * CONTRIBUTING.md has the rules.
 */
import * as assert from 'uvu/assert';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { dirname, join, normalize, relative } from 'node:path';
import { documents, readDocument } from '../support/documents/markdown.js';
import { PROJECT } from '../support/project.js';
import { suite } from '../support/runner/suite.js';

const MOST_COLUMNS = 100;
const MOST_README_LINES = 150;

/** The folders of sources. */
const SOURCES = [
  'fs',
  'native',
  'test',
  'benchmarks',
  'bin',
  '.ci',
  'tools',
  'packaging',
  'examples',
].filter((folder) => existsSync(join(PROJECT, folder)));
const BUILT = /(^|\/)(build|node_modules|report)\//;

const tidy = suite('the project');

/** A file's path from the project's root, and its text. */
interface Text {
  readonly path: string;
  readonly text: string;
}

/** Returns every source of the project, Makefiles included. */
function sources(): Text[] {
  const below = SOURCES.flatMap((folder) =>
    readdirSync(join(PROJECT, folder), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => relative(PROJECT, join(entry.parentPath, entry.name))),
  );
  const kept = below.filter(
    (path) =>
      !BUILT.test(path) &&
      (/\.(ts|cjs|mjs|js|c|cc|h|sh|py)$|(^|\/)Makefile$/.test(path) ||
        /^(bin|\.ci|packaging|tools\/model)\//.test(path)),
  );
  return [...kept, 'Makefile', 'eslint.config.js']
    .sort()
    .map((path) => ({ path, text: readFileSync(join(PROJECT, path), 'utf8') }));
}

/** Returns the comments of a source, with the line that each begins in. */
function comments({ path, text }: Text): { line: number; text: string }[] {
  const isC = /\.(ts|cjs|mjs|js|c|cc|h)$/.test(path);
  const pattern = isC ? /\/\*[^]*?\*\/|(?<![:'"`\w])\/\/.*$/gm : /^\s*#.*$/gm;
  return [...text.matchAll(pattern)].map((found) => ({
    line: text.slice(0, found.index).split('\n').length,
    text: found[0],
  }));
}

/** Returns a document's lines without fenced blocks; these are empty. */
function proseLines(markdown: string): string[] {
  let fence = '';
  return markdown.split('\n').map((line) => {
    const mark = /^\s*(`{3,})/.exec(line)?.[1] ?? '';
    if (fence === '' && mark === '') return line;
    if (fence === '') fence = mark;
    else if (line.trim() === fence) fence = '';
    return '';
  });
}

/** Returns every file of the project that may be named. */
function names(): Set<string> {
  const all = sources().map(({ path }) => path);
  return new Set([...all, ...documents()]);
}

const KNOWN = names();

/**
 * Returns whether a name that stands in a comment is a file: its whole path, or the end of it. A
 * trailing `*` is any end.
 */
function isFile(name: string): boolean {
  const clean = name.replace(/^\.\//, '');
  if (existsSync(join(PROJECT, clean))) return true;
  for (const path of KNOWN) if (path === clean || path.endsWith(`/${clean}`)) return true;
  return false;
}

/**
 * Names of files in a text that must exist: TypeScript and markdown wherever they are, and what
 * begins with a folder of ours.
 */
function namedFiles(text: string): string[] {
  const words =
    text.match(
      /(?<![\w./@<])(?<!\w-+)\b[\w.-]*[\w-]+(?:\/[\w.-]+)*\.(?:ts|md|cc|c|h|sh|py)(?![\w/])/g,
    ) ?? [];
  return words.filter((word) => {
    if (/\.d\.ts$|^index\.ts$/.test(word)) return false;
    if (/\.(ts|md)$/.test(word)) return true;
    return /^(native|test|bench|benchmarks|compare|tools|examples)\//.test(word);
  });
}

tidy('names only files that exist, in comments', () => {
  const dead = sources().flatMap((source) =>
    comments(source).flatMap(({ line, text }) =>
      namedFiles(text)
        .filter((name) => !isFile(name))
        .map((name) => `${source.path}:${line}: ${name}`),
    ),
  );
  assert.equal(dead, []);
});

tidy('names only files that exist, in documents', () => {
  const dead = documents().flatMap((path) =>
    proseLines(readDocument(path)).flatMap((line, index) =>
      [...line.matchAll(/`([^`]+)`/g)]
        .map(([, code]) => code)
        .filter(
          (code) =>
            /^(fs|native|test|bench|benchmarks|compare|tools|examples|docs|bin|\.ci)\/[\w./*-]*$/.test(
              code,
            ) && !isKernels(code),
        )
        .filter((code) => !existsWithStars(code))
        .map((code) => `${path}:${index + 1}: ${code}`),
    ),
  );
  assert.equal(dead, []);
});

/** `fs/fuse/dev.c` is Linux's: ours are TypeScript there. */
function isKernels(path: string): boolean {
  return /^fs\/.*\.[ch]$/.test(path);
}

function existsWithStars(path: string): boolean {
  const star = path.indexOf('*');
  if (star < 0) return existsSync(join(PROJECT, path));
  const directory = dirname(path.slice(0, star));
  const [start, end] = path.split('*', 2);
  return (
    existsSync(join(PROJECT, directory)) &&
    readdirSync(join(PROJECT, directory)).some(
      (name) => `${directory}/${name}`.startsWith(start) && name.endsWith(end),
    )
  );
}

/** Returns a heading's anchor, as GitHub makes it. */
function anchor(heading: string): string {
  return heading
    .toLowerCase()
    .replaceAll(/[^\w\- ]/g, '')
    .replaceAll(' ', '-');
}

function anchors(markdown: string): string[] {
  return proseLines(markdown).flatMap((line) =>
    /^#+ /.test(line) ? [anchor(line.replace(/^#+ /, ''))] : [],
  );
}

tidy('has links that lead somewhere', () => {
  const dead = documents().flatMap((path) =>
    [
      ...proseLines(readDocument(path))
        .join('\n')
        .matchAll(/\]\(([^)\s]+)\)/g),
    ]
      .map(([, target]) => target)
      .filter((target) => !/^https?:/.test(target))
      .filter((target) => {
        const [file, part] = target.split('#', 2);
        const to = file === '' ? path : normalize(join(dirname(path), file));
        if (!existsSync(join(PROJECT, to))) return true;
        return part !== undefined && !anchors(readDocument(to)).includes(part);
      })
      .map((target) => `${path}: ${target}`),
  );
  assert.equal(dead, []);
});

tidy('has comments, scripts and Makefiles whose lines fit', () => {
  // The formatters wrap code only, and scripts have none.
  const isFormatted = /\.(ts|cjs|mjs|js|c|cc|h)$/;
  const isComment = /^\s*(\/\/ (?!eslint-)|\/?\*)/;
  // These forms have no line breaks.
  const cannotBreak = /\.(json|rules|default)$/;
  const long = sources()
    .filter(({ path }) => !cannotBreak.test(path))
    .flatMap(({ path, text }) =>
      text
        .split('\n')
        .flatMap((line, index) =>
          line.length > MOST_COLUMNS && (!isFormatted.test(path) || isComment.test(line))
            ? [`${path}:${index + 1}: ${line.length} columns`]
            : [],
        ),
    );
  assert.equal(long, []);
});

tidy('has documents whose lines fit, but for tables and blocks', () => {
  const long = documents().flatMap((path) =>
    proseLines(readDocument(path)).flatMap((line, index) =>
      line.length > MOST_COLUMNS && !line.startsWith('|')
        ? [`${path}:${index + 1}: ${line.length} columns`]
        : [],
    ),
  );
  assert.equal(long, []);
  assert.ok(
    readDocument('README.md').split('\n').length <= MOST_README_LINES + 1,
    `README.md has more than ${MOST_README_LINES} lines`,
  );
});

const BANNED_WORDS = /\b(whoever|whomever|somebody|nobody|those who)\b/gi;
/** Beginnings of sentences whose subject is no actor. A question may begin so. */
const BANNED_HEADS =
  /(?:^|[.!;:] +|\| *)((?:Who|Whoever|Whose|What|Somebody|Nobody|Those who)\b[^.!?|]*[^?])(?=[.!|]|$)/g;

/** Returns the banned words of a text, and the beginnings of its banned sentences. */
function violations(text: string): string[] {
  const plain = text.replaceAll(/`[^`]*`/g, 'x').replaceAll(/\*\*|\n/g, ' ');
  const words = [...plain.matchAll(BANNED_WORDS)].map(([word]) => word);
  const heads = [...plain.matchAll(BANNED_HEADS)].map(([, sentence]) => sentence.slice(0, 40));
  return [...words, ...heads];
}

/** Paragraphs, list items and table rows, each in one piece; headings are no sentences. */
function paragraphs(markdown: string): { line: number; text: string }[] {
  const found: { line: number; text: string }[] = [];
  let isOpen = false;
  for (const [index, line] of proseLines(markdown).entries()) {
    if (line.trim() === '' || line.startsWith('#') || line.startsWith('<!--')) isOpen = false;
    else if (isOpen && !/^\s*([-*|]|\d+\.) ?/.test(line))
      found[found.length - 1].text += ` ${line.trim()}`;
    else {
      found.push({ line: index + 1, text: line.trim().replace(/^([-*]|\d+\.) +/, '') });
      isOpen = true;
    }
  }
  return found;
}

tidy('has documents in plain sentences', () => {
  const found = documents().flatMap((path) =>
    paragraphs(readDocument(path)).flatMap(({ line, text }) =>
      violations(text).map((what) => `${path}:${line}: ${what}`),
    ),
  );
  assert.equal(found, []);
});

tidy('has comments in plain sentences', () => {
  const found = sources().flatMap((source) =>
    comments(source).flatMap(({ line, text }) =>
      violations(text.replaceAll(/^\s*(\/\*\*?|\*\/|\*|\/\/|#) ?/gm, '')).map(
        (what) => `${source.path}:${line}: ${what}`,
      ),
    ),
  );
  assert.equal(found, []);
});

tidy('finds the sentences that it is there for', () => {
  const wrong = [
    'Whoever asks is told.',
    'It is so. What comes is kept.',
    'Nobody waits.',
    'a; Who reads waits',
    '| x | What it is |',
  ];
  for (const text of wrong) assert.not.equal(violations(text), [], text);
  const right = [
    'The reader asks.',
    'What do you think?',
    'It depends on what comes.',
    'The user `nobody` waits.',
    'Whatever comes',
  ];
  for (const text of right) assert.equal(violations(text), [], text);
});

tidy('has decisions in one form, with numbers without gaps, all of them in the index', () => {
  const index = readDocument('docs/decisions/README.md');
  const files = readdirSync(join(PROJECT, 'docs/decisions'))
    .filter((name) => name !== 'README.md')
    .sort();
  for (const [at, name] of files.entries()) {
    const number = String(at + 1).padStart(3, '0');
    assert.match(name, new RegExp(`^${number}-[a-z0-9-]+\\.md$`));
    const text = readDocument(`docs/decisions/${name}`);
    const title = new RegExp(
      `^# ${number}\\. (.+)\\n\\nDate: (\\d{4}-\\d\\d-\\d\\d)\\. Area: (.+)\\.\\n`,
    ).exec(text);
    assert.ok(title !== null, `${name} begins with its title, date and area`);
    assert.equal(text.match(/^## .*$/gm), ['## Context', '## Decision', '## Rejected'], name);
    assert.ok(index.includes(`[${number}](${name}) `), `the index lists ${name}`);
    const [, area = ''] = index.split(`\n## ${title[3]}\n`);
    assert.ok(area.split('\n## ')[0].includes(`(${name})`), `${name} stands in its area`);
  }
});

tidy('has walks through the code whose functions exist', () => {
  const rows = [
    ...readDocument('docs/architecture.md').matchAll(/^\| .* \| `([^`]+)` \| `([^`]+)` \|$/gm),
  ];
  assert.ok(rows.length > 30, `${rows.length} steps`);
  const dead = rows.filter(
    ([, file, name]) =>
      !existsSync(join(PROJECT, file)) ||
      !new RegExp(`(?<![\\w#])${name}\\b`).test(readFileSync(join(PROJECT, file), 'utf8')),
  );
  assert.equal(
    dead.map(([, file, name]) => `${file}: ${name}`),
    [],
  );
});

tidy.run();
