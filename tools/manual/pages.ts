/**
 * The manual's pages. eventfs(1) is made from commander's tree and the prose of
 * docs/reference/cli.md, the others from the reference alone.
 */
import { posix } from 'node:path';
import type { PhrasingContent, RootContent } from 'mdast';
import type { CommandEntry, CommandLine, OptionEntry } from './command-line.js';
import { bold, entry, type Header, heading, paragraph, parse, render, text } from './roff.js';

/** A page of the manual. */
export interface Page {
  /** The name of its file: eventfs.1. */
  readonly file: string;
  /** Its source in roff. */
  readonly roff: string;
}

/** The sources of the pages. */
interface Sources {
  readonly commandLine: CommandLine;
  /** The exit codes, each with its meaning. */
  readonly exitCodes: readonly (readonly [number, string])[];
  /** The documents of docs/reference by their names: cli.md and others. */
  readonly reference: Readonly<Record<string, string>>;
  /** The pages' date, as in 2026-11-26. */
  readonly date: string;
}

/** Each document of the reference, and the page that it is in. */
const PAGE_OF: Readonly<Record<string, string>> = {
  'cli.md': 'eventfs(1)',
  'config.md': 'eventfs.toml(5)',
  'tree.md': 'eventfs(5)',
  'outlets.md': 'eventfs(5)',
  'status.md': 'eventfs(5)',
  'filter.md': 'eventfs-filter(7)',
};

/** The section of cli.md in whose place the page has the codes themselves. */
const EXIT_CODES = 'Exit codes';

const OTHER_PAGES = ['fuse(4)', 'netlink(7)', 'inotify(7)', 'udevadm(8)', 'mount(8)'];

/** Makes all pages. */
export function pages(sources: Sources): Page[] {
  const make = (page: string, purpose: string, content: readonly RootContent[]): Page => {
    const [, name, section] = /^(.*)\((\d)\)$/.exec(page)!;
    const header: Header = {
      name,
      section,
      date: sources.date,
      version: sources.commandLine.version,
    };
    const all = [
      heading(2, 'Name'),
      paragraph(`${name} - ${purpose}`),
      ...content,
      heading(2, 'See also'),
      paragraph(...seeAlso(page)),
    ];
    return { file: `${name}.${section}`, roff: render(header, all) };
  };
  const { reference } = sources;
  return [
    make('eventfs(1)', purposeOf(sources.commandLine), commandPage(sources)),
    make('eventfs.toml(5)', 'configuration, bounds and quotas of an eventfs mount', [
      ...description(reference['config.md']),
    ]),
    make('eventfs(5)', 'the mounted tree of eventfs, its sources and its outlets', [
      ...description(reference['tree.md']),
      heading(2, 'Sources and outlets'),
      ...prose(reference['outlets.md']),
      heading(2, 'Counters'),
      ...prose(reference['status.md']),
    ]),
    make('eventfs-filter(7)', 'the filters of eventfs', description(reference['filter.md'])),
  ];
}

function purposeOf({ text }: CommandLine): string {
  const [sentence] = text.split('. ');
  return sentence.replace(/\.$/, '').replace(/^An? /, (article) => article.toLowerCase());
}

function seeAlso(own: string): PhrasingContent[] {
  const others = [...new Set(Object.values(PAGE_OF)), ...OTHER_PAGES].filter(
    (page) => page !== own,
  );
  return others.flatMap((page, index) => [
    ...pageName(page),
    text(index === others.length - 1 ? '' : ', '),
  ]);
}

function pageName(page: string): PhrasingContent[] {
  const [, name, section] = /^(.*)(\(\d\))$/.exec(page)!;
  return [bold(name), text(section)];
}

// ---- eventfs(1)

function commandPage({ commandLine, exitCodes, reference }: Sources): RootContent[] {
  const parts = sectionsOf(reference['cli.md']);
  const [introduction] = parts;
  const used = new Set([introduction, parts.find(({ title }) => title === EXIT_CODES)]);
  const commands = commandLine.commands.flatMap((command) => {
    const section = parts.find(({ title }) =>
      `${title} `.startsWith(`${commandLine.name} ${command.name} `),
    );
    if (section !== undefined) used.add(section);
    return commandSection(command, section?.content ?? []);
  });
  return [
    heading(2, 'Synopsis'),
    synopsis(commandLine),
    heading(2, 'Description'),
    ...introduction.content,
    heading(2, 'Options'),
    ...optionEntries(commandLine.options),
    heading(2, 'Commands'),
    ...commands,
    heading(2, 'Exit status'),
    ...exitCodes.flatMap(([code, meaning]) => entry([bold(String(code))], [text(meaning)])),
    ...environment(commandLine),
    heading(2, 'Notes'),
    ...parts
      .filter((part) => !used.has(part))
      .flatMap(({ title, content }) => [heading(3, title), ...content]),
  ];
}

/** Returns one line a command. */
function synopsis({ commands }: CommandLine): RootContent {
  return paragraph(
    ...commands.flatMap(({ usage }, index): PhrasingContent[] => {
      const [, names, rest] = /^(\S+ \S+)(.*)$/.exec(usage)!;
      const line = [bold(names), text(rest)];
      return index === 0 ? line : [{ type: 'break' }, ...line];
    }),
  );
}

/**
 * Returns the text about a command: its introduction, its arguments and options, and the rest of
 * its section in cli.md.
 */
function commandSection(command: CommandEntry, content: readonly RootContent[]): RootContent[] {
  const { usage, options } = command;
  // The tables of options in cli.md say what the help texts say.
  const kept = content.filter((node) => node.type !== 'table' || firstCell(node) !== 'option');
  const [introduction = paragraph(`${sentence(command.text)}`), ...rest] = kept;
  return [
    heading(3, usage),
    introduction,
    ...command.arguments
      .filter(({ text }) => text !== '')
      .flatMap((argument) => entry([bold(argument.value.name)], [text(withNote(argument))])),
    ...optionEntries(options.filter(({ names }) => !names.includes('--help'))),
    ...rest,
  ];
}

function firstCell(table: RootContent & { readonly type: 'table' }): string {
  const [cell] = table.children[0].children[0].children;
  return cell.type === 'text' ? cell.value : '';
}

function optionEntries(options: readonly OptionEntry[]): RootContent[] {
  return options.flatMap((option) => entry([bold(option.term)], [text(withNote(option))]));
}

function environment({ commands }: CommandLine): RootContent[] {
  const found = commands.flatMap((command) =>
    command.options
      .filter(({ environment }) => environment !== undefined)
      .flatMap(({ environment, names }) =>
        entry([bold(environment!)], [text(`the value of ${names.at(-1)} for ${command.name}`)]),
      ),
  );
  return found.length === 0 ? [] : [heading(2, 'Environment'), ...found];
}

function withNote({ text, note }: { readonly text: string; readonly note: string }): string {
  return note === '' ? text : `${text} (${note})`;
}

/** Returns a help text with a capital and a full stop. */
function sentence(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;
}

// ---- Documents

/** A part of a document that begins with a heading of depth 2, or stands before the first. */
interface Section {
  /** As written, without marks. */
  readonly title: string;
  readonly content: readonly RootContent[];
}

/** Returns a document's introduction as DESCRIPTION, and its sections as subsections of it. */
function description(markdown: string): RootContent[] {
  return [heading(2, 'Description'), ...prose(markdown)];
}

/** remark-man writes the title of a section in capitals: the names of files must not be there. */
function prose(markdown: string): RootContent[] {
  return sectionsOf(markdown).flatMap(({ title, content }) => [
    ...(title === '' ? [] : [heading(3, title)]),
    ...content,
  ]);
}

function sectionsOf(markdown: string): Section[] {
  const sections: { title: string; content: RootContent[] }[] = [{ title: '', content: [] }];
  for (const node of parse(markdown).children) {
    if (node.type === 'heading' && node.depth === 1) continue;
    if (node.type === 'heading' && node.depth === 2)
      sections.push({ title: plain(node.children), content: [] });
    else sections.at(-1)!.content.push(withPageNames(node));
  }
  return sections;
}

function plain(nodes: readonly PhrasingContent[]): string {
  return nodes
    .map((node) => ('value' in node ? node.value : 'children' in node ? plain(node.children) : ''))
    .join('');
}

/** Returns a node whose links name pages of the manual, or files of docs/. */
function withPageNames<Node extends RootContent>(node: Node): Node {
  if (!('children' in node)) return node;
  const children = (node.children as RootContent[]).flatMap((child): RootContent[] =>
    child.type === 'link' ? linkText(child.children, child.url) : [withPageNames(child)],
  );
  return { ...node, children };
}

function linkText(content: readonly PhrasingContent[], url: string): PhrasingContent[] {
  const [path] = url.split('#', 1);
  if (path === '') return [...content];
  const page = PAGE_OF[path];
  const target: PhrasingContent[] =
    page !== undefined
      ? pageName(page)
      : [
          {
            type: 'emphasis',
            children: [{ type: 'text', value: posix.join('docs/reference', path) }],
          },
        ];
  return [...content, text(' ('), ...target, text(')')];
}
