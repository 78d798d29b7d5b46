/**
 * The files `stream` and `match/<filter>`. Each open file reads events independently of the others:
 * it has its own cursor into the log.
 */
import type { Filter } from '../../uevent/filter/filter.js';
import type { Caller } from '../../owners/owners.js';
import { EVERYTHING } from '../filter-charge.js';
import type { Attributes, Handle, Lifetime, NodeId } from '../nodes/node.js';
import { RootFile } from '../nodes/root-file.js';
import type { Streams } from './streams.js';

/**
 * The size of a stream in stat(2), 4,096 as for files of sysfs. With size 0, sendfile(2) would
 * return the end of the file without a READ (mm/filemap.c, filemap_splice_read), and busybox's cat
 * would end.
 */
export const STREAM_BYTES = 4096;

/** The file `stream`, or a file of `match/` (match-directory.ts). */
export class StreamFile extends RootFile {
  constructor(
    id: NodeId,
    lifetime: Lifetime,
    readonly streams: Streams,
  ) {
    super(id, lifetime, 0o444);
  }

  /** The filter of each open file. */
  protected get filter(): Filter {
    return EVERYTHING;
  }

  override attributes(to: Attributes): void {
    super.attributes(to);
    to.size = STREAM_BYTES;
  }

  override open(_flags: number, caller: Caller): Handle {
    return this.streams.open(this, this.filter, caller);
  }
}
