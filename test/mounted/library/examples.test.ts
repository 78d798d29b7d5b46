/** The examples in TypeScript, on real events. */
import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { publish } from '../../../fs/index.js';
import { makeUevent, PROJECT, until, within } from '../../support/mount/daemon.js';
import { configured } from '../../support/mount/config.js';
import { daemon, mounted, nothingIsOpen } from '../../support/mount/mounted.js';
import { statusOf } from '../../support/clients/clients.js';

const example = (name: string): string => join(PROJECT, 'dist/examples/library', `${name}.js`);
const MONITOR = [process.execPath, example('monitor')];

/** A running command and its output. */
class Running {
  out = '';
  readonly process: ChildProcess;

  constructor(command: readonly string[]) {
    this.process = spawn(command[0], command.slice(1), { stdio: ['ignore', 'pipe', 'pipe'] });
    for (const stream of [this.process.stdout!, this.process.stderr!])
      stream.on('data', (chunk: Buffer) => (this.out += chunk.toString()));
  }

  async prints(wanted: RegExp | string): Promise<void> {
    const isThere = (): boolean =>
      typeof wanted === 'string' ? this.out.includes(wanted) : wanted.test(this.out);
    await until(isThere, () => `not ${wanted}, but ${this.out}`, 15_000);
  }

  async end(): Promise<void> {
    const gone = new Promise((done) => this.process.once('close', done));
    this.process.kill('SIGKILL');
    await within(20_000, gone, 'it did not end');
  }
}

const RING_EVENTS = 1024;

const examples = mounted(
  'an example in TypeScript',
  configured(`[log]\nring_events = ${RING_EVENTS}\n`),
);

examples('monitor.ts prints the lines of udevadm monitor', async () => {
  const match = ['--kernel', '--property', '--subsystem-match=mem'];
  const both = [
    new Running([...MONITOR, ...match]),
    new Running(['stdbuf', '-oL', 'udevadm', 'monitor', ...match]),
  ];
  await Promise.all(both.map((one) => one.prints('KERNEL - the kernel uevent\n\n')));
  // The header of udevadm comes before its socket is bound.
  await until(
    async () => {
      await makeUevent('add');
      return both.every(({ out }) => out.includes('SUBSYSTEM=mem\n'));
    },
    'no event came',
    15_000,
  );
  await makeUevent('unbind');
  await Promise.all(both.map((one) => one.prints(/unbind[^]*\n\n/)));
  const [ours, theirs] = both.map(({ out }) => /\] (unbind[^]*?)\n\n/.exec(out)![1]);
  const lines = (text: string): string[] => text.split('\n').sort();
  assert.equal(lines(ours), lines(theirs));
  assert.is(ours.split('\n')[0], theirs.split('\n')[0]);
  for (const one of both) await one.end();
});

examples('monitor.ts prints what programs publish on a mount, by tag', async () => {
  const monitor = new Running([...MONITOR, '--mount', daemon.path, '--tag-match=seat']);
  await until(
    () => statusOf(`${daemon.path}/log`).STREAMS === '1',
    'it does not subscribe',
    15_000,
  );
  for (const [n, TAGS] of [':seat:uaccess:', ':other:', ':seat:'].entries())
    await publish(
      { action: 'add', devpath: `/d${n}`, properties: { SUBSYSTEM: 'input', TAGS } },
      { mount: daemon.path },
    );
  await monitor.prints(/MOUNT \[\d+\.\d{6}\] add {6}\/d0 \(input\)\n.*\/d2 \(input\)\n$/);
  await monitor.end();
  await nothingIsOpen();
});

examples('automount.ts prints the commands for a stick, and no label is a command', async () => {
  const automount = new Running([
    process.execPath,
    example('automount'),
    ...['--mount', daemon.path],
  ]);
  await until(
    () => statusOf(`${daemon.path}/log`).STREAMS === '1',
    () => `it does not subscribe: ${automount.out}`,
    15_000,
  );
  const stick = '/devices/pci0000:00/0000:00:14.0/usb1/1-2/1-2:1.0/host6/block/sdz';
  const partition = async (action: string, devpath: string, more: object): Promise<void> =>
    publish(
      { action, devpath, properties: { SUBSYSTEM: 'block', DEVTYPE: 'partition', ...more } },
      { mount: daemon.path },
    );
  await partition('add', '/devices/pci0000:00/ata1/block/sda/sda1', { DEVNAME: 'sda1' });
  await partition('add', `${stick}/sdz1`, { DEVNAME: 'sdz1', ID_FS_LABEL: 'My stick; $(reboot)' });
  await partition('add', `${stick}/sdz2`, { DEVNAME: '/dev/sdz2' });
  await partition('remove', `${stick}/sdz1`, { DEVNAME: 'sdz1' });
  // After a loss it looks at the devices, and none of these exists.
  await automount.prints('umount -l /media/My_stick');
  automount.process.kill('SIGSTOP');
  const other = {
    action: 'add',
    devpath: '/devices/other',
    properties: { SUBSYSTEM: 'block', DEVTYPE: 'partition' },
  };
  await publish(Array<typeof other>(2 * RING_EVENTS).fill(other), { mount: daemon.path });
  automount.process.kill('SIGCONT');
  await automount.prints('umount -l /media/sdz2\n');
  assert.equal(automount.out.split('\n'), [
    'mkdir -p /media/My_stick____reboot_ && mount -o nosuid,nodev,noexec,ro /dev/sdz1 /media/My_stick____reboot_',
    'mkdir -p /media/sdz2 && mount -o nosuid,nodev,noexec,ro /dev/sdz2 /media/sdz2',
    'umount -l /media/My_stick____reboot_',
    'umount -l /media/sdz2',
    '',
  ]);
  await automount.end();
});

examples('says why it can not subscribe, and ends with 1', async () => {
  for (const name of ['monitor', 'automount']) {
    const one = new Running([process.execPath, example(name), '--mount', '/proc']);
    const code = await new Promise((done) => one.process.once('close', done));
    assert.is(code, 1);
    assert.match(one.out, `${name}: /proc: eventfs is not mounted here (run eventfs mount /proc`);
  }
});

examples.run();
