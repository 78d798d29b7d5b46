/** `eventfs bridge --check`: names the obstacles to a bridge's work, and does not run. */
import { accessSync, constants, existsSync, mkdirSync, rmdirSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Codec } from '../../../bridge/mqtt/messages.js';
import type { BridgeOptions } from '../../../bridge/options.js';
import { NOT_RETAINED, NO_PROPERTIES } from '../../../bridge/echo.js';
import { type Probed, probeBroker } from '../../../bridge/probe-broker.js';
import { METRICS_HINTS } from '../../../bridge/files/metrics-file.js';
import { SavedFile, stateRefusal } from '../../../bridge/files/saved.js';
import { refuseSocket } from '../../../bridge/files/status-socket.js';
import { tryWrite } from '../../../bridge/files/trial.js';
import { UserError, isSystemError } from '../../../shared/errors.js';
import { type Finding, findingLine } from '../../doctor/finding.js';
import { ExitCode } from '../../terminal/explain.js';
import { print } from '../../terminal/output.js';
import { fleetMount, localMount, refuseLoop } from './bridge-mounts.js';

/**
 * Checks the mounts, the state directory and the broker. Prints one line a finding. The exit code
 * is 1 if something would keep the bridge from its work.
 *
 * @param loadCodec loads the package for MQTT
 */
export async function checkBridge(
  options: BridgeOptions,
  loadCodec: () => Promise<Codec>,
): Promise<void> {
  const findings = [
    ...(options.out === undefined ? [] : await checkLocal(options.out.mount)),
    ...(options.in === undefined ? [] : await checkFleet(options.in.mount, options.out?.mount)),
    ...checkState(options.stateDirectory),
    ...(options.metrics === undefined ? [] : [checkMetrics(options.metrics)]),
    ...(await checkBroker(options, loadCodec)),
  ];
  print(findings.map(findingLine).join(''));
  if (findings.some(({ level }) => level === 'fail')) process.exitCode = ExitCode.failed;
}

/** Returns a failure with its message. @throws the error itself if it is not for users */
function failure(error: unknown): Finding {
  if (error instanceof UserError) return { level: 'fail', what: error.message };
  if (isSystemError(error)) return { level: 'fail', what: error.message };
  throw error;
}

async function checkLocal(mount: string): Promise<Finding[]> {
  try {
    const path = await localMount(mount);
    return [
      { level: 'ok', what: `${path}: eventfs is mounted there` },
      tryDirectory(path, `${path}/${process.pid}.bridge-check`),
    ];
  } catch (error) {
    return [failure(error)];
  }
}

async function checkFleet(mount: string, local: string | undefined): Promise<Finding[]> {
  try {
    const path = await fleetMount(mount);
    if (local !== undefined && existsSync(local)) refuseLoop(local, path);
    return [
      { level: 'ok', what: `${path}: eventfs is mounted there` },
      tryDirectory(path, `${path}/${process.pid}.bridge-check`),
      tryPublish(`${path}/publish`),
    ];
  } catch (error) {
    return [failure(error)];
  }
}

function tryDirectory(mount: string, path: string): Finding {
  try {
    mkdirSync(path);
    rmdirSync(path);
    return { level: 'ok', what: `${mount}: this user can make directories` };
  } catch (error) {
    return failure(error);
  }
}

function tryPublish(path: string): Finding {
  try {
    accessSync(path, constants.W_OK);
    return { level: 'ok', what: `${path}: this user can write it` };
  } catch (error) {
    if (!isSystemError(error)) throw error;
    const mend = 'as root: chown it to the user of the bridge';
    return { level: 'fail', what: UserError.from(error, path).message, mend };
  }
}

function checkState(directory: string): Finding[] {
  const findings: Finding[] = [];
  try {
    refuseSocket(directory);
    const isThere = existsSync(directory);
    if (isThere && isDamaged(directory))
      findings.push({
        level: 'warn',
        what: `${directory}/bridge.json: it is damaged, so the bridge begins a new session`,
      });
    tryWrite(isThere ? directory : firstAbove(directory));
    return [...findings, { level: 'ok', what: `${directory}: the state can be saved there` }];
  } catch (error) {
    return [...findings, failure(stateRefusal(error, directory))];
  }
}

function isDamaged(directory: string): boolean {
  const saved = new SavedFile(directory);
  saved.load();
  return saved.isDamaged;
}

function checkMetrics(path: string): Finding {
  try {
    if (statSync(path, { throwIfNoEntry: false })?.isDirectory() === true)
      return { level: 'fail', what: `${path}: it is a directory (name a file in it)` };
    tryWrite(dirname(path));
    return { level: 'ok', what: `${path}: the metrics can be written there` };
  } catch (error) {
    if (!isSystemError(error)) throw error;
    return { level: 'fail', what: UserError.from(error, path, METRICS_HINTS).message };
  }
}

/** Returns the nearest directory above a path that is there. */
function firstAbove(path: string): string {
  const above = dirname(path);
  return existsSync(above) ? above : firstAbove(above);
}

async function checkBroker(
  { broker, host }: BridgeOptions,
  loadCodec: () => Promise<Codec>,
): Promise<Finding[]> {
  let codec: Codec;
  try {
    codec = await loadCodec();
  } catch (error) {
    return [failure(error)];
  }
  try {
    broker.check();
  } catch (error) {
    return [failure(error)];
  }
  const probed = await probeBroker(codec, broker, host);
  const { connection, own, isConfined } = probed;
  if (connection !== null) return [{ level: 'fail', what: `${broker.name}: ${connection}` }];
  const findings: Finding[] = [{ level: 'ok', what: `${broker.name}: it accepts this host` }];
  if (!broker.isTls)
    findings.push({
      level: 'warn',
      what: `${broker.name}: events and passwords are readable on the way`,
      mend: 'use mqtts://',
    });
  if (own !== null) return [...findings, { level: 'fail', what: `the topics of ${host}: ${own}` }];
  findings.push(...checkAbilities(broker.name, host, probed));
  findings.push(
    isConfined
      ? { level: 'ok', what: 'the topics of other hosts: it can not write them' }
      : {
          level: 'warn',
          what: 'the topics of other hosts: this host can write them too',
          mend: 'add an ACL with: pattern write eventfs/1/%u/#',
        },
  );
  return findings;
}

/** Returns what a broker does that accepts everything. */
function checkAbilities(name: string, host: string, { abilities, hasWills }: Probed): Finding[] {
  if (abilities === null)
    return [
      {
        level: 'fail',
        what:
          `the topics of ${host}: its messages to itself do not come back ` +
          '(let the host read them: docs/reference/fleet.md has the rules)',
      },
    ];
  const findings: Finding[] = [
    { level: 'ok', what: `the topics of ${host}: it can write and read them` },
  ];
  if (!abilities.properties) findings.push({ level: 'fail', what: `${name}: ${NO_PROPERTIES}` });
  if (!abilities.retained) findings.push({ level: 'warn', what: `${name}: ${NOT_RETAINED}` });
  if (!hasWills)
    findings.push({
      level: 'fail',
      what:
        `${name}: the will of ${host} does not come, so that its death stays unknown ` +
        '(let the host write its will)',
    });
  return findings;
}
