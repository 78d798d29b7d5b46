/** Measures a cell: all designs in turns, with one number of subscribers and one size of event. */
import type { Design } from './designs/designs.js';
import type { Peer } from './designs/peer.js';
import { measureDeaths } from './measures/deaths.js';
import { measureLaggard } from './measures/laggard.js';
import { measureLatency } from './measures/latency.js';
import { measureStorage } from './measures/storage.js';
import { measureThroughput } from './measures/throughput.js';
import type { Cell, Plan } from './plan.js';
import type { Measured } from './results.js';

const WARM_UP_MS = 50;

export type Say = (progress: string) => void;

/** Returns the number of calls of `say` for a cell. */
export function stepCount(
  designs: readonly Design[],
  { laggard, storage, deaths }: Cell,
  { rounds }: Plan,
): number {
  return designs.length * (1 + rounds + Number(storage) + Number(laggard) + Number(deaths));
}

interface Entrant {
  readonly design: Design;
  readonly peer: Peer;
  readonly measured: Measured;
}

export async function measureCell(
  designs: readonly Design[],
  cell: Cell,
  plan: Plan,
  scratch: string,
  say: Say,
): Promise<Measured[]> {
  const { subscribers, bytes } = cell;
  const entrants: Entrant[] = designs.map((design) => ({
    design,
    peer: design.make({ subscribers, bytes, publishers: plan.publishers }, scratch),
    measured: { design: design.id, subscribers, bytes, throughput: [], latency: [] },
  }));
  const started: Entrant[] = [];
  try {
    await allOf(
      entrants.map(async (entrant) => {
        say(`${entrant.design.title}: start`);
        started.push(entrant);
        await entrant.peer.start();
        await entrant.peer.subscribe();
      }),
    );
    for (const { peer } of entrants) await measureThroughput(peer, WARM_UP_MS);
    await measureRounds(entrants, plan, say);
    for (const entrant of entrants) await measureOnce(entrant, cell, plan, say);
  } finally {
    await allOf(started.map(({ peer }) => peer.stop()));
  }
  return entrants.map(({ measured }) => measured);
}

/** Waits for all, then fails if one has failed: a design that still starts cannot be stopped. */
async function allOf(promises: readonly Promise<void>[]): Promise<void> {
  for (const result of await Promise.allSettled(promises))
    if (result.status === 'rejected') throw result.reason;
}

/** Begins each round with another design, so that none always comes first. */
async function measureRounds(entrants: readonly Entrant[], plan: Plan, say: Say): Promise<void> {
  for (let round = 0; round < plan.rounds; round++) {
    for (let turn = 0; turn < entrants.length; turn++) {
      const { design, peer, measured } = entrants[(turn + round) % entrants.length];
      say(`${design.title}: round ${round + 1} of ${plan.rounds}`);
      measured.latency.push(await measureLatency(peer, plan.latencyMs));
      measured.throughput.push(await measureThroughput(peer, plan.floodMs));
    }
  }
}

async function measureOnce(
  { design, peer, measured }: Entrant,
  cell: Cell,
  plan: Plan,
  say: Say,
): Promise<void> {
  if (cell.storage) {
    say(`${design.title}: stored bytes`);
    measured.storage = await measureStorage(peer);
  }
  if (cell.laggard) {
    say(`${design.title}: a subscriber that never reads`);
    measured.laggard = await measureLaggard(peer, plan.floodMs);
  }
  if (cell.deaths) {
    say(`${design.title}: deaths`);
    measured.deaths = await measureDeaths(peer, design.id === 'cleaned');
  }
}
