/** Tests the value of `--netns`. */
import { Command } from 'commander';
import * as assert from 'uvu/assert';
import { addSourceAndOutletOptions } from '../../../fs/cli/commands/mount/source-and-outlet-options.js';
import { suite } from '../../support/runner/suite.js';

const option = suite('--netns');

option('has the bytes of its filter, as the parser of filters wants them', () => {
  const command = addSourceAndOutletOptions(new Command());
  command.parse(['--netns', 'café=NAME==für'], { from: 'user' });
  assert.equal(command.opts().netns, [
    { path: '/run/netns/café', filter: Buffer.from('NAME==für').toString('latin1') },
  ]);
});

option.run();
