import type { Decision } from './decision.ts';
import type { RateLimiterEvents } from './events.ts';

/** What is measured: a limiter, or several. Another copy of the package fits. */
export type TelemetrySource = MeasuredLimiter | Iterable<TelemetrySource>;

/** The part of a `RateLimiter` that is used. */
export interface MeasuredLimiter {
  /** Name of the limiter. */
  readonly name: string;
  /** Adds a listener; the returned function removes it. */
  on<E extends keyof RateLimiterEvents>(event: E, listener: (event: RateLimiterEvents[E]) => void): () => void;
}

/** What a series of decisions is about. */
export type DecisionLabels = {
  /** Name of the limiter. */
  readonly name: string;
  /** The limit that refused, or had the least left. */
  readonly limit: string;
  readonly decision: 'allowed' | 'refused';
  /** What answered instead of the store; `no` where it did itself, or there is none. */
  readonly degraded: 'no' | 'open' | 'closed' | 'local';
};

/** Where counts go. */
export interface Recorder {
  decision(labels: DecisionLabels): void;
  storeFailure(name: string): void;
  leaseLost(name: string): void;
  /** Told where it changes, so first when the store of a limiter fails. */
  storeAvailable(name: string, available: 0 | 1): void;
}

/** What is measured: names, units and descriptions, the same in OpenTelemetry and Prometheus but for the case. */
export const instruments = {
  decisions: {
    name: 'ratelimit.decisions',
    unit: '{decision}',
    description: 'Decisions, by the limit that had the least left or refused.',
  },
  storeFailures: { name: 'ratelimit.store.failures', unit: '{failure}', description: 'Commands that the store did not answer in time.' },
  leasesLost: {
    name: 'ratelimit.leases.lost',
    unit: '{lease}',
    description: 'Calls that lost their place, because it could not be renewed.',
  },
  storeAvailable: {
    name: 'ratelimit.store.available',
    unit: '1',
    description: '0 from a failure of the store until it answers again, then 1.',
  },
} as const;

/** Listens to a source and hands what it counts to `recorder`, until the returned function is called. */
export function watch(source: TelemetrySource, recorder: Recorder): () => void {
  const stops = Symbol.iterator in source ? Array.from(source, (part) => watch(part, recorder)) : listen(source, recorder);
  return () => {
    for (const stop of stops) stop();
  };
}

function listen(limiter: MeasuredLimiter, recorder: Recorder): Array<() => void> {
  const decided = ({ name, decision }: { name: string; decision: Decision }) => {
    const { allowed, limit, degraded = 'no' } = decision;
    recorder.decision({ name, limit, decision: allowed ? 'allowed' : 'refused', degraded });
  };
  return [
    limiter.on('allowed', decided),
    limiter.on('refused', decided),
    limiter.on('store-failed', ({ name }) => {
      recorder.storeFailure(name);
      recorder.storeAvailable(name, 0);
    }),
    limiter.on('store-recovered', ({ name }) => recorder.storeAvailable(name, 1)),
    limiter.on('lease-lost', ({ name }) => recorder.leaseLost(name)),
  ];
}
