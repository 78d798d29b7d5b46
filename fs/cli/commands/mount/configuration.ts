/**
 * The settings of `eventfs mount`: those of the command line come first, then those of the
 * configuration file, then the defaults.
 */
import { type Command, InvalidArgumentError, type Option } from 'commander';
import type { Logger } from '../../../shared/log/logger.js';
import { UserError } from '../../../shared/errors.js';
import { type Config, DEFAULT_CONFIG, readConfig } from '../../../daemon/config/config.js';
import { defaultConfiguration } from '../../defaults.js';
import { type Kind, Unfit } from '../../../daemon/config/kinds.js';
import type { LiveSettings } from '../../../daemon/options.js';
import { configurationText } from './configuration-text.js';
import type { MountOptions } from './mount-options.js';
import type { Found } from './read-again.js';

/** Options that concern one start, not the mount: a file can't set them. */
const COMMAND_LINE_ONLY = [
  'config',
  'ready-fd',
  'stop-fd',
  'hint',
  'syslog',
  'fsname',
  'check',
  'mount',
];
/** The options that take effect at once when the file is read again. */
const LIVE = new Set(['list_links', 'log_level', 'log_json', 'debug']);

/** The settings of one mount. */
export class Configuration {
  /** The configuration as it was last read. */
  config: Config;
  /** The text of the file as it was last read; null if there is none. */
  text: string | null;
  readonly #file: string;
  /** Whether the file may be missing. */
  readonly #isOptional: boolean;
  readonly #options: ReadonlyMap<string, Option>;
  /** The settings that stay the same as long as the mount exists. */
  readonly #mounted: ReadonlyMap<string, string>;

  /**
   * Reads the file that `--config` names, or the default one if it exists.
   *
   * @param command `eventfs mount` with its options parsed
   * @param kept the text that a daemon of the same mount has read; null if it had no file
   * @throws UsageError for an invalid file, UserError for a file that can't be read
   */
  constructor(
    private readonly command: Command,
    kept?: string | null,
  ) {
    const { config: file } = command.opts<{ config?: string }>();
    this.#file = file ?? defaultConfiguration();
    this.#isOptional = file === undefined;
    const options = command.options.filter(
      ({ long }) => long?.startsWith('--') === true && !COMMAND_LINE_ONLY.includes(long.slice(2)),
    );
    this.#options = new Map(
      options.map((option) => [option.long!.slice(2).replaceAll('-', '_'), option]),
    );
    const how = { isOptional: this.#isOptional, mustBeRegular: false };
    this.text = kept === undefined ? configurationText(this.#file, how) : kept;
    this.config = this.#parse(this.text) ?? DEFAULT_CONFIG;
    this.#mounted = this.#fixed();
  }

  /** The file that was read; null if it does not exist and need not. */
  get file(): string | null {
    return this.config === DEFAULT_CONFIG ? null : this.#file;
  }

  /**
   * The values of all options by their attribute names. The file's values apply where the command
   * line and the environment set none.
   */
  get options(): MountOptions {
    return this.#optionsWith(this.config);
  }

  #optionsWith({ mount }: Config): MountOptions {
    const ofFile = Object.entries(mount).map(
      ([key, value]) => [this.#options.get(key)!.attributeName(), value] as const,
    );
    const given = ofFile.filter(
      ([name]) => !['cli', 'env'].includes(this.command.getOptionValueSource(name) ?? ''),
    );
    return { ...this.command.opts<MountOptions>(), ...Object.fromEntries(given) };
  }

  /**
   * Reads the file again. An invalid file changes nothing; the log has the reason.
   *
   * @param onlyChanged whether a file that has not changed, and one that can't be read again, are
   *   no matter for the log
   * @returns a promise of true if the settings are those of the file now
   */
  async reload(logger: Logger, onlyChanged: boolean): Promise<boolean> {
    const { readAgain } = await import('./read-again.js');
    const found = await readAgain(this.#file, this.#isOptional);
    const isSame = 'text' in found ? found.text === this.text : !found.isRegular;
    return onlyChanged && isSame ? false : this.#apply(found, logger);
  }

  #apply(found: Found, logger: Logger): boolean {
    try {
      if ('error' in found) throw new UserError(found.error);
      const { text } = found;
      const config = this.#parse(text);
      if (config === null) {
        logger.warn(`${this.#file}: No such file or directory (the old settings stay)`);
        return false;
      }
      this.text = text;
      this.config = config;
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      logger.warn(`${error.message} (the old settings stay)`);
      return false;
    }
    logger.info(`${this.#file}: configuration read again`);
    const changed = [...this.#fixed()]
      .filter(([key, value]) => value !== this.#mounted.get(key))
      .map(([key]) => key);
    if (changed.length > 0)
      logger.warn(`${this.#file}: ${changed.join(', ')}: only the next mount applies this change`);
    return true;
  }

  /** The settings that SIGHUP can change. */
  get liveSettings(): LiveSettings {
    return this.#liveSettings(this.config);
  }

  /**
   * Returns the settings that SIGHUP can change, as another text of the file has them.
   *
   * @param text the text that an earlier daemon of the mount has read; null if it had no file
   */
  liveSettingsOf(text: string | null): LiveSettings {
    const config = this.#parse(text) ?? DEFAULT_CONFIG;
    return this.#liveSettings({ ...config, ring: this.config.ring });
  }

  #liveSettings(config: Config): LiveSettings {
    return { config, listsLinks: this.#optionsWith(config).listLinks === true };
  }

  /** Applies the text that an earlier daemon of the mount has read after SIGHUP. */
  goOn(text: string | null): void {
    this.config = this.#parse(text) ?? DEFAULT_CONFIG;
    this.text = text;
  }

  /** Returns the settings that only a mount applies, by key, as texts to compare. */
  #fixed(): Map<string, string> {
    const options = new Map(Object.entries(this.options));
    const keys = [...this.#options].filter(([key]) => !LIVE.has(key));
    const { ring } = this.config;
    return new Map([
      ...keys.map(
        ([key, option]) =>
          [key, JSON.stringify(options.get(option.attributeName())) ?? ''] as const,
      ),
      ['log.ring_events', String(ring.events)],
      ['log.ring_bytes', String(ring.bytes)],
    ]);
  }

  #parse(text: string | null): Config | null {
    if (text === null) return null;
    const kinds = [...this.#options].map(([key, option]) => [key, kindOf(option)] as const);
    return readConfig(this.#file, text, Object.fromEntries(kinds));
  }
}

/** Returns the text of a number as on the command line. TOML's 1.0 and 1e3 are whole numbers. */
function wholeText(value: number): string {
  return Number.isInteger(value) ? BigInt(value).toString() : String(value);
}

/**
 * Makes the kind of an option's value in the file: text that the command line accepts, or a list of
 * such texts.
 */
function kindOf(option: Option): Kind<unknown> {
  if (!option.required && !option.optional) {
    return (value) => {
      if (typeof value !== 'boolean') throw new Unfit('is neither true nor false');
      return value;
    };
  }
  const parse = (value: unknown, before: unknown): unknown => {
    const text = typeof value === 'number' ? wholeText(value) : value;
    if (typeof text !== 'string') throw new Unfit('is not text');
    try {
      return option.parseArg === undefined ? text : option.parseArg(text, before);
    } catch (error) {
      if (error instanceof InvalidArgumentError)
        throw new Unfit(
          `is not valid: ${error.message.replace(/^./, (first) => first.toLowerCase()).replace(/\.$/, '')}`,
        );
      throw error;
    }
  };
  if (!Array.isArray(option.defaultValue)) return (value) => parse(value, undefined);
  return (value) =>
    (Array.isArray(value) ? value : [value]).reduce<unknown>((all, each) => parse(each, all), []);
}
