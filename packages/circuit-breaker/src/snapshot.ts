import type { CircuitRecord } from './circuit-record.ts';
import { type CircuitState, circuitStates } from './circuit-state.ts';
import { numberWithin, oneOf, shown, textOf, wholeNumber } from './options.ts';
import type { Totals } from './tally.ts';
import type { TimeBucket, WindowCounts, WindowSnapshot } from './windows/sliding-window.ts';

/** Numbers of a breaker at one moment. */
export interface CircuitBreakerMetrics extends WindowCounts, Totals {
  /** The state at that moment. */
  readonly state: CircuitState;
  /** Calls that have not answered yet and are slow already; 0 unless `slowCallInFlight` is on. */
  readonly slowCallsInFlight: number;
}

/** A breaker as plain JSON. Durations are what is left of them, so that it means the same in another process. */
export interface CircuitBreakerSnapshot extends CircuitBreakerMetrics, CircuitRecord {
  /** Of this shape. */
  readonly version: 1;
  /** The name of the breaker. */
  readonly name: string;
  /** When it was taken, in ms since the Unix epoch. */
  readonly takenAt: number;
}

const many = Number.MAX_SAFE_INTEGER;

/** Checks what was read back; throws a RangeError that names the member, its value and what is allowed. */
export function checkedSnapshot(json: unknown): CircuitBreakerSnapshot {
  const from = members('snapshot', json);
  const count = (name: string) => wholeNumber(`snapshot.${name}`, from[name] as number, 0, many);
  const time = (name: string) => numberWithin(`snapshot.${name}`, from[name] as number, 0, many);
  return {
    version: oneOf('snapshot.version', from['version'] as 1, [1]),
    name: textOf('snapshot.name', from['name'] as string),
    takenAt: time('takenAt'),
    state: oneOf('snapshot.state', from['state'] as CircuitState, circuitStates),
    ...windowCounts('snapshot', from),
    slowCallsInFlight: count('slowCallsInFlight'),
    rejected: count('rejected'),
    late: count('late'),
    opened: count('opened'),
    readmitted: count('readmitted'),
    openForMs: time('openForMs'),
    openings: count('openings'),
    openSinceMs: time('openSinceMs'),
    window: checkedWindow(from['window']),
  };
}

/** The snapshot as it is `ms` later. */
export function elapsed(snapshot: CircuitBreakerSnapshot, ms: number): CircuitBreakerSnapshot {
  const { window } = snapshot;
  const older = (bucket: TimeBucket) => ({ ...bucket, ageMs: bucket.ageMs + ms });
  return {
    ...snapshot,
    openForMs: Math.max(0, snapshot.openForMs - ms),
    openSinceMs: snapshot.openSinceMs + ms,
    window: window.type === 'time' ? { type: 'time', buckets: window.buckets.map(older) } : window,
  };
}

function checkedWindow(json: unknown): WindowSnapshot {
  const from = members('snapshot.window', json);
  switch (from['type']) {
    case 'consecutive':
      return { type: 'consecutive', failures: wholeNumber('snapshot.window.failures', from['failures'] as number, 0, many) };
    case 'count':
      if (typeof from['calls'] === 'string' && /^[0-3]*$/.test(from['calls'])) return { type: 'count', calls: from['calls'] };
      throw new RangeError(`snapshot.window.calls must be a string of the digits 0 to 3, not ${shown(from['calls'])}`);
    case 'time':
      if (Array.isArray(from['buckets'])) return { type: 'time', buckets: from['buckets'].map(checkedBucket) };
      throw new RangeError(`snapshot.window.buckets must be an array, not ${shown(from['buckets'])}`);
    default:
      throw new RangeError(`snapshot.window.type must be 'consecutive', 'count' or 'time', not '${shown(from['type'])}'`);
  }
}

function checkedBucket(json: unknown, at: number): TimeBucket {
  const place = `snapshot.window.buckets[${at}]`;
  const from = members(place, json);
  return { ageMs: numberWithin(`${place}.ageMs`, from['ageMs'] as number, 0, many), ...windowCounts(place, from) };
}

function windowCounts(place: string, from: Readonly<Record<string, unknown>>): WindowCounts {
  const calls = wholeNumber(`${place}.calls`, from['calls'] as number, 0, many);
  return {
    calls,
    failures: wholeNumber(`${place}.failures`, from['failures'] as number, 0, calls),
    slowCalls: wholeNumber(`${place}.slowCalls`, from['slowCalls'] as number, 0, calls),
  };
}

function members(place: string, json: unknown): Readonly<Record<string, unknown>> {
  if (typeof json !== 'object' || json === null || Array.isArray(json))
    throw new RangeError(`${place} must be an object, not ${shown(json)}`);
  return json as Record<string, unknown>;
}
