/**
 * Tests the runner (test/run.ts): it ends all that a test file leaves, and no error ends the run.
 */
import * as assert from 'uvu/assert';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { mount, unmount } from '#native';
import { compiled } from '../../support/clients/compiled.js';
import { PROJECT, isMounted, run } from '../../support/mount/daemon.js';
import { sideBySide, suite } from '../../support/runner/suite.js';

const MNT_DETACH = 2;
const SUPPORT = `file://${join(PROJECT, 'dist/test/support')}`;
const IMPORTS = `
import { appendFileSync, mkdirSync } from 'node:fs';
import { spawn, execFileSync } from 'node:child_process';
import { createServer } from 'node:net';
import { Actor } from '${SUPPORT}/clients/actor.js';
import { Calls, Reader, spawnClient } from '${SUPPORT}/clients/clients.js';
import { Background } from '${SUPPORT}/mount/command.js';
import { Shell, startDaemon } from '${SUPPORT}/mount/daemon.js';
import { skip, suite } from '${SUPPORT}/runner/suite.js';
const scratch = process.env.EVENTFS_TEST_DIR;
const tests = suite('a file');
`;
/** Returns the text of a test file with one test of that body, and one that passes. */
const file = (body: string, more = ''): string =>
  `${IMPORTS}${more}tests('does it', async () => {${body}});\ntests('passes', () => {});\ntests.run();\n`;

const place = mkdtempSync(join(tmpdir(), 'eventfs-runner-'));
let serial = 0;

/**
 * Runs files of these texts in a temporary directory.
 * @param names selects tests by their sentences
 * @returns output, exit code and duration
 */
async function runner(
  texts: readonly string[],
  temporary = place,
  folder = place,
  names = '',
): Promise<{ out: string; code: number | null; seconds: number }> {
  const paths = texts.map((text) => {
    const path = join(folder, `file-${++serial}.mjs`);
    writeFileSync(path, text);
    return path;
  });
  const started = Date.now();
  const { out, err, code } = await run(
    [process.execPath, join(PROJECT, 'dist/test/run.js'), ...paths],
    {
      timeoutMs: 90_000,
      env: {
        ...process.env,
        TMPDIR: temporary,
        EVENTFS_TEST_NAMES: names,
        EVENTFS_TEST_FILE_SECONDS: '60',
        EVENTFS_TEST_LINGER_SECONDS: '4',
      },
    },
  );
  return { out: out + err, code, seconds: (Date.now() - started) / 1000 };
}

const LEFTOVERS = {
  'a shell': 'await new Shell().run("true");',
  'a shell with a child that does not end by SIGTERM': `await new Shell().run("(trap '' TERM; while :; do sleep 0.1; done) & true");`,
  'an actor': 'await new Actor().ask("pid");',
  'a client': 'await new Calls().call("getpid").catch(() => {});',
  'a reader that blocks':
    'const daemon = await startDaemon(); await Reader.on(daemon.path + "/stream");',
  'a daemon that is stopped': '(await startDaemon()).process.kill("SIGSTOP");',
  'a command in the background':
    'new Background(["watch", "--mount", (await startDaemon()).path]);',
  'a process that test/support did not start': 'spawn("sleep", ["1000"], { stdio: "inherit" });',
  'a process in a session of its own': 'spawn("setsid", ["sleep", "1000"], { stdio: "inherit" });',
  'a timer': 'setInterval(() => {}, 1000);',
  'a server': 'createServer().listen(scratch + "/socket");',
};

const alone = suite('the runner');
/** A run of these waits for most of its time. */
const runs = sideBySide(alone, 3);
runs.before(() => ['actor', 'stream-calls'].forEach(compiled)); // not at the same time by its runs
runs.after(() => rmSync(place, { recursive: true, force: true }));

// First: each run that goes on meanwhile would count the file too.
alone(
  'fails a file that leaves a file in the checkout, and removes those of a relative path',
  async () => {
    const left = join(PROJECT, 'left-by-a-test');
    try {
      const { out } = await runner([
        file("appendFileSync('relative', ''); mkdirSync('folder');"),
        file(`appendFileSync('${left}', '');`),
        file(''),
      ]);
      assert.is(out.match(/left in the checkout/g)?.length, 1);
      assert.match(out, /FAILED [^\n]*file-\d+\.mjs: left in the checkout: left-by-a-test\n/);
      assert.match(out, /\n6 passed, 1 failed\n$/);
    } finally {
      rmSync(left, { force: true });
    }
  },
  100_000,
);

// Before the others, because they take longest.
runs(
  'fails a file that passes and does not end, and lists its leftover processes',
  async () => {
    const { out, seconds } = await runner([file('await new Shell().run("true");'), file('')]);
    assert.match(out, 'its tests have ended, but it did not');
    assert.match(out, /left behind: process \d+, (node|MainThread), process \d+, bash/);
    assert.match(out, /\n4 passed, 1 failed\n$/);
    assert.ok(seconds < 30, `it took ${seconds} s`);
  },
  100_000,
);

runs(
  'fails a file that ends and leaves a process that holds its output',
  async () => {
    const { out } = await runner([
      file('spawn("setsid", ["sleep", "35"], { stdio: "inherit", detached: true }).unref();'),
      file(''),
    ]);
    assert.match(out, 'it has ended, but what it had started did not');
    assert.match(out, /\n4 passed, 1 failed\n$/);
  },
  100_000,
);

for (const [what, code] of Object.entries(LEFTOVERS)) {
  runs(
    `ends a file whose test fails and leaves ${what}, within seconds`,
    async () => {
      const {
        out,
        code: exit,
        seconds,
      } = await runner([file(`${code} throw new Error('on purpose');`), file('')]);
      assert.match(out, 'on purpose');
      assert.match(out, /FAILED [^\n]*file-\d+\.mjs: 1 passed, 1 failed/);
      assert.match(out, /\n3 passed, \d+ failed\n$/);
      assert.is(exit, 1);
      assert.ok(seconds < 20, `it took ${seconds} s`);
    },
    100_000,
  );
}

runs(
  'prints an error of a hook, runs the other hooks and suites, and fails the file',
  async () => {
    const more = `tests.after(() => { throw new Error('after on purpose'); }); tests.after(() => console.log('the other hook'));\nconst second = suite('second');\n`;
    const { out } = await runner([
      `${file('', more)}second.before(() => { throw new Error('before on purpose'); });\nsecond('is not run', () => {});\nsecond.run();\n`,
    ]);
    for (const text of ['after on purpose', 'the other hook', 'before on purpose'])
      assert.match(out, text);
    assert.match(out, /\n2 passed, 1 failed\n$/);
  },
  100_000,
);

runs(
  'counts a test that skips itself apart from those that pass, and prints its reason',
  async () => {
    const beside = `import { sideBySide } from '${SUPPORT}/runner/suite.js';\n`;
    const { out, code } = await runner([
      file('skip("no such kernel\\n");'),
      file('', `${beside}sideBySide(tests, 2)('needs it', () => skip('no such program'));\n`),
    ]);
    assert.match(out, 'skipped: a file does it: no such kernel\n');
    assert.match(out, 'skipped: a file needs it: no such program\n');
    assert.match(out, /\n3 passed, 0 failed, 2 skipped\n$/);
    assert.is(code, 0);
  },
);

runs('fails if no test has run, and not for a file without a test of the wanted name', async () => {
  const { out, code } = await runner(
    [file(''), file('', "tests('flies', () => {});\n")],
    place,
    place,
    'flies',
  );
  assert.match(out, /\n1 passed, 0 failed\n$/);
  assert.is(code, 0);
  const none = await runner([file('')], place, place, 'flies');
  assert.match(none.out, /\nno test has such a name\n\n0 passed, 0 failed\n$/);
  assert.is(none.code, 1);
});

runs(
  'runs tests side by side, not more than a suite allows, and counts each',
  async () => {
    const more = `
import { sideBySide } from '${SUPPORT}/runner/suite.js';
const beside = sideBySide(tests, 2);
let now = 0;
let most = 0;
const meets = async () => {
  most = Math.max(most, ++now);
  while (most < 2) await new Promise((done) => setTimeout(done, 5));
  await new Promise((done) => setTimeout(done, 50));
  now--;
};
for (const name of ['one', 'two', 'three']) beside(name, meets);
beside('fails', async () => { await meets(); throw new Error('on purpose'); });\n`;
    const { out } = await runner([
      file('if (most !== 2) throw new Error(`${most} at once`);', more),
    ]);
    assert.match(out, /FAIL {2}a file {2}"fails"\n +on purpose/);
    assert.match(out, /\n5 passed, 1 failed\n$/);
  },
  100_000,
);

runs(
  'runs the other files of test/unit in another process, if one fails in a shared process',
  async () => {
    const unit = join(place, 'unit');
    mkdirSync(unit);
    const print = 'console.log("  figure: process " + process.pid);';
    const bad = ['throw new Error("on purpose");', 'process.exit(3);', 'process.env.LEFT = "x";'];
    // A process for each CPU, and one more after each failure: fewer than good files.
    const good = Math.min(availableParallelism(), 8) + bad.length + 1;
    const bodies = [...new Array<string>(good).fill(print), ...bad];
    const { out } = await runner(
      bodies.map((body) => file(body)),
      place,
      unit,
    );
    assert.match(out, /file-\d+\.mjs: 1 passed, 1 failed/);
    assert.match(out, /file-\d+\.mjs: 0 passed, 1 failed/);
    assert.match(out, /file-\d+\.mjs leaves the environment, the directory or the umask changed/);
    assert.match(out, new RegExp(`\n${2 * good + 3} passed, 3 failed\n$`));
    const processes = new Set(out.match(/figure: process \d+/g));
    assert.ok(processes.size < good, [...processes].join());
    const left = await runner(
      [file('spawn("sleep", ["1000"], { stdio: "ignore" }).unref();'), file('')],
      place,
      unit,
    );
    assert.match(left.out, /left behind: process \d+, sleep/);
    assert.match(left.out, /\n4 passed, 1 failed\n$/);
  },
  100_000,
);

runs(
  'unmounts mounts that hide each other, and goes on',
  async () => {
    // The first mount is moved above the second, so the first must be unmounted first.
    const body = `
    for (const name of ['first', 'second']) { mkdirSync(scratch + '/' + name); }
    execFileSync('mount', ['-t', 'tmpfs', 'first', scratch + '/first']);
    mkdirSync(scratch + '/first/inner'); mkdirSync(scratch + '/second/inner');
    execFileSync('mount', ['-t', 'tmpfs', 'second', scratch + '/second/inner']);
    execFileSync('mount', ['--make-private', scratch + '/first']);
    execFileSync('mount', ['--move', scratch + '/first', scratch + '/second']);`;
    const { out } = await runner([file(body), file('')]);
    assert.match(out, /file-\d+\.mjs: left behind: a mount on /);
    assert.match(out, /\n4 passed, 1 failed\n$/);
    assert.not(isMounted(place));
  },
  100_000,
);

runs(
  'counts a failure for a file that it cannot clear up after, and for the next that cannot begin',
  async () => {
    const temporary = join(place, 'temporary');
    mkdirSync(temporary);
    mount('tmpfs', temporary, 'tmpfs', 0, '');
    try {
      const { out } = await runner(
        [file(`execFileSync('mount', ['-o', 'remount,ro', '${temporary}']);`), file('')],
        temporary,
      );
      // Node 24 has a text here, and no code.
      const reason = /FAILED [^\n]*file-\d+\.mjs: while it was cleared: [^\n]*(EROFS|Read-only)/;
      assert.match(out, reason);
      assert.match(out, /FAILED [^\n]*file-\d+\.mjs: [^\n]*EROFS[^\n]*mkdtemp/);
      assert.match(out, /\n2 passed, 2 failed\n$/);
    } finally {
      unmount(temporary, MNT_DETACH);
    }
  },
  100_000,
);

runs.run();
