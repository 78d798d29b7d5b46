/**
 * The texts of the configuration that the guardian keeps, so that a daemon that follows a death has
 * the settings of the last one, and its mount point.
 */
import type { Command } from 'commander';
import { Guardian } from '../../../guard/guardian.js';
import type { Holder } from '../../../guard/holder.js';
import { KeptText, keepText, takeText } from '../../../shared/kernel/kept-text.js';
import type { LiveSettings } from '../../../daemon/options.js';
import { mountPath } from '../../../client/probe.js';
import { Configuration } from './configuration.js';

/** The name under which the guardian has the text of the configuration. */
const CONFIGURATION = 'configuration';
/** The same for the mount point, as mountinfo showed it. */
const MOUNT_POINT = 'mount-point';
/** The same for the text that the daemon has read after SIGHUP. */
const SETTINGS = 'settings';

/**
 * Reads the configuration. After a death that of the last daemon holds: the file may be invalid by
 * now, or may have settings that only a mount applies.
 *
 * @throws UsageError for an invalid file, UserError for a file that can't be read
 */
export async function configurationOf(
  command: Command,
  guardian: Guardian | undefined,
): Promise<Configuration> {
  if (guardian?.role !== 'restart') return new Configuration(command);
  await guardian.taken();
  return new Configuration(command, take(guardian, CONFIGURATION));
}

/**
 * Returns the mount point as mountinfo shows it. After a death that of the last daemon holds: the
 * path may lead into the mount by now, and a walk along it would wait for this daemon itself.
 *
 * @param directory the mount point, as the command line has it
 * @throws UsageError for an empty path
 */
export function mountPointOf(directory: string, guardian: Guardian | undefined): string {
  const kept = guardian?.role === 'restart' ? takeText(guardian, MOUNT_POINT) : undefined;
  return kept ?? mountPath(directory);
}

/** Keeps configuration and mount point of this daemon for one that follows its death. */
export function keepConfiguration(
  holder: Holder | undefined,
  { text }: Configuration,
  path: string,
): void {
  if (!(holder instanceof Guardian) || holder.role === 'restart') return;
  keepText(holder, CONFIGURATION, JSON.stringify(text));
  keepText(holder, MOUNT_POINT, path);
}

/** The kept text of the settings; undefined before the first SIGHUP. */
let settings: KeptText | undefined;

/** Keeps the settings that SIGHUP has applied for a daemon that follows the death of this one. */
export function keepSettings(holder: Holder | undefined, { text }: Configuration): void {
  if (!(holder instanceof Guardian)) return;
  settings ??= new KeptText(holder, SETTINGS);
  settings.keep(JSON.stringify(text));
}

/**
 * Takes the text that SIGHUP had applied before the last daemon died: the file may be invalid by
 * now. A standby has read the file before, maybe before that SIGHUP.
 *
 * @returns null if there was no file, undefined if there was no SIGHUP
 */
export function takeSettings(holder: Holder | undefined): string | null | undefined {
  return holder instanceof Guardian ? take(holder, SETTINGS) : undefined;
}

/** Takes a kept text of a file: null if there was no file, undefined if none is kept. */
function take(guardian: Guardian, name: string): string | null | undefined {
  const kept = takeText(guardian, name);
  return kept === undefined ? undefined : (JSON.parse(kept) as string | null);
}

/**
 * Returns the settings that SIGHUP had applied before the last daemon died: the first request of
 * this one, and the state that it restores, must not meet older ones.
 *
 * @param kept a result of {@link takeSettings}
 */
export function settingsOfDead(
  holder: Holder | undefined,
  configuration: Configuration,
  kept: string | null | undefined,
): LiveSettings | undefined {
  if (kept === undefined || holder?.followsDeath !== true) return undefined;
  return configuration.liveSettingsOf(kept);
}

/**
 * Returns the settings with which a daemon goes on. After a reload it drops those that SIGHUP had
 * applied: the new daemon has read a valid file.
 *
 * @param kept a result of {@link takeSettings}
 */
export function settingsAfter(
  holder: Holder | undefined,
  kept: string | null | undefined,
): string | null | undefined {
  if (holder instanceof Guardian && holder.hasFollowedDeath) return kept;
  holder?.drop(SETTINGS);
  return undefined;
}

/** Takes the kept configuration and drops it: this daemon has read the file, and knows its path. */
export function dropConfiguration(guardian: Guardian): void {
  for (const name of [CONFIGURATION, MOUNT_POINT]) takeText(guardian, name);
}
