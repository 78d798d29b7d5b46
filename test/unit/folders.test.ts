/**
 * The layout of the folders. dependency-cruiser checks which folder may import which (`make lint`).
 */
import { readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import * as assert from 'uvu/assert';
import { PROJECT } from '../support/project.js';
import { suite } from '../support/suite.js';

const folders = suite('fs/');

/** The largest number of files in a folder, so that one look takes it in. */
const MOST_FILES = 15;

folders('has at most 15 files in each folder', () => {
  const counts = new Map<string, number>();
  for (const file of readdirSync(join(PROJECT, 'fs'), { recursive: true, encoding: 'utf8' })) {
    if (file.endsWith('.ts')) counts.set(dirname(file), (counts.get(dirname(file)) ?? 0) + 1);
  }
  assert.equal(
    [...counts].filter(([, count]) => count > MOST_FILES),
    [],
  );
});

folders.run();
