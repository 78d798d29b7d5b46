/** Measures a fleet: hosts in network namespaces, Debian's mosquitto, and `eventfs bridge`. */
import type { Benchmark, Figure } from '../figure.js';
import { crowd, idle } from '../fleet/crowd.js';
import { cables, latency } from '../fleet/latency.js';
import { partition } from '../fleet/partition.js';
import { throughput } from '../fleet/throughput.js';

const PARTS = { throughput, latency, cables, crowd, idle, partition };

export const fleet: Benchmark = {
  name: 'fleet',
  run: async (say) => {
    const figures: Figure[] = [];
    // EVENTFS_FLEET names some of the parts.
    const wanted = process.env.EVENTFS_FLEET?.trim().split(/\s+/) ?? Object.keys(PARTS);
    const unknown = wanted.filter((name) => !(name in PARTS));
    if (unknown.length > 0)
      throw new Error(
        `EVENTFS_FLEET: no part ${unknown.join(', ')} (parts: ${Object.keys(PARTS).join(', ')})`,
      );
    for (const [name, part] of Object.entries(PARTS))
      if (wanted.includes(name)) figures.push(...(await part(say)));
    return figures;
  },
};
