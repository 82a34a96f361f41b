import { covers } from '../scope.ts';
import { billionths } from './billionths.ts';
import { rankOfP95, type ValueGroup, type ValueQuery, type ValueRow } from './value-store.ts';

/** Values in this process's memory, in the order of time. */
export class MemoryValues {
  readonly #keys = new Set<string>();
  readonly #rows: ValueRow[] = [];

  save(rows: readonly ValueRow[]): number {
    const before = this.#keys.size;
    for (const row of rows) {
      const size = this.#keys.size;
      if (this.#keys.add(keyText(row)).size > size) this.#rows.splice(this.#indexOf(row.at + 1), 0, row);
    }
    return this.#keys.size - before;
  }

  aggregate({ names, dimensions, edges, p95 }: ValueQuery): ValueGroup[] {
    return edges.slice(1).flatMap((end, part) => {
      const rows = this.#rows.slice(this.#indexOf(edges[part] as number), this.#indexOf(end));
      return groupsOf(
        rows.filter((row) => names.includes(row.name) && covers(dimensions, row.dimensions)),
        part,
        p95,
      );
    });
  }

  prune(before: number, limit: number): number {
    const old = this.#rows.splice(0, Math.min(limit, this.#indexOf(before)));
    for (const row of old) this.#keys.delete(keyText(row));
    return old.length;
  }

  /** Index of the first row that is not before the instant. */
  #indexOf(at: number): number {
    let [low, high] = [0, this.#rows.length];
    // Values mostly come in the order of time.
    if ((this.#rows.at(-1)?.at ?? -1) < at) return high;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#rows[middle] as ValueRow).at < at) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

function groupsOf(rows: readonly ValueRow[], part: number, p95: boolean): ValueGroup[] {
  const byName = new Map<string, number[]>();
  for (const { name, value } of rows) {
    const values = byName.get(name);
    if (values) values.push(value);
    else byName.set(name, [value]);
  }
  return [...byName].map(([name, values]) => ({
    name,
    part,
    count: values.length,
    sum: values.reduce((sum, value) => sum + billionths(value), 0n),
    p95: p95 ? values.sort((a, b) => a - b)[rankOfP95(values.length) - 1] : undefined,
  }));
}

function keyText({ dimensions, dedupeKey }: ValueRow): string {
  return JSON.stringify([dimensions.tenant, dedupeKey]);
}
