/** Takes over the mount of a daemon that has ended. */
import { closeSync } from 'node:fs';
import { UserError } from '../../../shared/errors.js';
import { type Connection, identityOf } from '../../../shared/kernel/connection.js';
import type { Keeper } from '../../../shared/kernel/keeper.js';
import { MOUNT_TYPE, mounts } from '../../../shared/kernel/mountinfo.js';
import type { FuseMount } from '../../common/mount-fuse.js';
import type { ReadLife } from '../../common/read-life.js';
import type { KeptInit } from './kept-init.js';

/** The name under which the keeper has the descriptor of /dev/fuse. */
export const KEPT_DEVICE = 'fuse';

/** A mount that one daemon makes and a later one takes over. */
export interface AdoptedMount extends FuseMount {
  readonly connection: Connection;
  /** The negotiated minor version of the protocol. */
  readonly protocolMinor: number;
  /** How long reads may block. */
  readonly readLife: ReadLife;
}

/**
 * Takes the descriptor of the last daemon.
 *
 * @returns null if there is none: then the caller mounts
 * @throws UserError if the result of INIT is not there
 */
export function adoptMount(keeper: Keeper, init: KeptInit): AdoptedMount | null {
  const fd = keeper.take(KEPT_DEVICE);
  if (fd === undefined) return null;
  const state = init.read();
  if (state === null) {
    closeSync(fd);
    throw new UserError(
      'the last daemon has left a mount, but no record of its negotiation with the kernel (eventfs umount, and mount again)',
    );
  }
  const { device: minor, identity, protocolMinor, isOfUser, isShared, readLife } = state;
  return { fd, isOfUser, isShared, protocolMinor, readLife, connection: { minor, identity } };
}

/** Lets the next daemon take a mount over, as {@link adoptMount} returns it. */
export function keepMount(keeper: Keeper, init: KeptInit, mount: AdoptedMount): void {
  const { fd, isOfUser, isShared, protocolMinor, readLife, connection } = mount;
  const { minor: device, identity } = connection;
  init.write({ protocolMinor, device, identity, isOfUser, isShared, readLife });
  keeper.keep(KEPT_DEVICE, fd); // last: the next daemon needs the rest with it
}

/**
 * Finds the mount of a connection: it may have been moved since.
 *
 * @param otherwise the result if it is nowhere in this mount namespace
 */
export function pathOf(connection: Connection, otherwise: string): string {
  const now = identityOf(connection.minor);
  if (connection.identity !== null && now !== null && now !== connection.identity) return otherwise;
  const all = mounts().filter(
    ({ type, minor }) => type === MOUNT_TYPE && minor === connection.minor,
  );
  return (
    (all.find(({ mountPoint }) => mountPoint === otherwise) ?? all[0])?.mountPoint ?? otherwise
  );
}
