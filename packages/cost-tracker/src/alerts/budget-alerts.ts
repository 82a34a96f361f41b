import { StoreError } from '../errors.ts';
import { type CostTrackerEvents, Listeners } from '../events.ts';
import { checkKeys, checkMethods, checkNumber, checkText } from '../options.ts';
import type { UsageStore } from '../store.ts';
import { type AlertClock, systemClock, timer } from './clock.ts';
import { Delivery } from './delivery.ts';
import type { AlertEvents } from './events.ts';
import type { AlertSink } from './sink.ts';

/** The part of a `CostTracker` that alerts need. */
export interface AlertSource {
  /** Where crossings are kept until every sink was told. */
  readonly store: Pick<UsageStore, 'claimAlerts' | 'endAlert'>;
  /** Adds a listener; the returned function removes it. */
  on(event: 'budget-threshold', listener: (event: CostTrackerEvents['budget-threshold']) => void): () => void;
}

/** What budgets' alerts are made of. */
export interface BudgetAlertsOptions {
  /** Whose budgets. Close the alerts before it. */
  tracker: AlertSource;
  /** Who is told; each has a name of its own. */
  sinks: readonly AlertSink[];
  /**
   * How often to look for alerts that other processes left behind, in milliseconds: 100 to 3 600 000. What this process's own calls
   * cross is told at once.
   * @defaultValue `30_000`
   */
  pollMs?: number;
  /** How long one attempt may take, in milliseconds: 1 to 600 000. What a process that died was sending is sent again after twice as long. @defaultValue `10_000` */
  timeoutMs?: number;
  /** About how long to wait after the first attempt, in milliseconds: 1 to 86 400 000; twice as long each time. @defaultValue `1_000` */
  initialDelayMs?: number;
  /** The longest of those waits, in milliseconds: `initialDelayMs` to 86 400 000. @defaultValue `600_000` */
  maxDelayMs?: number;
  /** Where time comes from. @defaultValue the system's clock, read through the globals */
  clock?: AlertClock;
  /** Numbers from 0 up to 1, which spread the waits. @defaultValue `Math.random` */
  random?: () => number;
}

/** How long {@link BudgetAlerts.deliver} is waited for. */
export interface DeliverOptions {
  /** Ends the wait; what is under way goes on. */
  signal?: AbortSignal;
}

const KEYS = ['tracker', 'sinks', 'pollMs', 'timeoutMs', 'initialDelayMs', 'maxDelayMs', 'clock', 'random'];
const DAY_MS = 86_400_000;
const CLOSING_MS = 1_000;

/**
 * Tells sinks that budgets have crossed their thresholds, from the moment it is made until it is closed.
 *
 * Each sink is told of every crossing once, whichever processes and restarts share the store, because a crossing is written in the
 * transaction that settles the call and stays until the sink has it. It is told twice only where an answer was lost: a process that died,
 * or an attempt that ran out of time. The alert has the same id then. Of one period of a budget, warning comes before critical and
 * critical before blocked. A sink that fails holds up no other.
 *
 * An alert is given up, with an event, where its sink says that no repetition will change it, and where the next attempt would come
 * more than a day after its period ended.
 *
 * @throws RangeError for an option that is unknown or out of range
 */
export class BudgetAlerts {
  readonly #clock: AlertClock;
  readonly #pollMs: number;
  readonly #deliveries: readonly Delivery[];
  readonly #listeners = new Listeners<AlertEvents>();
  readonly #unlisten: () => void;
  readonly #closing = new AbortController();
  #poll: unknown;
  #closed: Promise<void> | undefined;

  constructor(options: BudgetAlertsOptions) {
    checkKeys(options, KEYS, 'BudgetAlerts options');
    const { pollMs = 30_000, timeoutMs = 10_000, initialDelayMs = 1_000, maxDelayMs = Math.max(600_000, initialDelayMs) } = options;
    const tracker = checkMethods(options.tracker, ['on'], 'tracker');
    const store = checkMethods(tracker.store, ['claimAlerts', 'endAlert'], 'tracker.store');
    this.#clock = checkMethods(options.clock ?? systemClock, ['now', 'wall', 'setTimeout', 'clearTimeout'], 'clock');
    this.#pollMs = checkNumber(pollMs, 100, 3_600_000, 'pollMs');
    const firstMs = checkNumber(initialDelayMs, 1, DAY_MS, 'initialDelayMs');
    const random = options.random ?? (() => Math.random());
    if (typeof random !== 'function') throw new RangeError(`random must be a function, not ${String(random)}`);
    const terms = {
      ...{ store, random, clock: this.#clock, pollMs: this.#pollMs },
      timeoutMs: checkNumber(timeoutMs, 1, 600_000, 'timeoutMs'),
      waits: { initialDelayMs: firstMs, maxDelayMs: checkNumber(maxDelayMs, firstMs, DAY_MS, 'maxDelayMs') },
      emit: <E extends keyof AlertEvents>(event: E, payload: AlertEvents[E]) => this.#listeners.emit(event, payload),
    };
    this.#deliveries = checkSinks(options.sinks).map((sink) => new Delivery(sink, terms));
    this.#unlisten = tracker.on('budget-threshold', () => this.#wake());
    this.#keepLooking();
  }

  /** Listens; returns the function that stops it. */
  on<E extends keyof AlertEvents>(event: E, listener: (payload: AlertEvents[E]) => void): () => void {
    return this.#listeners.add(event, listener);
  }

  /**
   * Sends what is due now and resolves when all of it was tried: for a process that is about to end. What failed is an event and
   * is sent again later, in this process or another.
   *
   * @throws the reason of `signal` when it aborts; a `StoreError` with `ERR_CLOSED` when the alerts are closed. What is under way goes on.
   */
  async deliver({ signal }: DeliverOptions = {}): Promise<void> {
    const ends = [this.#closing.signal, ...(signal === undefined ? [] : [signal])];
    for (const end of ends) end.throwIfAborted();
    this.#wake();
    const done = new AbortController();
    const ended = new Promise<never>((_, reject) => {
      for (const end of ends) end.addEventListener('abort', () => reject(end.reason), { signal: done.signal });
    });
    try {
      await Promise.race([ended, Promise.all(this.#deliveries.map((delivery) => delivery.idle()))]);
    } finally {
      done.abort();
    }
  }

  /**
   * Looks for nothing more. What is under way has a second to end and is called off then; it is sent by the next process that
   * shares the store. Call it before the tracker is closed.
   */
  close(): Promise<void> {
    this.#closed ??= this.#end();
    return this.#closed;
  }

  /** The same as {@link BudgetAlerts.close}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #end(): Promise<void> {
    const reason = new StoreError('ERR_CLOSED', 'the alerts are closed');
    this.#unlisten();
    this.#clock.clearTimeout(this.#poll);
    for (const delivery of this.#deliveries) delivery.stop();
    this.#closing.abort(reason);
    const limit = timer(this.#clock, () => this.#abort(reason), CLOSING_MS);
    await Promise.all(this.#deliveries.map((delivery) => delivery.idle()));
    this.#clock.clearTimeout(limit);
  }

  #abort(reason: unknown): void {
    for (const delivery of this.#deliveries) delivery.abort(reason);
  }

  #wake(): void {
    for (const delivery of this.#deliveries) delivery.wake();
  }

  #keepLooking(): void {
    this.#wake();
    this.#poll = timer(this.#clock, () => this.#keepLooking(), this.#pollMs);
  }
}

function checkSinks(sinks: readonly AlertSink[]): readonly AlertSink[] {
  if (!Array.isArray(sinks)) throw new RangeError(`sinks must be an array, not ${String(sinks)}`);
  const names = new Set<string>();
  sinks.forEach((sink: AlertSink, index) => {
    checkMethods(sink, ['send'], `sinks[${index}]`);
    const name = checkText(sink.name, `sinks[${index}].name`);
    if (names.has(name)) throw new RangeError(`sinks[${index}].name '${name}' is already taken`);
    names.add(name);
  });
  return [...sinks];
}
