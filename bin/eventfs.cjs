/**
 * Starts the Node program, for bin/eventfs. An old Node can read this file, because it is no ES
 * module, so that the message about the version comes.
 */

// The shell ignores SIGUSR1 until a listener replaces Node's own: docs/decisions/070-sigusr1.md.
process.on('SIGUSR1', () => undefined);
if (process.env.EVENTFS_NOHUP !== undefined) {
  delete process.env.EVENTFS_NOHUP;
  process.on('SIGHUP', () => undefined);
}

const OLDEST = [20, 17];

function isOld() {
  const [major, minor] = process.versions.node.split('.').map(Number);
  return major < OLDEST[0] || (major === OLDEST[0] && minor < OLDEST[1]);
}

async function start(args) {
  // The size of V8's young generation is fixed by now. With another value of the flag than its
  // default V8 refuses the compiled code that Node's own modules have, and compiles them for 15 ms.
  process.getBuiltinModule('node:v8').setFlagsFromString('--max-semi-space-size=0');
  // Both start without the parser of the command line, if they can.
  if (args[0] === 'emit') {
    const { emitAtOnce } = await import('../dist/fs/cli/commands/emit.js');
    if (await emitAtOnce(args.slice(1))) return;
  }
  if (args[0] === 'watch') {
    const { watchAtOnce } = await import('../dist/fs/cli/commands/watch/at-once.js');
    if (await watchAtOnce(args.slice(1))) return;
  }
  const { main } = await import('../dist/fs/cli/main.js');
  await main([process.execPath, `${__dirname}/eventfs`, ...args]);
}

if (isOld()) {
  const oldest = OLDEST.join('.');
  const version = process.versions.node;
  console.error(`eventfs: Node.js ${version} is too old: install Node.js ${oldest} or newer`);
  process.exitCode = 111;
} else {
  start(process.argv.slice(2)).catch((error) => {
    if (error.code !== 'ERR_MODULE_NOT_FOUND') throw error;
    console.error('eventfs: not built yet (try make in its directory)');
    process.exitCode = 1;
  });
}
