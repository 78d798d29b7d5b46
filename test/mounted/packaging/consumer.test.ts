/**
 * A program that uses the package from an empty directory: its types compile, and its calls run.
 * The documents' and the examples' TypeScript compiles there too.
 */
import { spawnSync } from 'node:child_process';
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { blocks, readDocument } from '../../support/documents/markdown.js';
import { PROJECT } from '../../support/project.js';
import { suite } from '../../support/runner/suite.js';

const TSC = join(PROJECT, 'node_modules/typescript/bin/tsc');
const TIMEOUT_MS = 120_000;

const consumer = suite('a program that uses the package');

/** Runs Node in a directory, and returns its output and exit code. */
function node(cwd: string, ...args: readonly string[]): { out: string; code: number | null } {
  const { stdout, stderr, status } = spawnSync(process.execPath, args, {
    cwd,
    encoding: 'utf8',
    timeout: TIMEOUT_MS,
  });
  return { out: stdout + stderr, code: status };
}

/**
 * Makes an empty directory in which the package is installed as npm does it: no source is there.
 */
function installed(): string {
  const home = mkdtempSync(join(process.env.EVENTFS_TEST_DIR ?? tmpdir(), 'consumer-'));
  const modules = join(home, 'node_modules');
  const there = join(modules, 'eventfs');
  mkdirSync(join(there, 'dist'), { recursive: true });
  for (const name of ['package.json', 'bin', 'native', 'dist/fs'])
    cpSync(join(PROJECT, name), join(there, name), {
      recursive: true,
      filter: (path) => !/[.](ts|map|cc|h|c)$/.test(path) || path.endsWith('native/index.d.ts'),
    });
  symlinkSync(join(PROJECT, 'build'), join(there, 'build'));
  const declared = node(
    home,
    TSC,
    ...['-p', join(PROJECT, 'packaging/api/tsconfig.json'), '--emitDeclarationOnly'],
    ...['--outDir', join(there, 'dist')],
  );
  assert.equal(declared, { out: '', code: 0 });
  const { dependencies } = JSON.parse(readFileSync(join(PROJECT, 'package.json'), 'utf8')) as {
    dependencies: Readonly<Record<string, string>>;
  };
  mkdirSync(join(modules, '@types'));
  for (const name of [...Object.keys(dependencies), '@types/node', 'undici-types'])
    symlinkSync(join(PROJECT, 'node_modules', name), join(modules, name));
  writeFileSync(join(home, 'package.json'), '{ "type": "module" }');
  return home;
}

/** Compiles the TypeScript files of a directory, as strictly as a user may wish. */
function compile(home: string): { out: string; code: number | null } {
  const files = readdirSync(home).filter((name) => name.endsWith('.ts'));
  return node(
    home, // where no tsconfig.json is
    TSC,
    ...['--strict', '--exactOptionalPropertyTypes', '--noUncheckedIndexedAccess'],
    ...['--target', 'ES2022', '--module', 'NodeNext', '--types', 'node', '--outDir', home],
    ...files.map((name) => join(home, name)),
  );
}

const PROGRAM = `
import { EventfsError, Filter, mount, publish, subscribe } from 'eventfs';
import type { DeviceEvent, Loss, Mount, Subscription } from 'eventfs';

const filter: Filter = new Filter('SUBSYSTEM==mine');
const control = new AbortController();
const events: Subscription = subscribe({ filter, netlink: 'kernel', signal: control.signal });
export async function all(): Promise<void> {
  const mounted: Mount = await mount('/run/x', { source: 'none' });
  await publish({ action: 'add', devpath: '/x', properties: { N: 1 } }, { mount: mounted.path });
  for await (const event of events) {
    if (event.type === 'loss') {
      const { lost }: Loss = event;
      console.log(lost);
    } else {
      const one: DeviceEvent = event;
      const name: string | undefined = one.properties.DEVNAME;
      console.log(name);
    }
  }
}
control.abort(new Error('enough'));
await events.next().catch((error: unknown) => console.log(String(error)));
try {
  await subscribe({ mount: '/proc' }).next();
} catch (error) {
  if (error instanceof EventfsError) console.log(error.code);
}
// @ts-expect-error a subscription has no such option
const wrong = (): Subscription => subscribe({ filters: '' });
// @ts-expect-error a loss has no properties
const none = (event: Loss): unknown => event.properties;
console.log(typeof wrong, typeof none);
`;

consumer(
  'compiles against its types and runs, with the documents and the examples beside it',
  () => {
    const home = installed();
    try {
      writeFileSync(join(home, 'program.ts'), PROGRAM);
      const examples = join(PROJECT, 'examples/library');
      for (const name of readdirSync(examples)) cpSync(join(examples, name), join(home, name));
      const documented = blocks(readDocument('docs/reference/library.md')).filter(
        ({ language }) => language === 'ts',
      );
      assert.ok(documented.length >= 3, `${documented.length} blocks`);
      documented.forEach(({ lines }, index) =>
        writeFileSync(join(home, `document-${index}.ts`), lines.join('\n')),
      );
      assert.equal(compile(home), { out: '', code: 0 });
      assert.equal(node(home, 'program.js'), {
        out: 'Error: enough\nNOT_MOUNTED\nfunction function\n',
        code: 0,
      });
    } finally {
      rmSync(home, { recursive: true });
    }
  },
  TIMEOUT_MS,
);

consumer(
  'has a reference that TypeDoc makes without a warning',
  () => {
    const out = mkdtempSync(join(process.env.EVENTFS_TEST_DIR ?? tmpdir(), 'api-'));
    const made = node(
      PROJECT,
      join(PROJECT, 'node_modules/typedoc/bin/typedoc'),
      ...['--options', join(PROJECT, 'packaging/api/typedoc.json'), '--out', out],
      ...['--logLevel', 'Warn'],
    );
    assert.equal(made, { out: '', code: 0 });
    const page = readFileSync(join(out, 'functions/subscribe.html'), 'utf8');
    for (const text of ['Subscribes to events', 'BAD_FILTER', 'async iterator'])
      assert.ok(page.includes(text), text);
    rmSync(out, { recursive: true });
  },
  TIMEOUT_MS,
);

consumer('is told if a bundler has taken the package into its file', () => {
  const home = installed();
  mkdirSync(join(home, 'out'));
  cpSync(join(PROJECT, 'native/index.js'), join(home, 'out/bundle.mjs'));
  const { out, code } = node(home, 'out/bundle.mjs');
  assert.is(code, 1);
  assert.match(out, 'Error: a bundle has no binaries');
  assert.match(out, "hint: 'leave eventfs out of the bundle, as by esbuild --external:eventfs'");
});

consumer.run();
