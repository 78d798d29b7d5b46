import { spawn } from 'node:child_process';
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { isOfFormerNotifier } from '../../../fs/drivers/devfuse/former-notifier.js';
import { Opcode } from '../../../fs/fuse/abi.js';
import { suite } from '../../support/runner/suite.js';

const former = suite('a request of the notifier that the last daemon had');

former('is known by the program of the caller, also after an upgrade has removed it', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'eventfs-notifier-'));
  const program = join(directory, 'eventfs-notify');
  copyFileSync('/bin/sleep', program);
  const child = spawn(program, ['100']);
  await new Promise((done) => child.once('spawn', done));
  rmSync(directory, { recursive: true });
  assert.ok(isOfFormerNotifier(Opcode.FUSE_MKNOD, child.pid!));
  assert.not(isOfFormerNotifier(Opcode.FUSE_RELEASE, child.pid!));
  assert.not(isOfFormerNotifier(Opcode.FUSE_MKNOD, process.pid));
  const ended = new Promise((done) => child.once('exit', done));
  child.kill('SIGKILL');
  await ended;
  assert.not(isOfFormerNotifier(Opcode.FUSE_MKNOD, child.pid!));
});

former.run();
