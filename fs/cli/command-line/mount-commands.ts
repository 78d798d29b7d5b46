/** Declares the commands that start, replace and end a daemon. */
import type { Command } from 'commander';
import { addMountOptions } from '../commands/mount/mount-options.js';
import { DEFAULT_DIRECTORY } from '../defaults.js';
import { directoryOf, mountInstead } from './mount-option.js';

/** Adds the commands that start, replace and end a daemon. */
export function addMountCommands(program: Command): void {
  mountInstead(addMountOptions(program.command('mount')))
    .description('serve the tree in the foreground until SIGTERM or SIGINT, then unmount')
    .argument('[DIR]', 'the directory to mount on', DEFAULT_DIRECTORY)
    .action(async (directory: string, _options: unknown, command: Command) => {
      const mountPoint = directoryOf(directory, command);
      if (command.opts<{ check?: boolean }>().check === true)
        await (await import('../commands/mount/check.js')).check(mountPoint, command);
      else await (await import('../commands/mount/mount.js')).mount(mountPoint, command);
    });

  mountInstead(program.command('reload'))
    .description('with mount --guard: replace the daemon by a newly started one, unnoticed')
    .argument('[DIR]', 'the directory that eventfs is mounted on', DEFAULT_DIRECTORY)
    .action(async (directory: string, _options: unknown, command: Command) => {
      await (await import('../commands/reload.js')).reload(directoryOf(directory, command));
    });

  mountInstead(program.command('umount'))
    .description('end the daemon that serves a directory, and unmount it')
    .argument('[DIR]', 'the directory that eventfs is mounted on', DEFAULT_DIRECTORY)
    .action(async (directory: string, _options: unknown, command: Command) => {
      await (await import('../commands/umount.js')).umount(directoryOf(directory, command));
    });
}
