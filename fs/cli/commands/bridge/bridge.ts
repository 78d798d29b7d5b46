/** `eventfs bridge`: joins the mounts of many hosts through a broker. */
import { Bridge } from '../../../bridge/bridge.js';
import type { Codec } from '../../../bridge/mqtt/connection.js';
import { statusOf } from '../../../bridge/report.js';
import { StatusSocket } from '../../../bridge/status-socket.js';
import type { BridgeOptions } from '../../../bridge/options.js';
import { requireMount } from '../../../client/mounted.js';
import { tellSystemd } from '../../../daemon/readiness.js';
import { LineLogger } from '../../../shared/log/logger.js';
import { UserError } from '../../../shared/errors.js';
import { rateLimited } from '../../../shared/log/rate-limit.js';
import { explain } from '../../terminal/explain.js';
import { type BridgeArguments, bridgeOptions, stateDirectory } from './bridge-options.js';

/**
 * Runs until SIGTERM, SIGINT or the end of a mount's daemon. A broker that fails is no end.
 *
 * @throws UserError if an option is wrong, or a mount is not there
 */
export async function bridge(given: BridgeArguments): Promise<void> {
  const log = new LineLogger('bridge', { level: given.logLevel, isJson: given.logJson === true });
  if (given.status === true)
    return (await import('./status.js')).bridgeStatus(stateDirectory(given));
  const checked = bridgeOptions(given);
  if (given.check === true) return (await import('./check.js')).checkBridge(checked, loadCodec);
  const options = await withMounts(checked);
  const codec = await loadCodec();
  let fail = (_error: unknown): void => undefined;
  const failed = new Promise<unknown>((done) => (fail = done));
  const running = new Bridge(options, codec, rateLimited(log), fail);
  const stopped = new Promise<null>((done) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => done(null));
  });
  const socket = new StatusSocket(options.stateDirectory, () => statusOf(running, options));
  await socket.open().catch(async (error: unknown) => {
    await running.stop();
    throw error;
  });
  running.start();
  tellSystemd('READY=1');
  const error = await Promise.race([failed, stopped]);
  await running.stop();
  socket.close();
  log.close();
  if (error !== null) process.exitCode = explain(error, 'bridge', (text) => log.error(text));
}

/** Finds the mounts. @throws UserError if one is not served */
async function withMounts(options: BridgeOptions): Promise<BridgeOptions> {
  const { out, in: from } = options;
  return {
    ...options,
    out: out && { ...out, mount: await requireMount(out.mount) },
    in: from && { ...from, mount: await requireMount(from.mount) },
  };
}

/** Loads the package for MQTT, which is optional. @throws UserError if it is not installed */
export async function loadCodec(): Promise<Codec> {
  try {
    return await import('mqtt-packet');
  } catch (error) {
    const [reason] = (error instanceof Error ? error.message : String(error)).split('\n');
    throw new UserError(
      `the npm package mqtt-packet can't be loaded: ${reason} (it is optional: run npm ci --include=optional)`,
    );
  }
}
