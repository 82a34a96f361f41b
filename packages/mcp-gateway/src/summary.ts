import type { CallEvent, Listeners } from './events.ts';

/** Upper bounds of the durations that are told apart, in seconds. */
export const durationBounds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120];

/** What is known of the calls of one name. */
export interface CallTotals {
  readonly tenant: string;
  readonly name: string;
  readonly calls: number;
  readonly errors: number;
  readonly refused: number;
  /** The bound below which 95 % of the calls ended, in ms; twice the last bound for longer ones. */
  readonly p95Ms: number;
}

/** Totals since the start. */
export interface Summary {
  readonly totals: {
    readonly calls: number;
    readonly errors: number;
    readonly refused: number;
    readonly refusals: Readonly<Record<string, number>>;
  };
  readonly calls: readonly CallTotals[];
}

interface Row {
  readonly tenant: string;
  readonly name: string;
  readonly durations: Uint32Array;
  readonly refusals: Map<string, number>;
  calls: number;
  errors: number;
  refused: number;
}

/** Addresses of resources are without number; a server's resources are counted under one name, and so are its completions. */
export function countedName({ kind, counted, server }: Pick<CallEvent, 'kind' | 'counted' | 'server'>): string {
  return kind === 'resource' ? `${server} (resources)` : counted;
}

/** Listens to a gateway and adds up its calls. */
export class CallSummary {
  readonly #rows = new Map<string, Row>();

  constructor(events: Listeners) {
    events.on('call', (call) => this.#add(call));
  }

  /** The totals of one tenant, or of all. */
  of(tenant: string | undefined): Summary {
    const rows = [...this.#rows.values()].filter((row) => tenant === undefined || row.tenant === tenant);
    const totals = { calls: 0, errors: 0, refused: 0, refusals: {} as Record<string, number> };
    for (const row of rows) {
      totals.calls += row.calls;
      totals.errors += row.errors;
      totals.refused += row.refused;
      for (const [code, count] of row.refusals) totals.refusals[code] = (totals.refusals[code] ?? 0) + count;
    }
    const calls = rows.map(({ durations, refusals, ...row }) => ({ ...row, p95Ms: quantileMs(durations, 0.95) }));
    return { totals, calls };
  }

  #add(call: CallEvent): void {
    const { tenant, outcome, code } = call;
    const name = countedName(call);
    const key = JSON.stringify([tenant, name]);
    let row = this.#rows.get(key);
    if (row === undefined) {
      row = { tenant, name, durations: new Uint32Array(durationBounds.length + 1), refusals: new Map(), calls: 0, errors: 0, refused: 0 };
      this.#rows.set(key, row);
    }
    row.calls += 1;
    if (outcome === 'error') row.errors += 1;
    if (outcome === 'refused') row.refused += 1;
    if (code !== undefined) row.refusals.set(code, (row.refusals.get(code) ?? 0) + 1);
    const bound = durationBounds.findIndex((upTo) => call.durationMs <= upTo * 1_000);
    const at = bound < 0 ? durationBounds.length : bound;
    row.durations[at] = (row.durations[at] ?? 0) + 1;
  }
}

function quantileMs(durations: Uint32Array, share: number): number {
  const total = durations.reduce((sum, count) => sum + count, 0);
  let seen = 0;
  const at = durations.findIndex((count) => {
    seen += count;
    return seen >= share * total;
  });
  return (durationBounds[at] ?? (durationBounds.at(-1) ?? 0) * 2) * 1_000;
}
