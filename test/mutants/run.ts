/**
 * Puts the edits of test/mutants one at a time into a copy of the tree, builds what the edit changes, runs the test files that
 * the edit names, and says whether one of them has noticed. Run by hand (make mutants): it takes about half a minute an edit.
 *
 *   node dist/test/mutants/run.js [part of an edit's list, file or reason ...]
 *
 * A test file that fails without any edit would notice each of them, so that each is run once before its first edit.
 * Ends with 1 where an edit has survived.
 */
import { spawnSync } from 'node:child_process';
import { chmodSync, cpSync, existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import ts from 'typescript';
import { PROJECT } from '../support/daemon.js';
import { type Edit, apply, readEdits } from './edits.js';

/** A test file that hangs has noticed. */
const FILE_SECONDS = 150;
const BUILD_MS = 600_000;

/** Not copied: node_modules is linked to, the others are of no use to tests. */
const LEFT_OUT = new Set(['.git', 'node_modules']);

type Outcome = { readonly by: string } | 'survived' | 'does not build';

/** A copy of the tree, in which one edit stands at a time. */
class Copy {
  readonly path = mkdtempSync(join(tmpdir(), 'eventfs-mutants-'));
  readonly #sound = new Map<string, boolean>();
  #isConfigured = false;

  constructor() {
    chmodSync(this.path, 0o755); // clients that are not root must get through
    for (const name of readdirSync(PROJECT)) {
      if (!LEFT_OUT.has(name)) cpSync(join(PROJECT, name), join(this.path, name), { recursive: true, preserveTimestamps: true, verbatimSymlinks: true });
    }
    symlinkSync(join(PROJECT, 'node_modules'), join(this.path, 'node_modules'));
  }

  remove(): void {
    rmSync(this.path, { recursive: true, force: true });
  }

  /** Whether all test files that the edit names pass without it. */
  areSound({ tests }: Edit): boolean {
    for (const test of tests) if (!this.#sound.has(test)) this.#sound.set(test, this.#passes(test));
    return tests.every((test) => this.#sound.get(test));
  }

  /** Builds the tree with the edit, runs the tests, and takes the edit out again. */
  try(edit: Edit): Outcome {
    const at = join(this.path, edit.file);
    const source = readFileSync(at, 'utf8');
    if (!this.#build(edit.file, apply(edit, source))) {
      this.#build(edit.file, source);
      return 'does not build';
    }
    try {
      for (const test of edit.tests) if (!this.#passes(test)) return { by: test };
      return 'survived';
    } finally {
      this.#build(edit.file, source);
    }
  }

  /** Makes the native parts once where they are: what the project has built knows its own place. */
  configure(): boolean {
    this.#isConfigured ||= this.#gyp('configure') && this.#gyp('build');
    return this.#isConfigured;
  }

  #build(file: string, source: string): boolean {
    writeFileSync(join(this.path, file), source);
    return file.startsWith('native/') ? this.#gyp('build') : this.#transpile(file, source);
  }

  /** One file, without a look at its types: with a mistake they need not fit. */
  #transpile(file: string, source: string): boolean {
    const options = { target: ts.ScriptTarget.ES2023, module: ts.ModuleKind.ESNext, verbatimModuleSyntax: true, isolatedModules: true };
    const { outputText, diagnostics } = ts.transpileModule(source, { fileName: file, compilerOptions: options, reportDiagnostics: true });
    if (diagnostics !== undefined && diagnostics.length > 0) return false;
    writeFileSync(join(this.path, 'dist', file.replace(/\.ts$/, '.js')), outputText);
    return true;
  }

  #gyp(command: 'configure' | 'build'): boolean {
    const headers = join(process.execPath, '../..');
    const nodedir = existsSync(join(headers, 'include/node/node_api.h')) ? [`--nodedir=${headers}`] : [];
    return this.#run(['node_modules/.bin/node-gyp', command, '--loglevel=error', ...nodedir], BUILD_MS);
  }

  #passes(test: string): boolean {
    return this.#run([process.execPath, 'dist/test/run.js', test], 0);
  }

  #run(command: readonly string[], timeout: number): boolean {
    const env = { ...process.env, EVENTFS_TEST_FILE_SECONDS: String(FILE_SECONDS) };
    const { status, stdout, stderr } = spawnSync('nice', ['-n', '10', ...command], { cwd: this.path, env, timeout, maxBuffer: 2 ** 28 });
    if (process.env.EVENTFS_MUTANTS_DEBUG !== undefined) console.log(`${command.join(' ')}: ${status}\n${String(stdout)}${String(stderr)}`);
    return status === 0;
  }
}

/** What became of an edit, as a line. */
function told(edit: Edit, outcome: Outcome): string {
  const what = typeof outcome === 'string' ? outcome.toUpperCase() : `caught by ${outcome.by}`;
  return `${what}: ${edit.part}: ${edit.file}: ${edit.why}`;
}

/** `owners: 9 of 10`, for each part and all together. */
function score(outcomes: readonly (readonly [Edit, Outcome])[]): string[] {
  const parts = [...new Set(outcomes.map(([{ part }]) => part))];
  const line = (name: string, among: readonly (readonly [Edit, Outcome])[]): string => {
    const caught = among.filter(([, outcome]) => typeof outcome !== 'string').length;
    return `${name}: ${caught} of ${among.length} caught, ${Math.floor((caught * 1000) / among.length) / 10} %`;
  };
  return [...parts.map((part) => line(part, outcomes.filter(([edit]) => edit.part === part))), line('all', outcomes)];
}

function main(): void {
  const wanted = process.argv.slice(2);
  const isWanted = ({ part, file, why }: Edit): boolean => wanted.length === 0 || wanted.some((word) => `${part} ${file} ${why}`.includes(word));
  const chosen = readEdits().filter(isWanted);
  if (chosen.length === 0) throw new Error(`no edit has one of these in it: ${wanted.join(' ')}`);
  const copy = new Copy();
  const outcomes: [Edit, Outcome][] = [];
  try {
    if (chosen.some(({ file }) => file.startsWith('native/')) && !copy.configure()) throw new Error('the native parts can\'t be built');
    for (const edit of chosen) {
      if (!copy.areSound(edit)) throw new Error(`one of these fails without an edit: ${edit.tests.join(' ')}`);
      const outcome = copy.try(edit);
      outcomes.push([edit, outcome]);
      console.log(told(edit, outcome));
    }
  } finally {
    copy.remove();
  }
  console.log(`\n${score(outcomes).join('\n')}`);
  process.exitCode = outcomes.some(([, outcome]) => typeof outcome === 'string') ? 1 : 0;
}

main();
