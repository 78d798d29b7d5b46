/** Declares the commands that show, publish or handle events. */
import { type Command, Option } from 'commander';
import type { EmitOptions } from '../commands/emit.js';
import type { ExecOptions } from '../commands/exec.js';
import type { ReplayOptions } from '../commands/replay.js';
import type { RunOptions } from '../commands/run/run.js';
import type { WaitOptions } from '../commands/wait.js';
import type { WatchOptions } from '../commands/watch/watch.js';
import { MOUNT_OPTION } from '../defaults.js';
import { parseCount, parseEventCount, parseSeconds, parseEventName, parseSpeed } from './values.js';

/** Adds the commands that show, publish or handle events. */
export function addEventCommands(program: Command): void {
  addWatch(program);
  addEmit(program);
  addExec(program);
  addRun(program);
  addWait(program);
}

function addWatch(program: Command): void {
  program
    .command('watch')
    .description('print events as they come')
    .argument('[FILTER]', "the events to print, as in 'SUBSYSTEM==block, ACTION==add|remove'", '')
    .addOption(
      new Option(
        '--json',
        'print one JSON object a line; its schema is watch.schema.json, in docs/reference ' +
          'or in share/eventfs',
      ).conflicts(['format', 'properties']),
    )
    .addOption(
      new Option(
        '--format <template>',
        "print a line after a template, as in '{time} {action} {subsystem} {devpath}'",
      ).conflicts(['properties']),
    )
    .option('--properties', 'print all properties of each event')
    .option('--count <n>', 'end after n events', parseEventCount)
    .option(
      '--timeout <s>',
      'end after s seconds; with --count, the exit code is 1 if fewer events came',
      parseSeconds,
    )
    .option(
      '--record <file>',
      'write the events to a file too, with their times; emit --replay publishes them again',
    )
    .option(
      '--since <seqnum>',
      "begin with the kept events after this SEQNUM or event's name",
      parseEventName,
    )
    .option(...MOUNT_OPTION)
    .action(async (filter: string, options: WatchOptions & { mount: string }) => {
      // A child process asks the daemon, while this process loads the rest.
      const { requireMount } = await import('../../client/mounted.js');
      const mount = requireMount(options.mount);
      mount.catch(() => undefined); // watch() awaits it
      await (await import('../commands/watch/watch.js')).watch(filter, options, mount);
    });
}

function addEmit(program: Command): void {
  program
    .command('emit')
    .description(
      'publish one event from arguments or the environment, or events from standard input',
    )
    .argument(
      '[KEY=VALUE...]',
      'its properties; ACTION and DEVPATH are required; - reads events from standard input, with an empty line between them',
    )
    .option(
      '--replay <file>',
      'publish the events of a recording by watch --record, with the pauses between them',
    )
    .option('--speed <n>', 'replay n times as fast; 0: without pauses (default: 1)', parseSpeed)
    .option(
      '--environment',
      'take the properties from the environment, where mdev, mdevd and udev RUN+= set them',
    )
    .option(...MOUNT_OPTION)
    .action(async (properties: string[], options: EmitOptions & ReplayOptions) => {
      if (options.replay !== undefined || options.speed !== undefined)
        await (await import('../commands/replay.js')).replay(properties, options);
      else await (await import('../commands/emit.js')).emit(properties, options);
    });
}

function addExec(program: Command): void {
  program
    .command('exec')
    .description('run a command with a process directory of its own, in $EVENTS_DIR')
    .usage('[options] -- COMMAND [ARGUMENT...]')
    .argument(
      '<COMMAND...>',
      'the command; it replaces this process, so nothing is left to clean up',
    )
    .option('--filter <filter>', 'the events that the directory takes', '')
    .option(
      '--since <seqnum>',
      "begin with the kept events after this SEQNUM or event's name",
      parseEventName,
    )
    .option('--label <label>', 'call the directory <pid>.<label>')
    .option(...MOUNT_OPTION)
    .passThroughOptions()
    .action(async (command: string[], options: ExecOptions) => {
      await (await import('../commands/exec.js')).exec(command, options);
    });
}

function addRun(program: Command): void {
  program
    .command('run')
    .description(
      "run a command for each event: a device's properties in its environment, the event on standard input",
    )
    .usage('[options] FILTER -- COMMAND [ARGUMENT...]')
    .argument('<FILTER>', "the events, as in 'SUBSYSTEM==block'; '' takes every event")
    .argument('<COMMAND...>', 'the command; no shell is involved')
    .option(
      '--jobs <n>',
      'run n commands at a time, but never two for one DEVPATH, or for a device and its parent or child',
      parseCount,
      1,
    )
    .option(
      '--timeout <s>',
      'end the command, and all of its process group, after s seconds',
      parseSeconds,
    )
    .option(
      '--since <seqnum>',
      "begin with the kept events after this SEQNUM or event's name",
      parseEventName,
    )
    .option(...MOUNT_OPTION)
    .action(async (filter: string, command: string[], options: RunOptions) => {
      await (await import('../commands/run/run.js')).run(filter, command, options);
    });
}

function addWait(program: Command): void {
  program
    .command('wait')
    .description(
      'wait for an event and print it; the exit code is 0 if it came, 1 after the time-out, 100 for a bad filter, 102 without a mount, 103 if the daemon has ended',
    )
    .argument('[FILTER]', "the event, as in 'SUBSYSTEM==block, DEVNAME==sd?1'", '')
    .option('--timeout <s>', 'wait at most s seconds', parseSeconds)
    .option('--existing', 'accept a device that exists already')
    .option(
      '--since <seqnum>',
      "begin with the kept events after this SEQNUM or event's name",
      parseEventName,
    )
    .option(...MOUNT_OPTION)
    .action(async (filter: string, options: WaitOptions) => {
      await (await import('../commands/wait.js')).wait(filter, options);
    });
}
