import type { CircuitState } from './circuit-state.ts';
import type { WindowSnapshot } from './windows/sliding-window.ts';

/** What a circuit can go on with later: durations instead of instants. */
export interface CircuitRecord {
  /** The state when it was taken. */
  readonly state: CircuitState;
  /** How long an open circuit still refuses, in ms. */
  readonly openForMs: number;
  /** How often it has opened since it was last closed. */
  readonly openings: number;
  /** How long ago the first of these openings was, in ms. */
  readonly openSinceMs: number;
  /** The calls that it looks at. */
  readonly window: WindowSnapshot;
}
