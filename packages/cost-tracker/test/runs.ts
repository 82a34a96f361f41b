const factor = Number(process.env['TIDEGATE_RUNS'] ?? 1);

/** How often a property is tried: `usual` times, or TIDEGATE_RUNS times as often in a long run. */
export const runs = (usual: number): { numRuns: number } => ({ numRuns: Math.max(1, Math.round(usual * factor)) });
