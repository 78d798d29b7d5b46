/**
 * monitor [--kernel] [--udev] [--mount DIR] [--property] [--subsystem-match SUBSYSTEM[/DEVTYPE]]
 *         [--tag-match TAG]: prints events as `udevadm monitor` does, until Ctrl-C.
 *
 * --kernel and --udev read netlink, without a mount. --mount reads a mount: also events that
 * programs publish there.
 */
import { parseArgs } from 'node:util';
import { EventfsError, type EventOrLoss, type SubscribeOptions, subscribe } from 'eventfs';

const { values } = parseArgs({
  options: {
    kernel: { type: 'boolean', short: 'k', default: false },
    udev: { type: 'boolean', short: 'u', default: false },
    mount: { type: 'string' },
    property: { type: 'boolean', short: 'p', default: false },
    'subsystem-match': { type: 'string', short: 's', multiple: true, default: [] },
    'tag-match': { type: 'string', short: 't', multiple: true, default: [] },
  },
});

/** One rule for each subsystem and tag, as udevadm has it; rules are alternatives. */
function filterOf(subsystems: readonly string[], tags: readonly string[]): string {
  const bySubsystem = subsystems.map((text) => {
    const [subsystem, devtype] = text.split('/', 2);
    return `SUBSYSTEM=="${subsystem}"${devtype === undefined ? '' : `, DEVTYPE=="${devtype}"`}`;
  });
  const byTag = tags.map((tag) => `TAGS=="${tag}"`);
  if (bySubsystem.length === 0 || byTag.length === 0) return [...bySubsystem, ...byTag].join('; ');
  return bySubsystem.flatMap((one) => byTag.map((other) => `${one}, ${other}`)).join('; ');
}

function print(source: string, event: EventOrLoss): void {
  const [seconds, nanoseconds] = process.hrtime();
  const fraction = String(Math.trunc(nanoseconds / 1000)).padStart(6, '0');
  const head = `${source.padEnd(6)}[${seconds}.${fraction}]`;
  if (event.type === 'loss') return console.log(`${head} ${event.lost} events were lost`);
  console.log(`${head} ${event.action.padEnd(8)} ${event.devpath} (${event.subsystem ?? ''})`);
  if (!values.property) return;
  for (const [key, value = ''] of Object.entries(event.properties))
    console.log(`${key}=${key === 'DEVNAME' ? value.replace(/^(?!\/)/, '/dev/') : value}`);
  console.log();
}

async function follow(source: string, options: SubscribeOptions): Promise<void> {
  for await (const event of subscribe(options)) print(source, event);
}

const filter = filterOf(values['subsystem-match'], values['tag-match']);
const MEANINGS: Readonly<Record<string, string>> = {
  MOUNT: `the events of ${values.mount}`,
  UDEV: 'the event which udev sends out after rule processing',
  KERNEL: 'the kernel uevent',
};
const sources: (readonly [string, SubscribeOptions])[] = [];
if (values.mount !== undefined) sources.push(['MOUNT', { filter, mount: values.mount }]);
const isPlain = sources.length === 0 && !values.kernel && !values.udev;
if (values.udev || isPlain) sources.push(['UDEV', { filter, netlink: 'udev' }]);
if (values.kernel || isPlain) sources.push(['KERNEL', { filter, netlink: 'kernel' }]);

console.log('monitor will print the received events for:');
for (const [source] of sources) console.log(`${source} - ${MEANINGS[source]}`);
console.log();
try {
  await Promise.all(sources.map(([name, options]) => follow(name, options)));
} catch (error) {
  if (!(error instanceof EventfsError)) throw error;
  console.error(`monitor: ${error.message}`);
  process.exit(1);
}
