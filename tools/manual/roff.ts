/**
 * Renders Markdown's syntax tree as a man page. remark-man does it; this file hides from it what it
 * gets wrong (docs/decisions/089-manual.md): characters with a meaning in roff, tables, links, and
 * the header.
 */
import type { PhrasingContent, Root, RootContent, Table, TableRow } from 'mdast';
import remarkGfm from 'remark-gfm';
import remarkMan from 'remark-man';
import remarkParse from 'remark-parse';
import { unified } from 'unified';

/** The header of a man page. */
export interface Header {
  readonly name: string;
  readonly section: string;
  /** As in 2026-11-26. */
  readonly date: string;
  readonly version: string;
}

/**
 * Characters that roff or remark-man would change, each with its spelling in roff. remark-man sees
 * private-use characters in their place, from U+E000 on.
 */
const SPELLINGS: readonly (readonly [string, string])[] = [
  ['\\', '\\e'],
  ['-', '\\-'],
  ["'", '\\(aq'],
  ['"', '\\(dq'],
  ['`', '\\(ga'],
  ['^', '\\(ha'],
  ['~', '\\(ti'],
  ['[', '['],
  [']', ']'],
];
const FIRST_PRIVATE = 0xe000;
/** Stands before a dot that begins a line, which roff would take for a request. */
const NOT_A_REQUEST = '\ue100';
/** Stand before the two paragraphs of a term and its description. */
const TERM = '\ue101';
const DESCRIPTION = '\ue102';

const processor = unified().use(remarkParse).use(remarkGfm);

/** Parses Markdown, GitHub's tables included. */
export function parse(markdown: string): Root {
  return processor.parse(markdown);
}

/** Returns a heading of a section (depth 2) or of a subsection (depth 3). */
export function heading(depth: 2 | 3, value: string): RootContent {
  return { type: 'heading', depth, children: [text(value)] };
}

export function paragraph(...children: readonly (PhrasingContent | string)[]): RootContent {
  return {
    type: 'paragraph',
    children: children.map((child) => (typeof child === 'string' ? text(child) : child)),
  };
}

export function text(value: string): PhrasingContent {
  return { type: 'text', value };
}

export function bold(value: string): PhrasingContent {
  return { type: 'strong', children: [text(value)] };
}

/** Returns a term, and below it, indented, its description. */
export function entry(
  term: readonly PhrasingContent[],
  description: readonly PhrasingContent[],
): RootContent[] {
  return [
    paragraph(TERM, ...term),
    paragraph(DESCRIPTION, ...(description.length > 0 ? description : [bold('')])),
  ];
}

/**
 * Makes a man page.
 *
 * @param content the sections, with NAME first
 * @returns its source in roff, with the macros of man(7)
 */
export function render(header: Header, content: readonly RootContent[]): string {
  const children = content.flatMap((node) =>
    node.type === 'table' ? termsOf(node) : node.type === 'html' ? [] : [node],
  );
  const tree = hide({ type: 'root', children }) as Root;
  const body = unified().use(remarkMan).stringify(tree).split('\n').slice(1).join('\n');
  const { name, section, date, version } = header;
  return `.\\" Made by \`make man\`: edits are lost.
.TH "${name.toUpperCase()}" "${section}" "${date}" "eventfs ${version}" "eventfs manual"
${reveal(tidy(body))}`;
}

/** Returns a table's rows as terms: at 80 columns a table with sentences is wider than the page. */
function termsOf({ children: [head, ...rows] }: Table): RootContent[] {
  const cells = (row: TableRow): PhrasingContent[][] =>
    row.children.map(({ children }) => children);
  const names = cells(head);
  return rows.flatMap((row) => {
    const [term, ...others] = cells(row);
    if (others.length === 1) return entry(term, others[0]);
    const description = others.flatMap((cell, index): PhrasingContent[] => [
      text(index === 0 ? '' : '; '),
      ...names[index + 1],
      text(': '),
      ...cell,
    ]);
    return entry(term, description);
  });
}

/** Returns a node whose text, and that of its children, is hidden from remark-man. */
function hide(node: Root | RootContent): Root | RootContent {
  if (node.type === 'code') return { ...node, value: hideText(node.value) };
  // remark-man leaves a line end in `code` as it is.
  if (node.type === 'text' || node.type === 'inlineCode')
    return { ...node, value: hideText(node.value.replaceAll(/\s+/g, ' ')) };
  if (!('children' in node)) return node;
  return { ...node, children: node.children.map(hide) } as Root | RootContent;
}

function hideText(text: string): string {
  return SPELLINGS.reduce(
    (hidden, [character], index) =>
      hidden.replaceAll(character, String.fromCharCode(FIRST_PRIVATE + index)),
    text.replaceAll(/^\./gm, `${NOT_A_REQUEST}.`),
  );
}

function reveal(roff: string): string {
  return SPELLINGS.reduce(
    (shown, [, spelling], index) =>
      shown.replaceAll(String.fromCharCode(FIRST_PRIVATE + index), spelling),
    roff.replaceAll(NOT_A_REQUEST, '\\&'),
  );
}

/** Replaces the marks of terms, and drops macros and empty lines without a meaning. */
function tidy(roff: string): string {
  return roff
    .replaceAll(new RegExp(`^\\.P\n${TERM}(.*)\n\\.P\n${DESCRIPTION}`, 'gm'), '.TP\n$1\n')
    .replaceAll(/^\.RE 0$/gm, '.RE')
    .replaceAll(/^(\.S[HS] .*)\n\.P\n/gm, '$1\n')
    .replaceAll(/^\.P\n(?=\.RS )/gm, '.PP\n');
}
