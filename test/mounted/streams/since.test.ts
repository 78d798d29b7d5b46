/** `.since` on a real mount: a shell asks for events that came before it made its directory. */
import * as assert from 'uvu/assert';
import { eventText, publish, publishNumbered, valuesOf } from '../../support/clients/clients.js';
import { run } from '../../support/mount/daemon.js';
import { daemon, directory, mounted, shell } from '../../support/mount/mounted.js';
import { AS_NOBODY } from '../../support/mount/other-user.js';
import { Watcher } from '../../support/clients/watcher.js';

const since = mounted('.since');

since('puts the events from before the mkdir in order, ahead of those after it', async () => {
  publishNumbered(daemon.path, 5);
  const own = await directory();
  publishNumbered(daemon.path, 2, 5);
  assert.is((await shell.run(`echo 0 > ${own}/.since`)).code, 0);
  const { out } = await run([
    'sh',
    '-c',
    'ls -f "$0" | grep -v "^\\.*$" | while read -r name; do cat "$0/$name"; done',
    own,
  ]);
  assert.equal(valuesOf('N', out.split(/^(?=add@)/m)), ['0', '1', '2', '3', '4', '5', '6']);
  const again = await shell.run(
    `echo 0 > ${own}/.since; ls ${own} | wc -l; rm ${own}/*; cat ${own}/.since`,
  );
  assert.is(again.out, '7\n0\n');
});

since('takes names of events that have one SEQNUM, as those of a fleet', async () => {
  const first = await directory();
  for (let n = 0; n < 4; n++)
    for (const HOST of ['web1', 'web2', 'web3'])
      publish(daemon.path, eventText('/devices/x', { HOST, N: n, SEQNUM: 5_000_000 }));
  const listed = async (path: string): Promise<string[]> =>
    (await shell.run(`ls -f ${path}`)).out.split('\n').filter((name) => /^\d/.test(name));
  const names = await listed(first);
  assert.is(names.length, 12);
  assert.is(names[0], '5000000');
  for (const [at, name] of names.entries()) {
    const own = await directory();
    const { out } = await shell.run(`echo ${name} > ${own}/.since; cat ${own}/.since`);
    assert.is(out, `${name}\n`);
    assert.equal(await listed(own), names.slice(at + 1));
  }
  assert.match((await shell.run(`echo 5000000.1 > ${first}/.since`)).out, 'No such file');
});

since("can be written by the directory's user only", async () => {
  const open = await directory('0777');
  const asOther = await run([...AS_NOBODY, 'sh', '-c', 'echo 0 > "$0/.since"', open]);
  assert.is.not(asOther.code, 0);
  assert.match(asOther.err, 'ermission denied');
  assert.match((await shell.run(`echo nonsense > ${open}/.since`)).out, 'Invalid argument');
});

since('raises IN_CREATE once for each event that it puts into the queue', async () => {
  publishNumbered(daemon.path, 3);
  const own = await directory();
  const watcher = await Watcher.on(own);
  publishNumbered(daemon.path, 1, 3);
  const [fourth] = await watcher.creates(1);
  assert.is((await shell.run(`echo 0 > ${own}/.since`)).code, 0);
  const names = (await shell.run(`ls -f ${own}`)).out
    .split('\n')
    .filter((name) => /^[^.]/.test(name));
  await watcher.creates(names.length);
  assert.equal([...watcher.created].sort(), [...names].sort());
  assert.is(watcher.created[0], fourth);
  await watcher.end();
});

since.run();
