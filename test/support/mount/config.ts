/** Writes configuration files for the daemons of tests. */
import { writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

let serial = 0;

/**
 * Writes a configuration file.
 * @param text TOML
 * @returns the options of a daemon that reads it and has no sources
 */
export function configured(text: string): readonly string[] {
  const path = join(
    process.env.EVENTFS_TEST_DIR ?? tmpdir(),
    `configured-${process.pid}-${++serial}.toml`,
  );
  writeFileSync(path, text);
  return ['--source', 'none', '--config', path];
}
