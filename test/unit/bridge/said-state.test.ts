/** This host's state at a broker that acknowledges late, refuses, or never answers. */
import * as assert from 'uvu/assert';
import { SaidState } from '../../../fs/bridge/protocol/said-state.js';
import { suite } from '../../support/runner/suite.js';

const said = suite("this host's state at the broker");

said('is published once for all calls that come before its acknowledgement', () => {
  const state = new SaidState();
  assert.is(state.say('a', true), true);
  for (let n = 0; n < 1000; n++) assert.is(state.say('a', true), false);
  assert.is(state.taken(), true, 'it is published again');
  assert.is(state.say('a', true), true);
  assert.is(state.taken(), false);
  assert.is(state.say('a', false), false, 'the broker has it');
});

said('is published again if it has changed meanwhile', () => {
  const state = new SaidState();
  assert.is(state.say('a', false), true);
  assert.is(state.say('a', false), false);
  assert.is(state.say('b', false), false);
  assert.is(state.taken(), true);
});

said('is published later if the broker has refused it, and on each new connection', () => {
  const state = new SaidState();
  assert.is(state.say('a', false), true);
  state.refused();
  assert.is(state.say('a', false), true);
  state.reset();
  assert.is(state.say('a', false), true);
});

said('is not published behind the last one: it would be retained for ever', () => {
  const state = new SaidState();
  assert.is(state.say('a', false), true);
  assert.is(state.say('a', true), false);
  state.end();
  if (state.taken()) assert.is(state.say('a', true), false);
  assert.is(state.say('b', false), false);
});

said.run();
