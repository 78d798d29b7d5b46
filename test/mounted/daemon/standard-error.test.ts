/** The daemon's log on a pipe whose reader has stopped. */
import * as assert from 'uvu/assert';
import { execFileSync } from 'node:child_process';
import { closeSync, constants, mkdtempSync, openSync, readSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Shell, startDaemon, until } from '../../support/mount/daemon.js';
import { suite } from '../../support/runner/suite.js';

const { O_RDWR, O_NONBLOCK } = constants;

/** A FIFO that is full. This process holds its only read end, and does not read. */
class FullPipe {
  readonly path = join(mkdtempSync(join(process.env.EVENTFS_TEST_DIR ?? tmpdir(), 'full-')), 'log');
  readonly fd: number;

  constructor() {
    execFileSync('mkfifo', [this.path]);
    this.fd = openSync(this.path, O_RDWR | O_NONBLOCK);
    for (const bytes of [4096, 1])
      while (this.#moves(() => writeSync(this.fd, Buffer.alloc(bytes, '\n')))) continue;
  }

  #moves(call: () => number): boolean {
    try {
      return call() > 0;
    } catch (error) {
      assert.is((error as NodeJS.ErrnoException).code, 'EAGAIN');
      return false;
    }
  }

  /** Returns the lines in the pipe. */
  read(): string {
    const bytes = Buffer.alloc(65_536);
    let text = '';
    let length = 0;
    while (this.#moves(() => (length = readSync(this.fd, bytes))))
      text += bytes.toString('utf8', 0, length);
    return text.replace(/^\n+/, '');
  }
}

const standardError = suite('standard error whose reader has stopped');

standardError('holds up no caller, and has each message once the reader goes on', async () => {
  const pipe = new FullPipe();
  const daemon = await startDaemon(['--source', 'none'], undefined, {
    under: ['sh', '-c', 'exec "$@" 2>"$0"', pipe.path],
  });
  const shell = new Shell();
  process.kill(daemon.pid, 'SIGUSR1'); // a message, and from then on lines of the trace
  for (let round = 0; round < 3; round++) {
    const { code } = await shell.run(`mkdir ${daemon.path}/$$ && rmdir ${daemon.path}/$$`);
    assert.is(code, 0);
  }
  process.kill(daemon.pid, 'SIGUSR1');
  let text = '';
  await until(() => {
    text += pipe.read();
    return text.includes(' no longer traces requests\n');
  }, 'the messages did not come');
  assert.match(text, /^(eventfs: (mount|requests): [^\n]+\n)+$/);
  assert.match(text, 'eventfs: mount: SIGUSR1: the daemon traces requests ');
  assert.is(await daemon.stop(), 0);
  await shell.kill();
  closeSync(pipe.fd);
});

standardError.run();
