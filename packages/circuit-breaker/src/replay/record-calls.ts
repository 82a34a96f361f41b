import type { CircuitBreaker } from '../circuit-breaker.ts';
import { type Clock, systemClock } from '../clock.ts';
import { functionOf, onlyKnown } from '../options.ts';
import type { Outcome } from '../outcome.ts';
import type { RecordedCall } from './replay-trace.ts';

/** Where recorded calls go. */
export interface RecordOptions {
  /** Takes one line of a trace, its line feed included. What it throws is told as the breaker's `listener-error`. */
  readonly write: (line: string) => void;
  /** The breaker's clock. */
  readonly clock?: Clock;
}

/**
 * Writes a line for each call of a breaker when it ends, and for each one it refuses, as {@link replayTrace} reads them. The
 * returned function ends the recording.
 *
 * Durations are measured from the first call that begins after this; those of permits are what their user hands in. Times
 * follow the monotonic clock from the wall clock's time at this moment on. Changes no outcome.
 */
export function recordCalls(source: CircuitBreaker, options: RecordOptions): () => void {
  onlyKnown('recordCalls', options, ['write', 'clock']);
  const { clock = systemClock } = options;
  const write = functionOf('write', options.write);
  const { name } = source;
  const epochMs = clock.wall() - clock.now();
  const told = (outcome: Outcome | 'rejected', durationMs: number) => {
    const took = durationMs > 0 && Number.isFinite(durationMs) ? durationMs : 0;
    const call = { name, startMs: micro(epochMs + clock.now() - took), durationMs: micro(took) };
    const line: RecordedCall =
      typeof outcome === 'object' ? { ...call, outcome: 'throttled', throttledMs: outcome.throttledMs } : { ...call, outcome };
    write(`${JSON.stringify(line)}\n`);
  };
  const removals = [
    source.on('success', ({ durationMs }) => told('success', durationMs)),
    source.on('failure', ({ durationMs, throttledMs }) => told(throttledMs === undefined ? 'failure' : { throttledMs }, durationMs)),
    source.on('ignored', ({ durationMs }) => told('ignore', durationMs)),
    source.on('late', ({ outcome, durationMs }) => told(outcome, durationMs)),
    source.on('rejected', () => told('rejected', 0)),
  ];
  return () => {
    for (const remove of removals) remove();
  };
}

/** To the microsecond: what is finer is noise, and lines are long enough. */
function micro(ms: number): number {
  return Math.round(ms * 1_000) / 1_000;
}
