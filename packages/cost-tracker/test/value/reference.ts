import { covers } from '../../src/scope.ts';
import type { ValueGroup, ValueQuery, ValueRow } from '../../src/value.ts';

/** What a store answers, by looking at every row and doing arithmetic on decimals. */
export function referenceGroups(rows: readonly ValueRow[], { names, dimensions, edges, p95 }: ValueQuery): ValueGroup[] {
  const groups: ValueGroup[] = [];
  for (let part = 0; part + 1 < edges.length; part++) {
    for (const name of names) {
      const found = rows.filter(
        (row) =>
          row.name === name &&
          covers(dimensions, row.dimensions) &&
          row.at >= (edges[part] as number) &&
          row.at < (edges[part + 1] as number),
      );
      if (found.length === 0) continue;
      const values = found.map(({ value }) => value);
      const sum = values.reduce((total, value) => total + decimalBillionths(value), 0n);
      groups.push({ name, part, count: values.length, sum, p95: p95 ? percentile95(values) : undefined });
    }
  }
  return groups;
}

/** Values of at most nine decimals, read from how they are written. */
export function decimalBillionths(value: number): bigint {
  const [, sign, digits = '0', fraction = ''] = /^(-?)(\d+)(?:\.(\d+))?$/.exec(value.toFixed(9)) ?? [];
  const size = BigInt(digits) * 1_000_000_000n + BigInt(fraction.padEnd(9, '0'));
  return sign ? -size : size;
}

/** The smallest value that at least 95 % of the values do not exceed, by trying each. */
export function percentile95(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted.find((value) => values.filter((other) => other <= value).length * 100 >= values.length * 95) as number;
}

/** In the order of parts and names. */
export function inOrder(groups: readonly ValueGroup[]): ValueGroup[] {
  return [...groups].sort((a, b) => a.part - b.part || (a.name < b.name ? -1 : 1));
}
