/** Declares the command that joins the mounts of many hosts. */
import { type Command, Option } from 'commander';
import type { BridgeArguments } from '../commands/bridge/bridge-options.js';
import { MOUNT_OPTION } from '../defaults.js';
import { DEFAULT_LOG_LEVEL, LOG_LEVELS } from '../../shared/log/log-levels.js';
import { parseDescriptor, wholeNumber } from './numbers.js';
import { parseCount } from './values.js';

const MOST_KEEP_ALIVE = 3600;
const MOST_HISTORY_MIB = 1024;
const HISTORY_MIB = 8;
const KEEP_ALIVE = 10;
const BATCH = 1024;

/** Adds the command. */
export function addBridge(program: Command): void {
  program
    .command('bridge')
    .description('exchange events with other hosts through an MQTT 5 broker')
    .option('--broker <url>', 'the broker, as in mqtts://broker:8883, or mqtt:// without TLS')
    .option('--host <name>', "this host's name in the fleet (default: the machine's)")
    .option('--publish <filter>', "the events of the mount to publish; '' for all")
    .option('--fleet <dir>', 'the mount that gets the events of other hosts')
    .option('--subscribe <hosts>', "the hosts to follow, as in 'web*|db1' (default: all)")
    .option('--ca <file>', "the authority that has signed the broker's certificate (PEM)")
    .option('--cert <file>', "this host's certificate (PEM)")
    .option('--key <file>', "the certificate's key (PEM)")
    .option('--user <name>', "this host's user at the broker")
    .option('--password-file <file>', 'a file whose first line is the password')
    .option(
      '--keep-alive <s>',
      'the time between two signs of life; without one for 1.5 times that a host is dead',
      wholeNumber(1, MOST_KEEP_ALIVE, 'a number of seconds'),
      KEEP_ALIVE,
    )
    .option('--batch <n>', 'the most events of a message', parseCount, BATCH)
    .option(
      '--history <mib>',
      'how many MiB of events to keep for questions',
      wholeNumber(1, MOST_HISTORY_MIB, 'a number of MiB'),
      HISTORY_MIB,
    )
    .option(
      '--state <dir>',
      'the directory of the state (default: $STATE_DIRECTORY; else /var/lib/eventfs-bridge, ' +
        'or without root ~/.local/state/eventfs-bridge)',
    )
    .option('--metrics <file>', 'write counters for Prometheus to this file at each keep-alive')
    .option(
      '--ready-fd <fd>',
      'write a newline to this descriptor and close it once the bridge runs',
      parseDescriptor,
    )
    .option('--status', 'show what the running bridge does')
    .option('--check', 'do not run: check the options, the mounts and the broker')
    .addOption(
      new Option('--log-level <level>', 'log messages of this level and of graver ones')
        .choices(LOG_LEVELS)
        .default(DEFAULT_LOG_LEVEL),
    )
    .option('--log-json', 'log each line as a JSON object')
    .option(...MOUNT_OPTION)
    .action(async (options: BridgeArguments) => {
      await (await import('../commands/bridge/bridge.js')).bridge(options);
    });
}
