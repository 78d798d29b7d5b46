/** `.filter` of a process directory. */
import * as assert from 'uvu/assert';
import { closeSync, constants, openSync, statSync, writeSync } from 'node:fs';
import { Reader, eventText, publish, valuesOf } from '../../support/clients/clients.js';
import { daemon, mounted } from '../../support/mount/mounted.js';
import { directory, fails, own, sh } from './common.js';

const filter = mounted('.filter');

/** @returns the WHAT of each event in the directory */
const taken = async (): Promise<string[]> =>
  valuesOf(
    'WHAT',
    (await sh('cat $(ls -f | tail -n +3) /dev/null'))
      .split(/(?=^\w+@)/m)
      .filter((text) => text !== ''),
  );

const publishKinds = (...whats: readonly string[]): void => {
  const kinds: Readonly<Record<string, string>> = {
    net: eventText('/net/eth0', { SUBSYSTEM: 'net', WHAT: 'net' }),
    block: eventText('/block/sda', { SUBSYSTEM: 'block', WHAT: 'block' }),
    gone: eventText('/block/sda', { SUBSYSTEM: 'block', WHAT: 'gone' }, 'remove'),
    usb: eventText('/usb/1', { SUBSYSTEM: 'usb', WHAT: 'usb' }),
  };
  publish(daemon.path, ...whats.map((what) => kinds[what]));
};

filter('lets every event in until it is set, and then those that match', async () => {
  await directory();
  assert.is(await sh('cat .filter'), '');
  publishKinds('net', 'block');
  assert.equal(await taken(), ['net', 'block']);
  await sh("rm *; echo 'SUBSYSTEM==block, ACTION==add' > .filter");
  assert.is(await sh('cat .filter'), 'SUBSYSTEM==block, ACTION==add\n');
  assert.is(statSync(`${own}/.filter`).size, 30);
  publishKinds('net', 'block', 'gone');
  assert.equal(await taken(), ['block']);
});

filter('keeps events that were delivered before it was set', async () => {
  await directory();
  publishKinds('net');
  await sh('echo SUBSYSTEM=block > .filter');
  publishKinds('net', 'block');
  assert.equal(await taken(), ['net', 'block']);
});

filter('takes another alternative by >>, and lets every event in again after : >', async () => {
  await directory();
  await sh('echo SUBSYSTEM=block > .filter; echo SUBSYSTEM=usb >> .filter');
  assert.is(await sh('cat .filter'), 'SUBSYSTEM==block\nSUBSYSTEM==usb\n');
  publishKinds('net', 'block', 'usb');
  assert.equal(await taken(), ['block', 'usb']);
  await sh('rm *; : > .filter');
  assert.is(await sh('cat .filter'), '');
  publishKinds('net', 'usb');
  assert.equal(await taken(), ['net', 'usb']);
  await sh('echo SUBSYSTEM=usb > .filter; truncate -s 0 .filter');
  assert.is(await sh('cat .filter'), '');
});

filter('takes several lines, written one by one (bash) or in one call', async () => {
  for (const command of [
    "printf 'SUBSYSTEM=block\\n# and\\nSUBSYSTEM=usb\\n' > .filter",
    'dash -c "printf \'SUBSYSTEM=block\\n# and\\nSUBSYSTEM=usb\\n\' > .filter"',
    'cat > .filter <<< "SUBSYSTEM=block; SUBSYSTEM=usb"',
    '(echo "# mine"; echo "  SUBSYSTEM =  block "; echo; echo SUBSYSTEM=usb) > .filter',
    'cp <(echo SUBSYSTEM=block; echo SUBSYSTEM=usb) .filter',
    'echo SUBSYSTEM=block | tee .filter >/dev/null; echo SUBSYSTEM=usb | tee -a .filter > /dev/null',
  ]) {
    await directory();
    await sh(command);
    assert.is(await sh('cat .filter'), 'SUBSYSTEM==block\nSUBSYSTEM==usb\n', command);
  }
});

filter('refuses an invalid filter with EINVAL, and keeps the old one', async () => {
  await directory();
  await sh('echo SUBSYSTEM=block > .filter');
  for (const bad of [
    'nonsense',
    'SUBSYSTEM',
    '==block',
    'SUBSYSTEM==',
    'SUBSYSTEM==block KERNEL==sda',
    'SUBSYSTEM=="block',
  ]) {
    assert.match(await fails(`echo '${bad}' > .filter`), 'Invalid argument');
    assert.match(await fails(`echo '${bad}' >> .filter`), 'Invalid argument');
    assert.is(await sh('cat .filter'), 'SUBSYSTEM==block\n');
  }
  publishKinds('net', 'block');
  assert.equal(await taken(), ['block']);
});

filter('lets in no event that matches neither filter while it is replaced', async () => {
  await directory();
  await sh('echo SUBSYSTEM=block > .filter');
  const fd = openSync(`${own}/.filter`, constants.O_WRONLY | constants.O_TRUNC);
  publishKinds('net');
  writeSync(fd, 'SUBSYSTEM=usb\n');
  publishKinds('net', 'block', 'usb');
  closeSync(fd);
  assert.equal(await taken(), ['usb']);
});

filter('lets overflow records through, whatever it says', async () => {
  await directory();
  await sh('echo SUBSYSTEM=block > .filter');
  publish(
    daemon.path,
    ...Array.from({ length: 4100 }, () => eventText('/block/sda', { SUBSYSTEM: 'block' })),
  );
  const reader = await Reader.on(`${own}/.stream`);
  assert.match((await reader.has(4097))[0], 'LOST=4\n'.trimEnd());
  await reader.kill();
});

filter.run();
