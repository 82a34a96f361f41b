const raw = process.env['CHAOS_SEED'] ?? '20251125';

if (!/^\d{1,9}$/.test(raw)) throw new RangeError(`CHAOS_SEED must be a whole number of up to nine digits, not '${raw}'`);

/** What every chaos test chooses its faults by: `CHAOS_SEED`, else always the same. Its place is the test's title, so that every run shows it. */
export const chaosSeed = Number(raw);
