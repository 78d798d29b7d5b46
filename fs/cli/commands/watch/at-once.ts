/**
 * Runs `eventfs watch` without the command line's parser, whose start takes as long as a fifth of
 * Node's own: for the options that users type most.
 */
import { requireMount } from '../../../client/mounted.js';
import { isPlainPath } from '../../../shared/argument-bytes.js';
import { isEventName } from '../../../uevent/event-name.js';
import { DEFAULT_DIRECTORY } from '../../defaults.js';
import { explain } from '../../terminal/explain.js';
import type { WatchOptions } from './watch.js';

/** The arguments of a command line that needs no parser. */
interface PlainArguments {
  readonly filter: string;
  readonly mount: string;
  readonly options: WatchOptions;
}

/**
 * Runs the command, and sets the exit code.
 *
 * @param args the arguments after `watch`
 * @returns false, without any effect, if an argument needs the parser and its messages
 */
export async function watchAtOnce(args: readonly string[]): Promise<boolean> {
  const plain = plainArguments(args);
  if (plain === null) return false;
  // A child process asks the daemon, while this process loads the rest.
  const mount = requireMount(plain.mount);
  mount.catch(() => undefined); // watch() awaits it
  try {
    await (await import('./watch.js')).watch(plain.filter, plain.options, mount);
  } catch (error) {
    process.exitCode = explain(error, 'watch');
  }
  return true;
}

function plainArguments(args: readonly string[]): PlainArguments | null {
  const filters: string[] = [];
  let mount = DEFAULT_DIRECTORY;
  let json = false;
  let properties = false;
  let since: string | undefined;
  for (let i = 0; i < args.length; i++) {
    const arg = args[i];
    if (arg === '--json') json = true;
    else if (arg === '--properties') properties = true;
    else if (arg === '--mount' && i + 1 < args.length) mount = args[++i];
    else if (arg === '--since' && isEventName(args[i + 1] ?? '')) since = args[++i];
    else if (arg.startsWith('-') || filters.push(arg) > 1) return null;
  }
  if (!isPlainPath(mount)) return null;
  if (json && properties) return null; // the parser says that they exclude each other
  const options = { json, properties, ...(since !== undefined && { since }) };
  return { filter: filters[0] ?? '', mount, options };
}
