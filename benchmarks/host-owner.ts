/**
 * Owns a directory for each host, as `eventfs bridge` does, and obeys the lines of its standard
 * input:
 *
 *   make FROM TO       makes the directories of these hosts, with their filters
 *   remove FROM TO     ends them by rmdir(2)
 *
 * It answers each with the time that it took, in microseconds.
 *
 *   node dist/benchmarks/host-owner.js MOUNT
 */
import { mkdirSync, rmdirSync, writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline';

const mount = process.argv[2];

for await (const line of createInterface({ input: process.stdin })) {
  const [what, from, to] = line.split(' ');
  const start = process.hrtime.bigint();
  for (let n = Number(from); n < Number(to); n++) {
    const path = `${mount}/host${n}`;
    if (what === 'remove') rmdirSync(path);
    else {
      mkdirSync(path);
      writeFileSync(`${path}/.filter`, `HOST==host${n}\n`);
    }
  }
  console.log(`done ${(process.hrtime.bigint() - start) / 1000n}`);
}
