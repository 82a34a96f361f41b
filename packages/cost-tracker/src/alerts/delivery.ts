import { isStoreError } from '../errors.ts';
import type { PendingAlert, UsageStore } from '../store.ts';
import { alertOf, type BudgetAlert } from './alert.ts';
import { Alarm, type AlertClock, timer } from './clock.ts';
import type { AlertEvents } from './events.ts';
import { type RetryWaits, retryDelayMs } from './retry-delay.ts';
import { type AlertSink, AlertSinkError, isAlertSinkError } from './sink.ts';

/** What the deliveries of all sinks have in common. */
export interface DeliveryTerms {
  readonly store: Pick<UsageStore, 'claimAlerts' | 'endAlert'>;
  readonly clock: AlertClock;
  readonly random: () => number;
  readonly waits: RetryWaits;
  readonly pollMs: number;
  readonly timeoutMs: number;
  emit<E extends keyof AlertEvents>(event: E, payload: AlertEvents[E]): void;
}

// Alerts of so many budgets are sent to one sink at once.
const MOST_LANES = 4;
const DAY_MS = 86_400_000;

/** Tells one sink what it has not been told. A lane takes one alert after the other until none is due. */
export class Delivery {
  readonly #sink: AlertSink;
  readonly #terms: DeliveryTerms;
  readonly #lanes = new Set<Promise<void>>();
  readonly #attempts = new Set<AbortController>();
  /** What the sink has and the store could not be told yet. */
  readonly #told = new Set<string>();
  readonly #alarm: Alarm;
  #again = false;
  #closed = false;

  constructor(sink: AlertSink, terms: DeliveryTerms) {
    this.#sink = sink;
    this.#terms = terms;
    this.#alarm = new Alarm(terms.clock, () => this.wake());
  }

  /** Looks for what is due. */
  wake(): void {
    this.#again = true;
    this.#openLane();
  }

  /** Resolves when nothing is due, or nobody may look. */
  async idle(): Promise<void> {
    while (this.#lanes.size > 0) await Promise.all(this.#lanes);
  }

  /** Takes nothing more on; what is under way goes on. */
  stop(): void {
    this.#closed = true;
    this.#alarm.stop();
  }

  /** Calls off what is under way. */
  abort(reason: unknown): void {
    for (const attempt of this.#attempts) attempt.abort(reason);
  }

  #openLane(): void {
    if (this.#closed || this.#lanes.size >= MOST_LANES) return;
    const lane = this.#run().finally(() => this.#lanes.delete(lane));
    this.#lanes.add(lane);
  }

  async #run(): Promise<void> {
    while (!this.#closed) {
      this.#again = false;
      const leaseUntil = Math.ceil(this.#terms.clock.wall() + 2 * this.#terms.timeoutMs);
      const pending = await this.#claim(leaseUntil);
      if (pending === undefined) {
        // Somebody may have asked after the store had answered.
        if (this.#again) continue;
        return;
      }
      this.#openLane(); // where one is due, another may be
      await this.#tell(pending, leaseUntil);
    }
  }

  async #claim(leaseUntil: number): Promise<PendingAlert | undefined> {
    const { store, clock } = this.#terms;
    try {
      const [pending] = await store.claimAlerts(this.#sink.name, Math.floor(clock.wall()), leaseUntil, 1);
      return pending;
    } catch (error) {
      this.#storeFailed(error);
      return undefined;
    }
  }

  async #tell(pending: PendingAlert, leaseUntil: number): Promise<void> {
    if (this.#told.has(pending.id)) {
      await this.#end(pending, undefined);
      return;
    }
    const [alert, sink, attempt] = [alertOf(pending), this.#sink.name, pending.attempts + 1];
    try {
      await this.#send(alert);
    } catch (error) {
      await this.#failed(pending, leaseUntil, error);
      return;
    }
    this.#told.add(pending.id);
    await this.#end(pending, undefined);
    this.#terms.emit('delivered', { alert, sink, attempt });
  }

  async #send(alert: BudgetAlert): Promise<void> {
    const { clock, timeoutMs } = this.#terms;
    const attempt = new AbortController();
    const { signal } = attempt;
    const late = () => attempt.abort(new AlertSinkError(`sink '${this.#sink.name}' did not answer within ${timeoutMs} ms`));
    const limit = timer(clock, late, timeoutMs);
    this.#attempts.add(attempt);
    try {
      await new Promise<void>((resolve, reject) => {
        // A sink may not heed its signal.
        signal.addEventListener('abort', () => reject(signal.reason), { once: true });
        this.#handOver(alert, signal).then(resolve, reject);
      });
    } finally {
      clock.clearTimeout(limit);
      this.#attempts.delete(attempt);
    }
  }

  // Async, so that a sink that throws is one that rejects.
  async #handOver(alert: BudgetAlert, signal: AbortSignal): Promise<void> {
    await this.#sink.send(alert, { signal });
  }

  async #failed(pending: PendingAlert, leaseUntil: number, error: unknown): Promise<void> {
    const { clock, waits, random } = this.#terms;
    const [alert, sink, attempt] = [alertOf(pending), this.#sink.name, pending.attempts + 1];
    const now = Math.floor(clock.wall());
    const { permanent = false, retryAfterMs } = isAlertSinkError(error) ? error : {};
    const delayMs = this.#closed ? 0 : retryDelayMs(pending.attempts, retryAfterMs, waits, random);
    const lost = permanent || now + delayMs >= pending.end + DAY_MS;
    // After its lease it may be somebody else's.
    if (lost || now < leaseUntil) await this.#end(pending, lost ? undefined : now + delayMs);
    if (lost) {
      this.#terms.emit('dead-letter', { alert, sink, attempt, error });
      return;
    }
    if (!this.#closed && delayMs < this.#terms.pollMs) this.#alarm.ringIn(delayMs);
    this.#terms.emit('failed', { alert, sink, attempt, error, retryAt: new Date(now + delayMs).toISOString() });
  }

  async #end({ id }: PendingAlert, againAt: number | undefined): Promise<void> {
    try {
      await this.#terms.store.endAlert(this.#sink.name, id, againAt);
      this.#told.delete(id);
    } catch (error) {
      this.#storeFailed(error);
    }
  }

  #storeFailed(error: unknown): void {
    if (isStoreError(error) && error.code === 'ERR_CLOSED') this.stop(); // it will not come back
    this.#terms.emit('store-failed', { sink: this.#sink.name, error });
  }
}
