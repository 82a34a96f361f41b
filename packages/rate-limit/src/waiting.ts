import type { Clock } from './clock.ts';
import { type Decision, RateLimitError, type Refused } from './decision.ts';

/** The platform's timers keep no longer delay. */
const longestTimerMs = 2_147_483_647;

/** What the limits say now; takes the cost if they agree and `charge` is set. */
type Attempt = (charge: boolean) => Decision;

interface Waiter {
  readonly attempt: Attempt;
  readonly until: number;
  readonly admit: () => void;
  readonly giveUp: (error: unknown) => void;
}

interface Line {
  readonly waiters: Waiter[];
  timer: unknown;
}

/** Lines of callers that wait for their turn, one line a key, first come, first served; one timer a line. */
export class Waiting {
  readonly #clock: Clock;
  readonly #most: number;
  readonly #lines = new Map<string, Line>();
  #count = 0;
  #closed = false;

  constructor(clock: Clock, most: number) {
    this.#clock = clock;
    this.#most = most;
  }

  /** Resolves when `attempt`, made in this caller's turn, is allowed. */
  async turn(key: string, attempt: Attempt, maxWaitMs: number, signal: AbortSignal | undefined): Promise<void> {
    if (this.#closed) throw closedError();
    const first = !this.#lines.has(key);
    const decision = attempt(first);
    if (decision.allowed && first) return;
    if (!decision.allowed && (decision.permanent || decision.retryAfterMs > maxWaitMs)) throw asError(decision);
    if (this.#count >= this.#most) throw new RateLimitError('ERR_QUEUE_FULL', `${this.#count} callers wait already`, '', 0);
    await new Promise<void>((resolve, reject) => this.#join(key, { attempt, maxWaitMs, signal, resolve, reject }));
  }

  /** Looks again whether the first in line fits. */
  wake(key: string): void {
    const line = this.#lines.get(key);
    if (line !== undefined) this.#serve(key, line);
  }

  /** Ends every wait. */
  close(): void {
    this.#closed = true;
    for (const [key, line] of [...this.#lines]) {
      this.#clock.clearTimeout(line.timer);
      this.#lines.delete(key);
      for (const waiter of line.waiters.splice(0)) waiter.giveUp(closedError());
    }
  }

  #join(
    key: string,
    caller: {
      attempt: Attempt;
      maxWaitMs: number;
      signal: AbortSignal | undefined;
      resolve: () => void;
      reject: (error: unknown) => void;
    },
  ): void {
    const { attempt, maxWaitMs, signal, resolve, reject } = caller;
    const onAbort = () => {
      this.#leave(key, waiter);
      waiter.giveUp(signal?.reason);
    };
    const ended = () => {
      this.#count -= 1;
      signal?.removeEventListener('abort', onAbort);
    };
    const waiter: Waiter = {
      attempt,
      until: this.#clock.now() + maxWaitMs,
      admit: () => {
        ended();
        resolve();
      },
      giveUp: (error) => {
        ended();
        reject(error);
      },
    };
    this.#count += 1;
    signal?.addEventListener('abort', onAbort, { once: true });
    const line = this.#lines.get(key) ?? { waiters: [], timer: undefined };
    this.#lines.set(key, line);
    line.waiters.push(waiter);
    this.#serve(key, line);
  }

  #leave(key: string, waiter: Waiter): void {
    const line = this.#lines.get(key);
    const at = line?.waiters.indexOf(waiter) ?? -1;
    if (line === undefined || at < 0) return;
    line.waiters.splice(at, 1);
    this.#serve(key, line);
  }

  /** Admits from the front as long as there is room, then sets the line's timer for what comes next. */
  #serve(key: string, line: Line): void {
    this.#clock.clearTimeout(line.timer);
    this.#dropLate(line);
    let next = line.waiters[0];
    while (next !== undefined) {
      const decision = next.attempt(true);
      // rounded up as retryAfterMs is, or a wait that ends just with the deadline might be given up
      if (!decision.allowed && decision.retryAfterMs <= Math.ceil(next.until - this.#clock.now())) {
        const wait = Math.min(decision.retryAfterMs, this.#nextDeadline(line) - this.#clock.now(), longestTimerMs);
        line.timer = this.#clock.setTimeout(() => this.#serve(key, line), Math.max(1, wait));
        return;
      }
      line.waiters.shift();
      if (decision.allowed) next.admit();
      else next.giveUp(asError(decision));
      next = line.waiters[0];
    }
    this.#lines.delete(key);
  }

  #dropLate(line: Line): void {
    const now = this.#clock.now();
    for (const waiter of [...line.waiters]) {
      if (waiter.until > now) continue;
      const decision = waiter === line.waiters[0] ? waiter.attempt(true) : undefined;
      line.waiters.splice(line.waiters.indexOf(waiter), 1);
      if (decision?.allowed) waiter.admit();
      else
        waiter.giveUp(
          decision === undefined ? new RateLimitError('ERR_RATE_LIMITED', 'its turn did not come in time', '', 0) : asError(decision),
        );
    }
  }

  #nextDeadline(line: Line): number {
    return line.waiters.reduce((earliest, waiter) => Math.min(earliest, waiter.until), Number.POSITIVE_INFINITY);
  }
}

function asError(decision: Refused): RateLimitError {
  return new RateLimitError('ERR_RATE_LIMITED', decision.message, decision.limit, decision.retryAfterMs);
}

function closedError(): RateLimitError {
  return new RateLimitError('ERR_CLOSED', 'the limiter was closed', '', 0);
}
