/** `eventfs reload`: asks the guardian of a mount to replace the daemon. */
import { closeSync } from 'node:fs';
import { dirname } from 'node:path';
import { ReadableWatch, receiveMessage, sendMessage } from '#native';
import { guardianSocket } from '../../client/guardian.js';
import { requireMount } from '../../client/mounted.js';
import { mountPath } from '../../client/probe.js';
import { isOwn } from '../../guard/control-files.js';
import { readStatusFile } from '../../client/status.js';
import { MOUNT_TYPE, mountedAt } from '../../shared/kernel/mountinfo.js';
import { FailedCallError, NotServedError, UserError } from '../../shared/errors.js';
import { connectToGuardian, connectToOne } from '../guardian-socket.js';
import { print, printable } from '../terminal/output.js';

/** Longer than all time limits of the guardian together. */
const TIMEOUT_MS = 120_000;

/**
 * Replaces the daemon of a mount by a newly started one, of the version that is installed now. The
 * old daemon goes on if the new one fails.
 *
 * @param directory the mount, or a symlink to it
 * @throws NotServedError if no guardian serves it, or eventfs is not mounted there
 * @throws UserError if the old daemon goes on
 */
export async function reload(directory: string): Promise<void> {
  const path = mountPath(directory);
  const guardian = connectToGuardian(path) ?? (await connectMoved(path)) ?? refuse(path);
  try {
    sendMessage(guardian, 'RELOAD', -1);
    const [word, ...rest] = (await answerOf(guardian, path)).split(' ');
    const text = rest.join(' ');
    if (word !== 'RELOADED')
      throw new UserError(`${path}: the old daemon goes on: ${text || 'the guardian has ended'}`);
    const what = mountedAt(path)?.type === MOUNT_TYPE ? '' : 'the mount that was at ';
    print(`process ${printable(text)} serves ${what}${printable(path)}\n`);
  } finally {
    closeSync(guardian);
  }
}

/** Connects to the guardian of a mount that is no longer where the guardian has mounted it. */
async function connectMoved(path: string): Promise<number | null> {
  await requireMount(path, () => `try eventfs mount --guard ${path}`);
  const socket = guardianSocket(path);
  return socket !== undefined && isOwn(dirname(socket)) ? connectToOne([socket]) : null;
}

/** Says why a mount can't be reloaded. @throws UserError always */
function refuse(path: string): never {
  const again = `eventfs umount ${path}, then eventfs mount --guard ${path}`;
  const holder = readStatusFile(`${path}/log`).get('GUARDED');
  if (holder === 'guardian')
    throw new FailedCallError(
      `${path}: its guardian belongs to another user (try as the user who has mounted it)`,
    );
  if (holder === 'lost') throw new NotServedError(`${path}: its guardian has ended (${again})`);
  if (holder !== undefined)
    throw new NotServedError(
      `${path}: ${holder} holds it, not a guardian (let the service manager start the daemon again)`,
    );
  throw new NotServedError(`${path}: no guardian holds it, so it can't be reloaded (${again})`);
}

async function answerOf(guardian: number, path: string): Promise<string> {
  return new Promise((done, failed) => {
    const late = setTimeout(() => {
      watch.close();
      failed(new UserError(`${path}: the guardian does not answer (see its messages)`));
    }, TIMEOUT_MS);
    const watch = new ReadableWatch(guardian, () => {
      const answer = receiveMessage(guardian, new Int32Array(1));
      if (answer === null) return;
      clearTimeout(late);
      watch.close();
      done(answer);
    });
  });
}
