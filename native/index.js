// Loads the compiled addon: the prebuilt binary of a package, or the one that node-gyp has built
// here.
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const load = createRequire(import.meta.url)('node-gyp-build');
const root = fileURLToPath(new URL('..', import.meta.url));
const addon = load(root);

/** The helper program is in the addon's directory. */
export const notifierProgram = join(dirname(load.path(root)), 'eventfs-notify');

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
  FifoCount,
  allocatePages,
  discardPages,
  trimHeap,
  openFuse,
  mount,
  unmount,
  unmountApart,
  openPidfd,
  raiseFileLimit,
  sendDatagram,
  execute,
  exitNow,
  CallThread,
  DeathWatch,
  FuseChannel,
  UeventSocket,
  ReadableWatch,
  Readiness,
  listenSeqpacket,
  probeSeqpacket,
  acceptSeqpacket,
  receiveSeqpacket,
  sendToAll,
  passToAll,
  openUeventSender,
  notifyFifos,
  catchInterrupts,
  addressOf,
} = addon;
