/** How fs/ is laid out. Which folder may import which is dependency-cruiser's to check (`make lint`). */
import { readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import * as assert from 'uvu/assert';
import { PROJECT } from '../support/project.js';
import { suite } from '../support/suite.js';

const folders = suite('fs/');

/** The most files of one folder: as many as a reader takes in at one look. */
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
