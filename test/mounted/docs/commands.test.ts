/** Tests that the commands in the documents print the output that the documents show. */
import * as assert from 'uvu/assert';
import {
  blocks,
  documents,
  isNotRun,
  readDocument,
  sessionOf,
} from '../../support/documents/markdown.js';
import { runSession } from '../../support/documents/sessions.js';
import { suite } from '../../support/runner/suite.js';

const DOCUMENT_MS = 120_000;

/**
 * The commands that no test runs, by document: each needs another machine, or runs the tests
 * itself.
 */
const NOT_RUN: Readonly<Record<string, readonly string[]>> = {
  'CONTRIBUTING.md': ['sudo make', 'sudo make test ONLY=tree/quota'],
  'README.md': ['sudo make mount'],
  'docs/comparison.md': ['sudo make compare'],
  'docs/debugging.md': [
    "eventfs mount --debug=requests --log-json 2>&1 >/dev/null | jq -c 'select(.errno) | [.opcode, .errno, .reason]'",
  ],
  'docs/guide.md': ['sudo make install PREFIX=/usr/local'],
  'docs/moving/libudev-zero.md': ['$ eventfs mount --rebroadcast 4 /dev/events'],
  'docs/moving/vdev.md': [
    '$ eventfs mount --source none --sticky global:1733 /dev/metadata/udev/events',
  ],
  'docs/recipes/docker.md': [
    'docker run --rm -v /dev/events:/dev/events IMAGE sh -c \'d=$(mktemp -d /dev/events/$$.XXXXXX) && exec my-program "$d"\'',
    'mkdir -p /run/eventfs',
    "mkdir /dev/events/$$.box; echo 'SUBSYSTEM==usb' > /dev/events/$$.box/.filter",
    "box=$(docker inspect --format '{{.State.Pid}}' box)",
  ],
  'docs/recipes/fleet-mount.md': [
    'useradd --system --no-create-home --shell /usr/sbin/nologin eventfs-bridge',
    'systemctl enable --now eventfs-fleet.service',
  ],
  'docs/recipes/fleet.md': [
    "rabbitmqctl set_permissions web1 '^mqtt-' '^(mqtt-|amq[.]topic$)' '^(mqtt-|amq[.]topic$)'",
  ],
  'docs/recipes/lxc.md': [
    'lxc.mount.entry = /run/eventfs dev/eventfs none rbind,rslave,create=dir 0 0',
    'lxc.hook.start-host = /usr/local/lib/eventfs/lxc-start',
  ],
  'docs/recipes/podman.md': [
    'podman run --rm -v /dev/events:/dev/events IMAGE sh -c \'d=$(mktemp -d /dev/events/$$.XXXXXX) && exec my-program "$d"\'',
    "box=$(podman inspect --format '{{.State.Pid}}' box)",
    'ip netns add box',
  ],
  'docs/reference/outlets.md': ['$ s6-mkfifodir /run/fifos'],
};

const commands = suite('the documents');

for (const path of documents()) {
  const session = sessionOf(readDocument(path));
  if (session?.isCopy === false)
    commands(
      `show in ${path} the output that the commands print`,
      () => runSession(path, session),
      DOCUMENT_MS,
    );
}

commands('have no other commands that no test runs than the listed ones', () => {
  const found = documents().flatMap((path) => {
    const first = blocks(readDocument(path))
      .filter(isNotRun)
      .map(({ lines }) => lines[0].replace(/ +#.*/, ''));
    return first.length > 0 ? [[path, first] as const] : [];
  });
  assert.equal(Object.fromEntries(found), NOT_RUN);
});

commands('have sessions in console blocks only, and sh blocks that are marked as not run', () => {
  for (const path of documents()) {
    for (const { line, language, lines } of blocks(readDocument(path))) {
      if (language === 'console') continue;
      assert.not.ok(
        lines.some((text) => text.startsWith('$ ')),
        `${path}:${line}: a block with commands must begin with \`\`\`console`,
      );
      assert.ok(
        language !== 'sh' ||
          blocks(readDocument(path)).some((block) => block.line === line && isNotRun(block)),
        `${path}:${line}: an sh block must be marked as not run`,
      );
    }
  }
});

commands.run();
