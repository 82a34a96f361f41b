import type { Clock } from './clock.ts';
import type { Decision, Refused } from './decision.ts';
import type { Cost } from './demand.ts';
import type { Listeners } from './events.ts';
import type { Limit } from './limit.ts';
import type { Asked } from './local.ts';
import type { Reservation } from './reservation.ts';
import type { Change, Store } from './store.ts';

/** What a limiter's limits are counted with. */
export interface Backend {
  /** Takes one from token buckets that go by one key; absent where the limits are not that. */
  readonly one?: (key: string) => Decision;
  /** Keys remembered in this process. */
  readonly size: number;
  decide(keys: readonly string[], costs: readonly number[], asked: Asked): Decision | Promise<Decision>;
  reserve(keys: readonly string[], costs: readonly number[], levels: boolean): Reservation | Refused | Promise<Reservation | Refused>;
  /** Charges what was refused, as far as the limits let anything be used beyond them. */
  charge(keys: readonly string[], costs: readonly number[]): Promise<void> | undefined;
  refund(keys: readonly string[], costs: readonly number[]): Promise<void>;
  reset(keys: readonly string[]): Promise<void>;
  close(): void;
}

/** What a backend is made of. */
export interface BackendParts {
  readonly limits: readonly Limit<never>[];
  /** Which key each limit goes by. */
  readonly groupOf: readonly number[];
  readonly name: string;
  readonly clock: Clock;
  readonly decisionTimeoutMs: number;
  readonly instances: number;
  readonly maxKeys: number;
  readonly listeners: Listeners;
  readonly change: Change;
  /** Something came free for these keys. */
  readonly freed: (keys: readonly string[]) => void;
  /** What each limit is charged for so much. */
  readonly costs: (actual: Cost) => readonly number[];
}

/** Makes a backend that counts in a store; takes over from `old`, which did so until the limits were changed. */
export type SharedBackendMaker = (parts: BackendParts & { readonly store: Store }, old?: Backend) => Backend;

/** Where a store carries its {@link SharedBackendMaker}, so that a limiter without a store loads nothing of it. */
export const backendOf: unique symbol = Symbol.for('tidegate.rate-limit.backend');
