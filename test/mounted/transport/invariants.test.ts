/**
 * The addon's invariants (native/addon/invariant.h). With EVENTFS_ASSERT a broken one ends the
 * process, as in TypeScript.
 */
import * as assert from 'uvu/assert';
import { spawnSync } from 'node:child_process';
import { PROJECT } from '../../support/mount/daemon.js';
import { suite } from '../../support/runner/suite.js';

const invariants = suite('a broken invariant of the addon');

/**
 * A script that answers a parked request of a connection without a mount: the kernel refuses it.
 */
const script = (unique: number): string => `
  import { ControlWord, DeathWatch, DrainWord, FuseChannel, openFuse } from '#native';
  const channel = new FuseChannel({
    fd: openFuse(),
    busyPollUs: 0,
    deaths: new DeathWatch({ onDeath() {}, drains: new Uint32Array(DrainWord.count) }),
    request: new Uint8Array(8192),
    reply: new Uint8Array(4096),
    log: new Uint8Array(4096),
    control: new Uint32Array(ControlWord.count),
    parked: new Uint8Array([${unique}, 0, 0, 0, 0, 0, 0, 0]),
    onRequest() {},
    onSettle() {},
    onRefused(...refused) { console.log('refused', ...refused); },
    onStarved() {},
      onDry() {},
    hang: { boundMs: 0, prefix: '', names: [], onNoTimer() {} },
    onHung() {},
    onEnd() {},
  });
  channel.answer(Uint32Array.of(0), 1, 0, false);
  channel.close();
`;

function answer(
  unique: number,
  asserts: string | undefined,
): { out: string; err: string; signal: string | null } {
  const env = { ...process.env, EVENTFS_ASSERT: asserts };
  const { stdout, stderr, signal } = spawnSync(
    process.execPath,
    ['--input-type=module', '-e', script(unique)],
    { env, cwd: PROJECT, encoding: 'utf8' },
  );
  return { out: stdout, err: stderr, signal };
}

invariants('aborts the process with its text if EVENTFS_ASSERT is set', () => {
  const { out, err, signal } = answer(0, 'abort'); // no request has the number 0
  assert.equal([out, signal], ['', 'SIGABRT']);
  assert.match(err, /^eventfs: broken invariant: unique != 0 \(.*reply_batch\.cc:\d+\)\n/);
});

invariants('has no effect without EVENTFS_ASSERT: the kernel refuses the reply', () => {
  const { out, err, signal } = answer(0, undefined);
  assert.equal([out, err, signal], ['refused 1 false\n', '', null]);
});

invariants(
  'is not reported for a refused reply to a parked request, which the daemon hears of',
  () => {
    const { out, err, signal } = answer(7, 'abort');
    assert.equal([out, err, signal], ['refused 1 true\n', '', null]);
  },
);

invariants.run();
