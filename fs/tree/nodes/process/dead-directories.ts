/**
 * Directories whose owner is dead and that the daemon has not removed yet, where a new directory
 * needs their place.
 */
import type { Mortal, Owner } from '../../../owners/owners.js';
import type { QuotaAccount } from '../../quota/account.js';
import { ProcessDirectory } from '../process-directory.js';

/** The directories that are not removed yet: fs/owners/estates.ts. */
interface Removal {
  things(): Iterable<Mortal>;
  remove(owner: Owner, thing: Mortal): void;
}

/**
 * Removes such directories until the account has room for one more, or none of them is left that is
 * charged to the same user, group or mount.
 */
export function makeRoom(account: QuotaAccount, removal: Removal): void {
  const isFull = (): boolean => account.isHelpedBy(account, 'directories');
  if (!isFull()) return;
  for (const thing of removal.things()) {
    if (!(thing instanceof ProcessDirectory) || thing.isSticky) continue;
    if (!account.isHelpedBy(thing.charge.account, 'directories')) continue;
    removal.remove(thing.owner, thing);
    if (!isFull()) return;
  }
}
