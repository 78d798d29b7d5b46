// Loads the compiled addon: the prebuilt binary of a package, or the one that node-gyp has built
// here.
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const load = createRequire(import.meta.url)('node-gyp-build');
const root = fileURLToPath(new URL('..', import.meta.url));
const addon = loadAddon();

/**
 * Loads the addon.
 *
 * @throws Error with the code ERR_ADDON: a message of one line, and a `hint` that says what to do
 */
function loadAddon() {
  try {
    return load(root);
  } catch (error) {
    // A bundler has copied this text into another file, beside which there are no binaries.
    if (!existsSync(join(root, 'native/index.js')))
      throw Object.assign(new Error('a bundle has no binaries', { cause: error }), {
        code: 'ERR_ADDON',
        hint: 'leave eventfs out of the bundle, as by esbuild --external:eventfs',
      });
    const isMissing = error.message.startsWith('No native build was found');
    const why = isMissing
      ? `no binary fits this machine (${/libc=\w+/.exec(error.message)?.[0] ?? 'no libc'}, ${process.arch})`
      : error.message.split('\n')[0];
    const hint = existsSync(join(root, 'Makefile'))
      ? `run make all in ${root}`
      : 'install g++, make and python3, then run npm rebuild eventfs --build-from-source';
    throw Object.assign(new Error(why, { cause: error }), { code: 'ERR_ADDON', hint });
  }
}

/** The helper programs are in the addon's directory. */
export const notifierProgram = join(dirname(load.path(root)), 'eventfs-notify');
export const guardProgram = join(dirname(load.path(root)), 'eventfs-guard');

export const {
  ControlWord,
  RequestOutcome,
  SettleState,
  DrainWord,
  DatagramWord,
  ReadyWord,
  SliceWord,
  FailureWord,
  PeerWord,
  NamespaceWord,
  InjectionWord,
  FifoCount,
  allocatePages,
  allocateResident,
  discardPages,
  trimHeap,
  createStateMemfd,
  mapShared,
  mapPrivate,
  reserveRange,
  punchHole,
  openFuse,
  mount,
  unmount,
  unmountApart,
  readAttribute,
  socketPair,
  receiveDescriptor,
  namespaceOwner,
  openPidfd,
  processStatus,
  readPidfdHandle,
  openPidfdByHandle,
  exitStatus,
  raiseFileLimit,
  sendDatagram,
  sendMessage,
  receiveMessage,
  execute,
  hasError,
  isWritable,
  exitNow,
  tryLock,
  CallThread,
  DeathWatch,
  FuseChannel,
  UeventSocket,
  ReadableWatch,
  Readiness,
  bindSeqpacket,
  listenOn,
  probeSeqpacket,
  connectSeqpacket,
  acceptSeqpacket,
  receiveSeqpacket,
  sendToAll,
  passToAll,
  openUeventSender,
  openNamespaceSender,
  injectUevents,
  notifyFifos,
  catchInterrupts,
  addressOf,
  callerOfThread,
} = addon;
