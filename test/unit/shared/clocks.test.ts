/** Which clock the product uses: a time limit must not end, or last, when the date is set. */
import * as assert from 'uvu/assert';
import { readFileSync, readdirSync } from 'node:fs';
import { suite } from '../../support/runner/suite.js';

/** The files that show a date or the age of one: a daemon's start, the time of an event. */
const SHOW_DATES = [
  'cli/commands/status/subscribers.ts',
  'cli/commands/status/summary.ts',
  'cli/commands/top/frame.ts',
  'client/events/clock.ts',
];

const clocks = suite('clocks');

clocks('reads the date only to show it', () => {
  const product = new URL('../../../../fs/', import.meta.url);
  const found = readdirSync(product, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .filter((name) => readFileSync(new URL(name, product), 'utf8').includes('Date.now()'));
  assert.equal(found.sort(), SHOW_DATES);
});

clocks.run();
