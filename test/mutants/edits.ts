/**
 * Reads the list of edits: each is one realistic mistake that the named test files must notice. The
 * files edits-*.toml hold them; run.ts applies them; edits.test.ts checks that all of them still
 * apply.
 */
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'smol-toml';
import { PROJECT } from '../support/mount/daemon.js';

const DIRECTORY = join(PROJECT, 'test/mutants');

export interface Edit {
  /** The part of the program, from the list's name: `owners` in edits-owners.toml. */
  readonly part: string;
  /** The source file, from the project's root. */
  readonly file: string;
  /** The effect of the edit on a user. */
  readonly why: string;
  /** Parts of the names of test files, as test/run.ts takes them: one of these must fail. */
  readonly tests: readonly string[];
  /** A pattern of the tests in them that run first; if none of those notices, all run. */
  readonly names?: string;
  /** The text to replace, which occurs once in the file. */
  readonly old: string;
  readonly new: string;
}

/** Reads all lists. */
export function readEdits(): readonly Edit[] {
  const lists = readdirSync(DIRECTORY)
    .filter((name) => /^edits-.+\.toml$/.test(name))
    .sort();
  return lists.flatMap((name) => {
    const part = name.slice('edits-'.length, -'.toml'.length);
    const { edit } = parse(readFileSync(join(DIRECTORY, name), 'utf8')) as unknown as {
      edit: readonly Omit<Edit, 'part'>[];
    };
    return edit.map((one) => ({ part, ...one }));
  });
}

/**
 * Returns the source with the edit applied.
 * @throws Error if the source does not contain the old text exactly once
 */
export function apply(edit: Edit, source: string): string {
  const parts = source.split(edit.old);
  if (parts.length !== 2)
    throw new Error(
      `${edit.file} has the old text ${parts.length - 1} times, not once: ${edit.old}`,
    );
  return parts.join(edit.new);
}
