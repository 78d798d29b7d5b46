/** `eventfs mount` of an unprivileged user in a user namespace: unshare -Urm. */
import * as assert from 'uvu/assert';
import { compiled } from '../../support/clients/compiled.js';
import { killDaemons, makeUevent, run, hasSaid } from '../../support/mount/daemon.js';
import { AS_NOBODY, eventfsForOthers } from '../../support/mount/other-user.js';
import { suite } from '../../support/runner/suite.js';
import { startAsUser } from './common.js';

const IN_USER_NAMESPACE = ['unshare', '-Urm'];
const NONE_COME = 'the kernel sends it only events of its own network devices';

const namespace = suite('a mount in an unprivileged user namespace');
namespace.after(killDaemons);

/** The options of nsenter(1), and the names in /proc/<pid>/ns. */
const NAMESPACES = { user: 'user', mount: 'mnt', net: 'net' } as const;
type Kind = keyof typeof NAMESPACES;

/** A command that enters a daemon's namespaces as the user. */
function enter(pid: number, ...kinds: readonly Kind[]): readonly string[] {
  const options = (['user', 'mount', ...kinds] as const).map(
    (kind) => `--${kind}=/proc/${pid}/ns/${NAMESPACES[kind]}`,
  );
  return [...AS_NOBODY, 'nsenter', '--preserve-credentials', ...options];
}

async function inside(
  command: readonly string[],
  pid: number,
  ...kinds: readonly Kind[]
): Promise<string> {
  const { out, err, code } = await run([...enter(pid, ...kinds), ...command]);
  assert.is(code, 0, err);
  return out;
}

namespace("has the kernel's events", async () => {
  const daemon = await startAsUser(['--source', 'kernel'], { wrap: IN_USER_NAMESPACE });
  await makeUevent('change');
  const log = `${daemon.path}/log`;
  const has = `until grep -qs ^change@/devices/virtual/mem/null ${log}/*; do sleep 0.02; done`;
  await inside(['timeout', '10', 'sh', '-c', has], daemon.pid);
  assert.match(await inside(['cat', `${log}/.status`], daemon.pid), /^KERNEL_FORGED=0$/m);
  assert.not.match(daemon.log(), NONE_COME);
  assert.is(await daemon.stop(), 0);
});

namespace(
  'and network namespace has events of its own network devices only, and says so',
  async () => {
    const daemon = await startAsUser(['--source', 'kernel'], {
      wrap: [...IN_USER_NAMESPACE, '-n'],
    });
    await hasSaid(daemon, NONE_COME);
    await makeUevent('change');
    const log = `${daemon.path}/log`;
    await inside(['ip', 'link', 'set', 'lo', 'name', 'renamed0'], daemon.pid, 'net');
    const has = `until grep -qs ^move@/devices/virtual/net/renamed0 ${log}/*; do sleep 0.02; done; ! grep -s mem/null ${log}/*`;
    await inside(['timeout', '10', 'sh', '-c', has], daemon.pid, 'net');

    const forged = 'add@/forged\0ACTION=add\0DEVPATH=/forged\0SUBSYSTEM=forged\0SEQNUM=1\0';
    const sender = [compiled('stream-netlink'), 'multicast', '1', '1'];
    const { err } = await run([...enter(daemon.pid, 'net'), ...sender], {
      input: Buffer.from(forged, 'latin1'),
    });
    assert.is(err, '');
    const counted = `until grep -q ^KERNEL_FORGED=1$ ${log}/.status; do sleep 0.02; done`;
    await inside(['timeout', '10', 'sh', '-c', counted], daemon.pid, 'net');
    const doctor = [...eventfsForOthers(), 'doctor', '--mount', daemon.path];
    assert.match(await inside(doctor, daemon.pid, 'net'), `warn  a user namespace owns this`);
  },
);

namespace(
  'is refused where mounts or uids are those of the outer namespace, in one line',
  async () => {
    for (const [options, remedy] of [
      ['-Ur', /lacks CAP_SYS_ADMIN: try unshare -Urm/],
      ['-Um', /this user namespace has no uid for root.*make the namespace with unshare -Urm/],
    ] as const) {
      const refusal = startAsUser(['--source', 'none'], { wrap: ['unshare', options] });
      const why = await refusal.then(() => 'it has started', String);
      assert.match(why, remedy);
      assert.match(why, /ended with 111: eventfs: mount: [^\n]+\n$/);
    }
  },
);

namespace.run();
