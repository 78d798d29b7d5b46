/** The reply that a killed daemon leaves to the next one. */
import * as assert from 'uvu/assert';
import { Journal } from '../../../fs/state/journal.js';
import { StateLayout, type StateMemory } from '../../../fs/state/layout.js';
import { LEFT_REPLY_AT, LEFT_REPLY_MOST } from '../../../fs/state/left-reply.js';
import { Recorder } from '../../../fs/state/recorder.js';
import { suite } from '../../support/runner/suite.js';
import { SIZES, newMemory } from './guarded-kernel.js';

const REPLY = Uint8Array.from({ length: 32 }, (_, n) => n + 1);

const left = suite('a reply that a daemon leaves');

/** Records a reply up to its commit. */
function record(memory: StateMemory, reply = REPLY): Recorder {
  const recorder = new Recorder(Journal.create(memory, SIZES));
  recorder.reply(7, 0, reply, 0, reply.length, 0, 0);
  recorder.opens(reply, reply.length);
  return recorder;
}

const found = (memory: StateMemory): Uint8Array | null => StateLayout.open(memory).leftReply;

left('counts from the commit of its transaction on', () => {
  const memory = newMemory();
  const recorder = record(memory);
  assert.is(found(memory), null);
  recorder.commit();
  assert.equal(found(memory), REPLY);
});

left('is removed before the first commit of the next daemon', () => {
  const memory = newMemory();
  record(memory);
  const next = new Recorder(new Journal(StateLayout.open(memory)));
  next.freeze();
  next.thaw();
  next.reply(9, 0, REPLY, 0, REPLY.length, 0, 0);
  next.commit();
  assert.is(found(memory), null);
});

left('is refused if a bit of it is damaged', () => {
  const memory = newMemory();
  record(memory).commit();
  for (let at = 0; at < 24 + REPLY.length; at++) {
    if (at >= 16 && at < 24) continue; // the word before the commit: any other value will do
    for (let bit = 0; bit < 8; bit++) {
      memory.bytes[LEFT_REPLY_AT + at] ^= 1 << bit;
      assert.is(found(memory), null, `bit ${bit} of byte ${at}`);
      memory.bytes[LEFT_REPLY_AT + at] ^= 1 << bit;
    }
  }
  assert.equal(found(memory), REPLY);
});

left('is the last one, and one that is too long is none', () => {
  const memory = newMemory();
  const recorder = record(memory);
  recorder.commit();
  recorder.opens(new Uint8Array(LEFT_REPLY_MOST + 4), LEFT_REPLY_MOST + 4);
  recorder.reply(9, 0, REPLY, 0, REPLY.length, 0, 0);
  recorder.commit();
  assert.is(found(memory), null);
});

left.run();
