import type { CircuitBreaker } from './circuit-breaker.ts';
import type { CircuitState } from './circuit-state.ts';
import type { CircuitBreakerEvents } from './events.ts';
import type { CircuitBreakerPool } from './pool.ts';
import type { CircuitBreakerRegistry } from './registry.ts';

/** What can be measured: a breaker, a registry with all it will hold, a pool, or several of these. */
export type TelemetrySource =
  | CircuitBreaker
  // biome-ignore lint/suspicious/noExplicitAny: keys and members of any kind
  | CircuitBreakerRegistry<any>
  // biome-ignore lint/suspicious/noExplicitAny: keys and members of any kind
  | CircuitBreakerPool<any>
  | Iterable<TelemetrySource>;

/** What a series is about: a breaker, or a member of a pool. */
export type Labels = { readonly name: string } | { readonly name: string; readonly member: string };

/** What became of a call; resilience4j's words. */
export type CallKind = 'successful' | 'failed' | 'ignored' | 'throttled' | 'not_permitted' | 'late';

/** Where counts go. */
export interface Recorder {
  call(labels: Labels, kind: CallKind): void;
  duration(labels: Labels, kind: CallKind, seconds: number): void;
  transition(labels: Labels, from: CircuitState, to: CircuitState, reason: string): void;
  readmission(labels: Labels): void;
}

/** The numbers of one circuit at one moment. */
export interface Reading {
  readonly labels: Labels;
  readonly state: CircuitState;
  readonly calls: number;
  readonly failures: number;
  readonly slowCalls: number;
}

/** A source under watch. */
export interface Watch {
  /** All circuits as they are now; of a registry those that it holds now. */
  readings(): Reading[];
  /** Takes every listener off again. */
  stop(): void;
}

/** What is measured: names, units and descriptions, the same in OpenTelemetry and Prometheus but for the case. */
export const instruments = {
  calls: { name: 'circuitbreaker.calls', unit: '{call}', description: 'Calls by what became of them.' },
  duration: { name: 'circuitbreaker.call.duration', unit: 's', description: 'How long calls took, where that is measured.' },
  transitions: { name: 'circuitbreaker.transitions', unit: '{transition}', description: 'Changes of the state of a circuit.' },
  readmissions: { name: 'circuitbreaker.readmissions', unit: '{readmission}', description: 'Circuits that closed after they were open.' },
  state: { name: 'circuitbreaker.state', unit: '1', description: '1 for the state a circuit is in, 0 for the others.' },
  failureRate: {
    name: 'circuitbreaker.failure.rate',
    unit: '1',
    description: 'Share of failures in the window; 0 while it is empty.',
  },
  slowCallRate: {
    name: 'circuitbreaker.slow.call.rate',
    unit: '1',
    description: 'Share of slow calls in the window; 0 while it is empty.',
  },
  bufferedCalls: { name: 'circuitbreaker.buffered.calls', unit: '{call}', description: 'Calls that the window holds.' },
} as const;

/** Bounds of the histogram of durations, in seconds: from a cache to a long answer of a model. */
export const durationBounds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120];

/** What share of the calls of a window a part of them is. */
export function share(part: number, calls: number): number {
  return calls === 0 ? 0 : part / calls;
}

/** Listens to a source and hands what it counts to `recorder`. Told apart by what they can do: another copy of the package fits. */
export function watch(source: TelemetrySource, recorder: Recorder): Watch {
  if ('snapshot' in source && 'peek' in source) {
    const stop = listen(source, recorder);
    return { readings: () => Array.from(source, ([, breaker]) => reading(breaker)), stop };
  }
  if ('snapshot' in source) return { readings: () => [reading(source)], stop: listen(source, recorder) };
  if ('members' in source) return watchPool(source, recorder);
  const parts = Array.from(source, (part) => watch(part, recorder));
  return {
    readings: () => parts.flatMap((part) => part.readings()),
    stop: () => {
      for (const part of parts) part.stop();
    },
  };
}

type Listened = { on<E extends keyof CircuitBreakerEvents>(event: E, listener: (event: CircuitBreakerEvents[E]) => void): () => void };

function listen(source: Listened, recorder: Recorder): () => void {
  return all([
    ...listenToCalls(source, ({ name }) => ({ name }), recorder),
    source.on('state-change', ({ name, from, to, reason }) => recorder.transition({ name }, from, to, reason)),
    source.on('readmitted', ({ name }) => recorder.readmission({ name })),
  ]);
}

function watchPool(pool: CircuitBreakerPool, recorder: Recorder): Watch {
  const labels = ({ name, member }: Call) => (member === undefined ? { name } : { name, member });
  const stop = all([
    ...listenToCalls(pool, labels, recorder),
    pool.on('ejected', (event) => {
      recorder.transition(labels(event), event.reason.startsWith('probe') ? 'half-open' : 'closed', 'open', event.reason);
    }),
    pool.on('returned', (event) => recorder.readmission(labels(event))),
  ]);
  const readings = () =>
    pool.members().map(({ member, state, calls, failures }) => ({
      labels: { name: pool.name, member: member.name },
      state,
      calls,
      failures,
      slowCalls: 0,
    }));
  return { readings, stop };
}

/** What the events of breakers and of pools have in common. */
interface Call {
  readonly name: string;
  readonly member?: string;
  readonly durationMs?: number;
  readonly throttledMs?: number;
}

type CallEvent = 'success' | 'failure' | 'ignored' | 'late' | 'rejected';

function listenToCalls(
  source: { on(event: CallEvent, listener: (event: Call) => void): () => void },
  labelsOf: (event: Call) => Labels,
  recorder: Recorder,
): Array<() => void> {
  const count = (kind: CallKind) => (event: Call) => recorder.call(labelsOf(event), kind);
  const ended = (kind: CallKind, event: Call) => {
    const { durationMs = 0 } = event;
    recorder.call(labelsOf(event), kind);
    if (durationMs > 0) recorder.duration(labelsOf(event), kind, durationMs / 1_000); // 0 where slow calls are not measured
  };
  return [
    source.on('success', (event) => ended('successful', event)),
    source.on('failure', (event) => ended(event.throttledMs === undefined ? 'failed' : 'throttled', event)),
    source.on('ignored', count('ignored')),
    source.on('late', count('late')),
    source.on('rejected', count('not_permitted')),
  ];
}

function reading(breaker: CircuitBreaker): Reading {
  const { state, calls, failures, slowCalls } = breaker.metrics();
  return { labels: { name: breaker.name }, state, calls, failures, slowCalls };
}

function all(offs: ReadonlyArray<() => void>): () => void {
  return () => {
    for (const off of offs) off();
  };
}
