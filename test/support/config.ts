/** Configurations for daemons of tests. */
import { writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

let serial = 0;

/** Writes a configuration file; gives the options of a daemon without sources that reads it. */
export function configured(text: string): readonly string[] {
  const path = join(
    process.env.EVENTFS_TEST_DIR ?? tmpdir(),
    `configured-${process.pid}-${++serial}.toml`,
  );
  writeFileSync(path, text);
  return ['--source', 'none', '--config', path];
}
