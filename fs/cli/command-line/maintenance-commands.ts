/** Declares the commands that maintain a mount or a machine. */
import { type Command, Option } from 'commander';
import type { ColdplugOptions } from '../commands/coldplug.js';
import type { DoctorOptions } from '../commands/doctor.js';
import type { StatusOptions } from '../commands/status/status.js';
import { SORTS } from '../commands/top/sorts.js';
import type { TopOptions } from '../commands/top/top.js';
import { MOUNT_OPTION, defaultConfiguration } from '../defaults.js';
import { collectSynthArg, parseAction, parseInterval, parseSeconds, parseUuid } from './values.js';

/** Adds the commands for a mount that is served, and for the machine. */
export function addMaintenanceCommands(program: Command): void {
  addStatus(program);
  addTop(program);
  addSettle(program);
  addColdplug(program);
  addDoctor(program);
}

function addStatus(program: Command): void {
  program
    .command('status')
    .description(
      'show the mount, its subscribers, how many events wait and were lost, and who lags',
    )
    .option(
      '--lagging',
      'show only subscribers that have lost events, or whose queue is nearly full',
    )
    .option('--all', 'show all subscribers, quotas and counters, each with its meaning')
    .option('--json', 'print one JSON object')
    .option(...MOUNT_OPTION)
    .action(async (options: StatusOptions) => {
      await (await import('../commands/status/status.js')).status(options);
    });
}

function addTop(program: Command): void {
  program
    .command('top')
    .description('show subscribers, rates, losses and the latest events, redrawn in place')
    .option('--interval <s>', 'the time between two screens, in seconds', parseInterval, 1)
    .addOption(
      new Option('--sort <order>', 'the order of the subscribers; the key s changes it')
        .choices(SORTS)
        .default('waiting'),
    )
    .option('--once', 'print one screen and end, as without a terminal')
    .option(...MOUNT_OPTION)
    .action(async (options: TopOptions) => {
      await (await import('../commands/top/top.js')).top(options);
    });
}

function addSettle(program: Command): void {
  program
    .command('settle')
    .description('wait until no queue holds an event older than this call')
    .option(
      '--timeout <s>',
      'wait at most s seconds; then name the processes that lag',
      parseSeconds,
    )
    .option(...MOUNT_OPTION)
    .action(async (options: { timeout?: number; mount: string }) => {
      await (await import('../commands/settle.js')).settle(options);
    });
}

function addColdplug(program: Command): void {
  program
    .command('coldplug')
    .description('make the kernel send add again for every device')
    .argument('[FILTER]', "the devices, as in 'SUBSYSTEM==block'", '')
    .option('--action <action>', 'the action that the kernel sends', parseAction, 'add')
    .option('--subsystems', 'trigger buses and drivers too, before the devices')
    .option(
      '--synth-uuid <uuid>',
      'put it into SYNTH_UUID of the events, to tell this replay from others',
      parseUuid,
    )
    .option(
      '--synth-arg <key=value>',
      'put the value into SYNTH_ARG_<key> of the events; may be repeated',
      collectSynthArg,
      [],
    )
    .option('--dry-run', 'only print the devices')
    .option('--mount <dir>', 'accepted as by every command; it changes nothing here')
    .action(async (filter: string, options: ColdplugOptions) => {
      (await import('../commands/coldplug.js')).coldplug(filter, options);
    });
}

function addDoctor(program: Command): void {
  program
    .command('doctor')
    .description('check this machine and this mount, and name a remedy for each fault')
    .option('--json', 'print one JSON array')
    .addOption(
      new Option('--config <file>', 'the configuration to check').default(
        defaultConfiguration(),
        'that of eventfs mount',
      ),
    )
    .option(...MOUNT_OPTION)
    .action(async (given: Omit<DoctorOptions, 'isNamed'>, command: Command) => {
      const isNamed = command.getOptionValueSource('mount') === 'cli';
      const options: DoctorOptions = { ...given, isNamed };
      const mount = program.commands.find((command) => command.name() === 'mount')!;
      mount.setOptionValue('config', options.config);
      const readConfiguration = async (): Promise<unknown> =>
        new (await import('../commands/mount/configuration.js')).Configuration(mount);
      await (await import('../commands/doctor.js')).doctor(options, readConfiguration);
    });
}
