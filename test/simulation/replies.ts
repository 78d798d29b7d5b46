/** Checks the replies of the daemon against the model. */
import * as assert from 'uvu/assert';
import { Errno } from '../../fs/shared/errors.js';
import type { StateLayout } from '../../fs/state/layout.js';
import type { StateTable } from '../../fs/state/table.js';
import type { SimRequest } from './machine/request.js';
import type { ModelHandlers } from './model/handlers.js';
import { type Model, check, describe } from './model/model.js';
import { recordedReplies } from './recorded.js';

/** The requests that open a file. */
const OPENS = ['FUSE_OPEN', 'FUSE_OPENDIR', 'FUSE_CREATE'];

/** The checks of one run. */
export class Replies {
  /** @param note notes a step for the message of a failure */
  constructor(
    private readonly model: Model,
    private readonly handlers: ModelHandlers,
    private readonly note: (what: () => string) => void,
  ) {}

  /** Checks a reply, and makes its changes to the model. */
  check(request: SimRequest): void {
    const reply = request.reply!;
    const { op } = request;
    this.note(
      () =>
        `  ${describe(request)} = ${reply.errno} ${reply.body.length} bytes${reply.body.length >= 128 ? ` node ${reply.body.readUInt32LE(0)}` : ''}`,
    );
    if (reply.errno === Errno.ESTALE && this.model.stale(request)) return;
    if (reply.errno === 0) this.model.found(request);
    const handler = this.handlers.of[op];
    if (handler === undefined) assert.unreachable(`the model has no ${op}`);
    else handler(request, reply);
  }

  /** Checks that a reply is the one that a killed daemon has recorded. */
  checkRepeated(request: SimRequest): void {
    const { recorded, reply } = request;
    check(
      recorded!.errno === reply!.errno && reply!.body.equals(recorded!.body),
      () => `${describe(request)}: a reply that differs from the recorded one`,
    );
  }

  /** Takes the replies that a dead daemon has recorded and not sent over to the model. */
  takeRecorded(
    layout: StateLayout,
    table: StateTable,
    unanswered: Parameters<typeof recordedReplies>[2],
  ): void {
    const { files } = this.handlers;
    const isWaiting = (request: SimRequest): boolean =>
      this.model.reads.some((read) => read.request === request);
    for (const { request, reply } of recordedReplies(layout, table, unanswered, isWaiting)) {
      if (request.isTaken || request.recorded !== null) continue;
      this.note(() => `  recorded: ${describe(request)} = ${reply.errno}`);
      request.reply = request.recorded = reply;
      if (isWaiting(request)) files.answered(request, reply);
      else if (request.op !== 'FUSE_INIT') this.check(request);
      request.reply = null;
    }
  }

  /** Drops a request of a killed process which no daemon has read since it was sent again. */
  abandoned(request: SimRequest): void {
    if (request.recorded === null) return this.handlers.files.abandoned(request);
    check(
      !OPENS.includes(request.op) || request.recorded.errno !== 0,
      () => `${describe(request)}: no process will ever close the file`,
    );
  }
}
