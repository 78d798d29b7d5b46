/** Finds the files that tests leave in the checkout. */
import { execFileSync } from 'node:child_process';
import { PROJECT } from '../project.js';

/** Runs git in the checkout, which may belong to another user, and returns the paths it prints. */
function gitPaths(...args: readonly string[]): string[] | null {
  try {
    return execFileSync('git', ['-c', 'safe.directory=*', '-C', PROJECT, ...args, '-z'], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
      maxBuffer: 1 << 26,
    })
      .split('\0')
      .filter((path) => path !== '');
  } catch {
    return null; // without git, or in a copy that is no repository
  }
}

/** Returns the tracked files of the checkout, from its root; null without git. */
export function trackedFiles(): string[] | null {
  return gitPaths('ls-files');
}

/** The files of the checkout that git neither tracks nor ignores. */
export class Untracked {
  #known = new Set(Untracked.#all());

  static #all(): string[] {
    return gitPaths('ls-files', '--others', '--exclude-standard') ?? [];
  }

  /** Returns the files that have come since the last call, or since the construction. */
  takeNew(): string[] {
    const all = Untracked.#all();
    const fresh = all.filter((path) => !this.#known.has(path));
    this.#known = new Set(all);
    return fresh;
  }
}
