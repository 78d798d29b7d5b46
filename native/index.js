// Loads the compiled addon: a prebuilt binary where one was shipped, else what node-gyp has built here.
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

const load = createRequire(import.meta.url)('node-gyp-build');
const addon = load(fileURLToPath(new URL('..', import.meta.url)));

export const {
  openFuse,
  mount,
  unmount,
  openPidfd,
  raiseFileLimit,
  sendDatagram,
  execute,
  exitNow,
  DeathWatch,
  FuseChannel,
  UeventSocket,
  ReadableWatch,
} = addon;
