/** `eventfs bridge`: joins the mounts of many hosts through a broker. */
import { exitNow } from '#native';
import { Bridge } from '../../../bridge/bridge.js';
import { takeAllReasons } from '../../../bridge/mqtt/codec.js';
import type { Codec } from '../../../bridge/mqtt/messages.js';
import { statusOf } from '../../../bridge/report.js';
import { SavedFile } from '../../../bridge/files/saved.js';
import { StatusSocket } from '../../../bridge/files/status-socket.js';
import type { BridgeOptions } from '../../../bridge/options.js';
import { tellReady, tellSystemd } from '../../../daemon/readiness.js';
import { LineLogger } from '../../../shared/log/logger.js';
import { UserError } from '../../../shared/errors.js';
import { rateLimited } from '../../../shared/log/rate-limit.js';
import { explain } from '../../terminal/explain.js';
import { adviseOnFilter } from '../../terminal/filter-advice.js';
import { type BridgeArguments, bridgeOptions, stateDirectory } from './bridge-options.js';
import { fleetMount, localMount, refuseLoop } from './bridge-mounts.js';

/**
 * Runs until SIGTERM, SIGINT or the end of a mount's daemon. A broker that fails is no end. SIGHUP
 * makes it connect again, with renewed certificates or another password.
 *
 * @throws UserError if an option is wrong, or a mount is not there
 */
export async function bridge(given: BridgeArguments): Promise<void> {
  const log = new LineLogger('bridge', { level: given.logLevel, isJson: given.logJson === true });
  if (given.status === true)
    return (await import('./status.js')).bridgeStatus(stateDirectory(given));
  const checked = bridgeOptions(given);
  if (given.check === true) {
    await (await import('./check.js')).checkBridge(checked, loadCodec);
    return checked.broker.isResolving ? exitNow(Number(process.exitCode ?? 0)) : undefined;
  }
  checked.broker.check();
  const options = await withMounts(checked);
  if (options.out !== undefined)
    adviseOnFilter('bridge', options.out.filter, (text) => log.warn(text));
  const codec = await loadCodec();
  const { error, isEnded } = await runUntilStopped(options, codec, log, given.readyFd);
  log.close();
  if (error !== null) process.exitCode = explain(error, 'bridge', (text) => log.error(text));
  // Node's own exit would wait for the thread that waits for a mount's daemon, or for the resolver.
  if (!isEnded) exitNow(Number(process.exitCode ?? 0));
}

/**
 * Runs a bridge until a signal ends it.
 *
 * @param readyFd the descriptor that gets a newline once it runs
 * @returns the error of a mount that has ended, null after a signal; and whether no thread of this
 *   process waits for a daemon or a resolver that hangs
 * @throws UserError if a mount, the state directory or the descriptor refuses
 */
async function runUntilStopped(
  options: BridgeOptions,
  codec: Codec,
  log: LineLogger,
  readyFd: number | undefined,
): Promise<{ readonly error: unknown; readonly isEnded: boolean }> {
  let fail = (_error: unknown): void => undefined;
  const failed = new Promise<unknown>((done) => (fail = done));
  const stopped = new Promise<null>((done) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => done(null));
  });
  let running: Bridge | null = null;
  let isEnded: boolean;
  let error: unknown;
  // The socket first: a second bridge must not touch the state of the first.
  const socket = new StatusSocket(new SavedFile(options.stateDirectory).directory, () =>
    statusOf(running!, options),
  );
  await socket.open();
  try {
    running = new Bridge(options, codec, rateLimited(log), fail);
    const bridge = running;
    process.on('SIGHUP', () => void bridge.renew());
    void running.start();
    tellSystemd('READY=1');
    if (readyFd !== undefined) tellReady(readyFd);
    error = await Promise.race([failed, stopped]);
  } finally {
    isEnded = (await running?.stop()) ?? true;
    socket.close();
  }
  return { error, isEnded };
}

/** Finds the mounts. @throws UserError if one is not served, or both are one */
async function withMounts(options: BridgeOptions): Promise<BridgeOptions> {
  const { out, in: from } = options;
  const found = {
    ...options,
    out: out && { ...out, mount: await localMount(out.mount) },
    in: from && { ...from, mount: await fleetMount(from.mount) },
  };
  refuseLoop(found.out?.mount, found.in?.mount);
  return found;
}

/** Loads the package for MQTT, which is optional. @throws UserError if it is not installed */
async function loadCodec(): Promise<Codec> {
  try {
    const codec = await import('mqtt-packet');
    await takeAllReasons();
    return codec;
  } catch (error) {
    const [reason] = (error instanceof Error ? error.message : String(error)).split('\n');
    throw new UserError(
      `the npm package mqtt-packet can't be loaded: ${reason} (it is optional: run npm ci --include=optional)`,
    );
  }
}
