/** Runs the session of CONTRIBUTING.md in a copy of the project, which it compiles. */
import * as assert from 'uvu/assert';
import { documents, readDocument, sessionOf } from '../../support/documents/markdown.js';
import { runSession } from '../../support/documents/sessions.js';
import { suite } from '../../support/runner/suite.js';

const COMPILED_MS = 270_000;

const newcomer = suite('a newcomer');

newcomer(
  'adds a line to .status, and the mount shows the line',
  async () => {
    const sessions = documents().flatMap((path) => {
      const session = sessionOf(readDocument(path));
      return session?.isCopy === true ? [{ path, session }] : [];
    });
    assert.equal(
      sessions.map(({ path }) => path),
      ['CONTRIBUTING.md'],
    );
    for (const { path, session } of sessions) await runSession(path, session, 1);
  },
  COMPILED_MS,
);

newcomer.run();
