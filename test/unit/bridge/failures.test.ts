/** The lines about connections to a broker that fail. */
import * as assert from 'uvu/assert';
import { connect } from 'node:net';
import { failureText } from '../../../fs/bridge/mqtt/failures.js';
import { suite } from '../../support/runner/suite.js';

const failures = suite('a connection to a broker that fails');

/** Returns an error with members as Node adds them. */
const errorOf = (message: string, members: object): Error =>
  Object.assign(new Error(message), members);

failures(
  'is reported by the errno in words, with a remedy, also for a name with two addresses',
  () => {
    const refused = errorOf('connect ECONNREFUSED 127.0.0.1:1', {
      code: 'ECONNREFUSED',
      errno: -111,
      syscall: 'connect',
    });
    const line =
      /^Connection refused \(start the broker, or check the host and the port of --broker\)$/;
    assert.match(failureText(refused), line);
    const both = new AggregateError([refused, refused]);
    assert.is(both.message, '');
    assert.match(failureText(both), line);
  },
);

failures('is that of an address which this host has a network for', () => {
  const codes = { ENETUNREACH: -101, EADDRNOTAVAIL: -99, ECONNREFUSED: -111 };
  const errors = Object.entries(codes).map(([code, errno]) =>
    errorOf(code, { code, errno, syscall: 'connect' }),
  );
  assert.match(failureText(new AggregateError(errors)), /^Connection refused \(start the broker/);
  assert.match(failureText(new AggregateError(errors.slice(0, 2))), /^Network is unreachable/);
});

failures('of TLS is reported in one line that names the option to change', () => {
  const cases: readonly (readonly [Error, RegExp])[] = [
    [
      errorOf('write EPROTO 80:error:0A00010B:SSL routines\n', {
        code: 'EPROTO',
        errno: -71,
        syscall: 'write',
        reason: 'wrong version number',
      }),
      /does not speak TLS on this port \(.*or mqtt:\/\/\)$/,
    ],
    [
      errorOf('80:error:0A00045C\n', {
        code: 'ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED',
        reason: 'tlsv13 alert certificate required',
      }),
      /^the broker refuses .*tlsv13 alert certificate required \(it asks for this host's certificate: --cert and --key\)$/,
    ],
    [
      errorOf('self-signed certificate', { code: 'DEPTH_ZERO_SELF_SIGNED_CERT' }),
      /^self-signed certificate \(name it: --ca FILE\)$/,
    ],
    [
      errorOf('x', { code: 'SELF_SIGNED_CERT_IN_CHAIN' }),
      /^x \(name the authority that has signed it: --ca FILE\)$/,
    ],
    [
      errorOf('write EPIPE', { code: 'EPIPE', errno: -32, syscall: 'write' }),
      /^Broken pipe \(its log /,
    ],
    [errorOf('first\nsecond', {}), /^first$/],
  ];
  for (const [error, line] of cases) {
    assert.match(failureText(error), line);
    assert.not.match(failureText(error), '\n');
  }
});

failures('on this machine is one of these errors', async () => {
  const error = await new Promise<Error>((done) =>
    connect({ host: 'localhost', port: 1 }).once('error', done),
  );
  assert.match(failureText(error), /^[A-Z][a-z ]+ \(.*--broker\)$/);
});

failures.run();
