/** The environment of a command that `eventfs run` starts for an event. */
import * as assert from 'uvu/assert';
import fc from 'fast-check';
import { parseEvent } from '../../../fs/client/events/text.js';
import { environmentFor } from '../../../fs/cli/commands/run/run-environment.js';
import { runs } from '../../support/runner/budget.js';
import { suite } from '../../support/runner/suite.js';

const OWN = {
  PATH: '/bin',
  HOME: '/root',
  IFS: ' ',
  DEVNAME: 'of-another',
  EVENT_X: 'of-another',
  ID_MODEL: 'of-another',
};

const environment = suite("an event's environment");

environment(
  "has a device's variables under their own names, and every other with the prefix EVENT_",
  () => {
    const event = parseEvent(
      'add@/x\nACTION=add\nDEVPATH=/x\nSUBSYSTEM=block\nID_BUS=usb\nMINE=1\nPATH=/evil\nLD_PRELOAD=/evil.so\nIFS=/\nBASH_ENV=/evil\n',
    );
    assert.equal(environmentFor(event, OWN), {
      PATH: '/bin',
      HOME: '/root',
      IFS: ' ',
      ACTION: 'add',
      DEVPATH: '/x',
      SUBSYSTEM: 'block',
      ID_BUS: 'usb',
      EVENT_MINE: '1',
      EVENT_PATH: '/evil',
      EVENT_LD_PRELOAD: '/evil.so',
      EVENT_IFS: '/',
      EVENT_BASH_ENV: '/evil',
    });
  },
);

environment("has the header's action and devpath, whatever the properties are", () => {
  const { ACTION, DEVPATH } = environmentFor(parseEvent('add@/x\nACTION=remove\nDEVPATH=/y\n'), {});
  assert.equal([ACTION, DEVPATH], ['add', '/x']);
});

environment('has the last value of a repeated key, as udev has', () => {
  const event = parseEvent('change@/x\nMODALIAS=acpi:A:\nMINE=1\nMODALIAS=of:N\nMINE=2\n');
  const { MODALIAS, EVENT_MINE } = environmentFor(event, {});
  assert.equal([MODALIAS, EVENT_MINE], ['of:N', '2']);
  assert.equal(
    [event.property('MODALIAS'), event.property('MINE'), event.property('NONE')],
    ['of:N', '2', undefined],
  );
});

environment('omits properties that are no names of variables', () => {
  const names = Object.keys(
    environmentFor(
      parseEvent('add@/x\n1A=1\nA-B=1\nA B=1\nBASH_FUNC_ls%%=() { evil; }\n\xe9=1\n'),
      {},
    ),
  );
  assert.equal(names.sort(), ['ACTION', 'DEVPATH']);
});

environment('has bytes that are not UTF-8 as \\xff', () => {
  const { ID_MODEL, ID_VENDOR } = environmentFor(
    parseEvent('add@/x\nID_MODEL=caf\xe9 \xff\nID_VENDOR=caf\xc3\xa9\n'),
    {},
  );
  assert.equal([ID_MODEL, ID_VENDOR], ['caf\\xe9 \\xff', 'caf\u00e9']);
});

environment('never changes a variable of eventfs, whatever the event has', () => {
  const line = fc.tuple(
    fc.oneof(
      fc.constantFrom('PATH', 'HOME', 'IFS', 'LD_PRELOAD', 'NODE_OPTIONS', 'EVENT_', 'ID_'),
      fc.string({ unit: 'binary-ascii', maxLength: 8 }),
    ),
    fc.string({ unit: 'binary-ascii', maxLength: 8 }),
  );
  fc.assert(
    fc.property(fc.array(line), (lines) => {
      const text = ['add@/x', ...lines.map(([key, value]) => `${key}=${value}`)].join('\n');
      const got = environmentFor(parseEvent(text), OWN);
      assert.equal([got.PATH, got.HOME, got.IFS], ['/bin', '/root', ' ']);
      for (const name of Object.keys(got)) assert.match(name, /^[A-Za-z_][A-Za-z0-9_]*$/);
      for (const name of ['LD_PRELOAD', 'NODE_OPTIONS', 'ENV', 'BASH_ENV'])
        assert.not.ok(name in got);
    }),
    runs(300),
  );
});

environment.run();
