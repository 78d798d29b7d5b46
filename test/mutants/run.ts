/**
 * Checks that the tests notice mistakes. It applies the edits of test/mutants one at a time to a
 * copy of the tree, builds the changed parts, runs the test files that the edit names, and prints
 * whether one of them fails. It is run by hand (make mutants), and takes about 30 s an edit.
 *
 *     node dist/test/mutants/run.js [part of an edit's list, file or reason ...]
 *
 * A test file that fails without any edit would notice every edit. So a file that has noticed an
 * edit also runs without the edit, and once more if it fails then: on a busy machine it may fail by
 * chance. The exit code is 1 if an edit was not caught.
 */
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import ts from 'typescript';
import { PROJECT } from '../support/mount/daemon.js';
import { type Edit, apply, readEdits } from './edits.js';

/** A test file that hangs counts as having noticed. */
const FILE_SECONDS = 200;
const BUILD_MS = 600_000;

/** Not copied: node_modules becomes a link, and tests do not need .git. */
const LEFT_OUT = new Set(['.git', 'node_modules']);

/** The directory that node-gyp builds, and the copy's backup of the build without an edit. */
const NATIVE_BUILD = 'build/Release';
const SOUND_BUILD = 'build/sound';

/** A test file that failed, the pattern of the tests that ran, and the failed test. */
interface Noticed {
  readonly test: string;
  readonly names: string;
  readonly failure: string;
}
type Outcome = Noticed | 'survived' | 'does not build' | 'its tests fail without it';

/** A copy of the tree with one edit at a time. */
class Copy {
  readonly path = mkdtempSync(join(tmpdir(), 'eventfs-mutants-'));
  readonly #sound = new Map<string, boolean>();
  #isConfigured = false;

  constructor() {
    chmodSync(this.path, 0o755); // clients that are not root must get through
    for (const name of readdirSync(PROJECT)) {
      if (!LEFT_OUT.has(name))
        cpSync(join(PROJECT, name), join(this.path, name), {
          recursive: true,
          preserveTimestamps: true,
          verbatimSymlinks: true,
        });
    }
    symlinkSync(join(PROJECT, 'node_modules'), join(this.path, 'node_modules'));
  }

  /** Removes the copy. */
  remove(): void {
    rmSync(this.path, { recursive: true, force: true });
  }

  /** Returns true if a test file, or its tests that match `names`, passes without an edit. */
  isSound(test: string, names: string): boolean {
    const key = `${test} ${names}`;
    const isSound =
      this.#sound.get(key) ??
      (this.#failure(test, names) === null || this.#failure(test, names) === null);
    this.#sound.set(key, isSound);
    return isSound;
  }

  /** Builds the tree with the edit, runs the tests, and reverts the edit. */
  try(edit: Edit): Outcome {
    const source = readFileSync(join(this.path, edit.file), 'utf8');
    try {
      if (!this.#build(edit.file, apply(edit, source))) return 'does not build';
      return this.#outcome(edit);
    } finally {
      this.#restore(edit.file, source);
    }
  }

  /** Runs the tests that the edit names first, then all tests of the files. */
  #outcome({ tests, names = '' }: Edit): Outcome {
    for (const pattern of new Set([names, ''])) {
      for (const test of tests) {
        const failure = this.#failure(test, pattern);
        if (failure !== null) return { test, names: pattern, failure };
      }
    }
    return 'survived';
  }

  /**
   * Builds the native parts once in the copy: the project's own build contains its absolute path.
   * @returns false if the build fails
   */
  configure(): boolean {
    if (this.#isConfigured || !this.#gyp('configure') || !this.#gyp('build'))
      return this.#isConfigured;
    cpSync(join(this.path, NATIVE_BUILD), join(this.path, SOUND_BUILD), {
      recursive: true,
      preserveTimestamps: true,
      verbatimSymlinks: true,
    });
    return (this.#isConfigured = true);
  }

  /**
   * Reverts an edit. The build of native/ is restored from the backup: a new build would take as
   * long as the edit's.
   */
  #restore(file: string, source: string): void {
    if (!file.startsWith('native/')) {
      this.#build(file, source);
      return;
    }
    writeFileSync(join(this.path, file), source);
    const { atime, mtime } = statSync(join(PROJECT, file));
    utimesSync(join(this.path, file), atime, mtime);
    rmSync(join(this.path, NATIVE_BUILD), { recursive: true });
    cpSync(join(this.path, SOUND_BUILD), join(this.path, NATIVE_BUILD), {
      recursive: true,
      preserveTimestamps: true,
      verbatimSymlinks: true,
    });
  }

  #build(file: string, source: string): boolean {
    writeFileSync(join(this.path, file), source);
    if (file.startsWith('native/')) return this.#gyp('build');
    return file.endsWith('.ts') ? this.#transpile(file, source) : true; // a script needs no build
  }

  /** Compiles one file without a type check: a mistake need not have the right types. */
  #transpile(file: string, source: string): boolean {
    const options = {
      target: ts.ScriptTarget.ES2023,
      module: ts.ModuleKind.ESNext,
      verbatimModuleSyntax: true,
      isolatedModules: true,
    };
    const { outputText, diagnostics } = ts.transpileModule(source, {
      fileName: file,
      compilerOptions: options,
      reportDiagnostics: true,
    });
    if (diagnostics !== undefined && diagnostics.length > 0) return false;
    writeFileSync(join(this.path, 'dist', file.replace(/\.ts$/, '.js')), outputText);
    return true;
  }

  #gyp(command: 'configure' | 'build'): boolean {
    const headers = join(process.execPath, '../..');
    const nodedir = existsSync(join(headers, 'include/node/node_api.h'))
      ? [`--nodedir=${headers}`]
      : [];
    return this.#run(
      ['node_modules/.bin/node-gyp', command, '--jobs=max', '--loglevel=error', ...nodedir],
      BUILD_MS,
    ).isGood;
  }

  /**
   * Runs a test file, or its tests that match `names`.
   * @returns null if it passes; else the first failure, as a suffix to the file's name
   */
  #failure(test: string, names: string): string | null {
    const { isGood, out } = this.#run([process.execPath, 'dist/test/run.js', test], 0, names);
    if (isGood) return null;
    const sentence =
      /^\s*FAIL\s+(.*)$/m.exec(out)?.[1] ?? /^.*(?:was aborted|left behind:.*)$/m.exec(out)?.[0];
    return sentence === undefined ? '' : `: ${sentence.trim()}`;
  }

  #run(
    command: readonly string[],
    timeout: number,
    names = '',
  ): { readonly isGood: boolean; readonly out: string } {
    // Where the kernel offers io_uring, tests that choose no transport would otherwise never read a
    // request from /dev/fuse.
    const env = {
      ...process.env,
      EVENTFS_TEST_FILE_SECONDS: String(FILE_SECONDS),
      EVENTFS_TEST_NAMES: names,
      EVENTFS_TRANSPORT: 'read',
    };
    const { status, stdout, stderr } = spawnSync('nice', ['-n', '10', ...command], {
      cwd: this.path,
      env,
      timeout,
      maxBuffer: 2 ** 28,
    });
    if (process.env.EVENTFS_MUTANTS_DEBUG !== undefined)
      console.log(`${command.join(' ')}: ${status}\n${String(stdout)}${String(stderr)}`);
    return { isGood: status === 0, out: String(stdout) };
  }
}

function outcomeOf(copy: Copy, edit: Edit): Outcome {
  const outcome = copy.try(edit);
  return typeof outcome === 'string' || copy.isSound(outcome.test, outcome.names)
    ? outcome
    : 'its tests fail without it';
}

/** Returns an edit's outcome as a line. */
function told(edit: Edit, outcome: Outcome): string {
  const what =
    typeof outcome === 'string'
      ? outcome.toUpperCase()
      : `caught by ${outcome.test}${outcome.failure}`;
  return `${edit.part}: ${edit.file}: ${edit.why}: ${what}`;
}

/** Returns lines such as `owners: 9 of 10`, for each part and for all together. */
function score(outcomes: readonly (readonly [Edit, Outcome])[]): string[] {
  const parts = [...new Set(outcomes.map(([{ part }]) => part))];
  const line = (name: string, among: readonly (readonly [Edit, Outcome])[]): string => {
    const caught = among.filter(([, outcome]) => typeof outcome !== 'string').length;
    return `${name}: ${caught} of ${among.length} caught, ${Math.floor((caught * 1000) / among.length) / 10} %`;
  };
  return [
    ...parts.map((part) =>
      line(
        part,
        outcomes.filter(([edit]) => edit.part === part),
      ),
    ),
    line('all', outcomes),
  ];
}

function main(): void {
  const wanted = process.argv.slice(2);
  const isWanted = ({ part, file, why }: Edit): boolean =>
    wanted.length === 0 || wanted.some((word) => `${part} ${file} ${why}`.includes(word));
  const chosen = readEdits().filter(isWanted);
  if (chosen.length === 0) throw new Error(`no edit has one of these in it: ${wanted.join(' ')}`);
  const copy = new Copy();
  const outcomes: [Edit, Outcome][] = [];
  try {
    if (chosen.some(({ file }) => file.startsWith('native/')) && !copy.configure())
      throw new Error("the native parts can't be built");
    for (const edit of chosen) {
      const outcome = outcomeOf(copy, edit);
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
