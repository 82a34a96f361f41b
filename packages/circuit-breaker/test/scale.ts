/** How many times `TIDEGATE_RUNS` (1 unless set) multiplies the runs of a property. */
export const scale = Number(process.env['TIDEGATE_RUNS'] ?? 1);

/** The runs of a property that has `runs` of them in an ordinary run of the tests. */
export function scaledRuns(runs: number): number {
  if (!(scale > 0)) throw new RangeError(`TIDEGATE_RUNS must be a number above 0, not ${process.env['TIDEGATE_RUNS']}`);
  return Math.ceil(runs * scale);
}

/** How long such a property may take. */
export const patience = { timeout: Math.max(30_000, 10_000 * scale) };
