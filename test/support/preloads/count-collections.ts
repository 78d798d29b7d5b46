/**
 * Loaded into a daemon (node --import): writes to stderr how often V8 has collected the young
 * generation, when the daemon ends.
 */
import { writeSync } from 'node:fs';
import { PerformanceObserver, constants } from 'node:perf_hooks';

let collections = 0;

const observer = new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) {
    // Node's types lack it (PerformanceNodeEntry).
    const { detail } = entry as unknown as { readonly detail: { readonly kind: number } };
    if (detail.kind === constants.NODE_PERFORMANCE_GC_MINOR) collections++;
  }
});
observer.observe({ entryTypes: ['gc'] });

process.on('exit', () => writeSync(2, `collections: ${collections}\n`));
