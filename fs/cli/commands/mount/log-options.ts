/** The options of `eventfs mount` for its log and trace. */
import { type Command, InvalidArgumentError, Option } from 'commander';
import { DEFAULT_LOG_LEVEL, LOG_LEVELS, type LogLevel } from '../../../shared/log/log-levels.js';
import type { LogOptions } from '../../../shared/log/logger.js';
import { TRACE_KINDS, type TraceKind, parseKinds } from '../../../shared/log/trace.js';

/** The values of the log options, of the command line or the file. */
export interface LogArguments {
  readonly debug?: readonly TraceKind[];
  readonly logLevel: LogLevel;
  readonly logJson?: boolean;
}

const DEBUG = '--debug';
const EVERY_KIND = 'all';

/** Adds the options to a command. */
export function addLogOptions(command: Command): Command {
  debugTakesNoNextWord(command);
  return command
    .addOption(
      new Option(
        `${DEBUG} [kinds]`,
        `log each step of these kinds: ${TRACE_KINDS.join(', ')}; or only of some, as in ${DEBUG}=requests,deaths; SIGUSR1 switches requests on and off`,
      )
        .env('EVENTFS_DEBUG')
        .argParser(parseDebug),
    )
    .addOption(
      new Option('--log-level <level>', 'log messages of this level and of graver ones')
        .choices(LOG_LEVELS)
        .default(DEFAULT_LOG_LEVEL),
    )
    .option('--log-json', 'log each line as a JSON object');
}

function parseDebug(text: string): readonly TraceKind[] {
  const kinds = parseKinds(text);
  if ('unknown' in kinds)
    throw new InvalidArgumentError(
      `${JSON.stringify(kinds.unknown)} is not a kind. Use ${TRACE_KINDS.join(', ')}.`,
    );
  return kinds;
}

/**
 * Makes `--debug` accept a value only after `=`: in `mount --debug /mnt` commander would take the
 * directory for the value.
 */
function debugTakesNoNextWord(command: Command): void {
  const parse = command.parseOptions.bind(command);
  command.parseOptions = (words) => {
    const end = words.indexOf('--');
    return parse(
      words.map((word, index) =>
        word === DEBUG && (end < 0 || index < end) ? `${DEBUG}=${EVERY_KIND}` : word,
      ),
    );
  };
}

/** Converts the values for the logger. */
export function loggerOptions({ logLevel, logJson }: LogArguments): LogOptions {
  return { level: logLevel, isJson: logJson === true };
}
