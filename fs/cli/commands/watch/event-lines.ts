/** The lines of `eventfs watch`: for people, as JSON, or after a template. */
import { isatty } from 'node:tty';
import type { Colors } from 'picocolors/types.js';
import { STDOUT, printError, printableBytes } from '../../terminal/output.js';
import type { WatchedEvent } from './watched-event.js';

/**
 * The output is colored on a terminal, or if FORCE_COLOR is set. picocolors alone would color it
 * wherever CI is set.
 */
const { env } = process;
const isTerminal = env.TERM !== 'dumb' && isatty(STDOUT);
const isColored = !env.NO_COLOR && (Boolean(env.FORCE_COLOR) || isTerminal);

const COLOR_OF: Readonly<Record<string, 'green' | 'red' | 'yellow' | 'magenta'>> = {
  add: 'green',
  remove: 'red',
  change: 'yellow',
  overflow: 'magenta',
};

/** The options of `eventfs watch` that choose the lines. */
export interface FormatOptions {
  readonly json?: boolean;
  readonly properties?: boolean;
  /** A template: line-format.ts. */
  readonly format?: string;
}

/**
 * Returns the function that formats an event, line end included.
 *
 * @throws UsageError for a wrong template
 */
export async function formatOf(options: FormatOptions): Promise<(watched: WatchedEvent) => string> {
  if (options.json === true) {
    const { eventJson } = await import('../../terminal/event-json.js');
    return (watched) => `${eventJson(watched)}\n`;
  }
  if (options.format !== undefined) {
    const format = (await import('./line-format.js')).parseFormat(options.format);
    return (watched) => {
      // The template may show neither the action nor the number.
      if (watched.loss > 0)
        printError(`watch: ${watched.loss} events were lost before the next line`);
      return format(watched);
    };
  }
  const colors = isColored ? (await import('picocolors')).default.createColors(true) : null;
  return (watched) => lineOf(watched, options.properties === true, colors);
}

function lineOf(
  { event, loss }: WatchedEvent,
  showsProperties: boolean,
  colors: Colors | null,
): string {
  const action = printableBytes(event.action).padEnd(8);
  const seqnum = printableBytes(event.property('SEQNUM') ?? '-').padStart(6);
  const subsystem = printableBytes(event.property('SUBSYSTEM') ?? '-').padEnd(10);
  const paint = colors?.[COLOR_OF[event.action] ?? 'cyan'] ?? plain;
  const bold = colors?.bold ?? plain;
  const dim = colors?.dim ?? plain;
  const line = `${seqnum} ${paint(action)} ${bold(subsystem)} ${printableBytes(event.devpath)}\n`;
  if (!showsProperties && loss === 0) return line;
  return (
    line +
    event.properties
      .map(([key, value]) => `       ${dim(`${printableBytes(key)}=`)}${printableBytes(value)}\n`)
      .join('')
  );
}

function plain(text: string): string {
  return text;
}
