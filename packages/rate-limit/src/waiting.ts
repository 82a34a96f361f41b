import type { Clock } from './clock.ts';
import { RateLimitError, type Refused } from './decision.ts';

/** The platform's timers keep no longer delay. */
const longestTimerMs = 2_147_483_647;

interface Taken {
  readonly allowed: true;
}

/** A caller that wants its turn. */
export interface Caller<T extends Taken> {
  /** Whose limits it needs: one line for each combination. */
  readonly keys: readonly string[];
  /** What the limits say now; takes the cost if they agree and `charge` is set. */
  readonly attempt: (charge: boolean) => T | Refused | Promise<T | Refused>;
  /** Gives back what was taken for a caller that had left by then. */
  readonly giveBack: (taken: T) => void;
  /** Gives up after so many ms. */
  readonly maxWaitMs: number;
  /** Gives up with the signal's reason. */
  readonly signal: AbortSignal | undefined;
}

interface Waiter {
  readonly caller: Caller<Taken>;
  readonly until: number;
  readonly settle: (taken: Taken) => void;
  readonly fail: (error: unknown) => void;
  /** Whether it counts among those that wait. */
  counted: boolean;
  gone: boolean;
}

interface Line {
  readonly name: string;
  readonly keys: readonly string[];
  readonly waiters: Waiter[];
  /** No caller gives up before. */
  earliest: number;
  timer: unknown;
  firesAt: number;
  serving: boolean;
  again: boolean;
  refusal: Refused | undefined;
}

/** Lines of callers that wait for their turn, one line a key, first come, first served; one timer a line. */
export class Waiting {
  readonly #clock: Clock;
  readonly #most: number;
  readonly #lines = new Map<string, Line>();
  #count = 0;
  #own = 0;
  #closed = false;

  constructor(clock: Clock, most: number) {
    this.#clock = clock;
    this.#most = most;
  }

  /** Resolves with what was taken in this caller's turn. */
  async turn<T extends Taken>(caller: Caller<T>): Promise<T> {
    if (this.#closed) throw closedError();
    const name = this.#lineOf(caller);
    if (this.#lines.has(name)) {
      const answer = caller.attempt(false);
      const decision = answer instanceof Promise ? await answer : answer;
      if (!decision.allowed && tooLong(decision, caller.maxWaitMs)) throw asError(decision);
      caller.signal?.throwIfAborted();
      if (this.#closed) throw closedError();
    }
    return new Promise<T>((resolve, reject) =>
      this.#join(name, caller as unknown as Caller<Taken>, resolve as (taken: Taken) => void, reject),
    );
  }

  /** Looks again whether the first fits of each line that waits for one of these keys. */
  wake(keys: readonly string[]): void {
    const line = keys.length === 1 ? this.#lines.get(nameOf(keys)) : undefined;
    if (line !== undefined) void this.#serve(line);
    if (this.#lines.size === 0 || keys.length === 1) return;
    for (const line of [...this.#lines.values()]) {
      if (line.keys.some((key, i) => key === keys[i])) void this.#serve(line);
    }
  }

  /** Looks again whether the first of every line fits. */
  wakeAll(): void {
    for (const line of [...this.#lines.values()]) void this.#serve(line);
  }

  /** Ends every wait. */
  close(): void {
    this.#closed = true;
    for (const line of [...this.#lines.values()]) {
      this.#clock.clearTimeout(line.timer);
      for (const waiter of [...line.waiters]) this.#giveUp(line, waiter, closedError());
    }
    this.#lines.clear();
  }

  /** The line to join. Who does not wait gets one of its own unless others wait already: those whose answer is under way take nobody's turn. */
  #lineOf({ keys, maxWaitMs }: Pick<Caller<Taken>, 'keys' | 'maxWaitMs'>): string {
    const name = nameOf(keys);
    if (maxWaitMs > 0 || this.#lines.get(name)?.waiters[0]?.counted === true) return name;
    this.#own += 1;
    return `own ${this.#own}`;
  }

  #join(name: string, caller: Caller<Taken>, resolve: (taken: Taken) => void, reject: (error: unknown) => void): void {
    const line = this.#lines.get(name) ?? newLine(name, caller.keys);
    const onAbort = () => {
      const first = line.waiters[0] === waiter;
      this.#giveUp(line, waiter, caller.signal?.reason);
      if (first) void this.#serve(line);
    };
    const left = () => caller.signal?.removeEventListener('abort', onAbort);
    const waiter: Waiter = {
      caller,
      until: this.#clock.now() + caller.maxWaitMs,
      settle: (taken) => {
        left();
        resolve(taken);
      },
      fail: (error) => {
        left();
        reject(error);
      },
      counted: false,
      gone: false,
    };
    caller.signal?.addEventListener('abort', onAbort, { once: true });
    this.#lines.set(name, line);
    line.waiters.push(waiter);
    line.earliest = Math.min(line.earliest, waiter.until);
    if (line.waiters.length === 1) void this.#serve(line);
    else if (this.#mayWait(line, waiter) && waiter.until < line.firesAt) this.#setTimer(line, waiter.until - this.#clock.now());
  }

  /** Serves the line until somebody has to wait. */
  async #serve(line: Line): Promise<void> {
    line.again = true;
    if (line.serving) return;
    line.serving = true;
    this.#clock.clearTimeout(line.timer);
    for (let first = this.#first(line); first !== undefined && line.again; first = this.#first(line)) {
      line.again = false;
      try {
        const answer = first.caller.attempt(true);
        this.#answer(line, first, answer instanceof Promise ? await answer : answer);
      } catch (error) {
        this.#giveUp(line, first, error);
        line.again = true;
      }
    }
    line.serving = false;
    if (line.waiters.length === 0 && this.#lines.get(line.name) === line) this.#lines.delete(line.name);
  }

  #answer(line: Line, waiter: Waiter, decision: Taken | Refused): void {
    line.again ||= decision.allowed || waiter.gone;
    if (decision.allowed) this.#admit(line, waiter, decision);
    else if (!waiter.gone) this.#refuse(line, waiter, decision);
  }

  #admit(line: Line, waiter: Waiter, taken: Taken): void {
    if (waiter.gone) {
      waiter.caller.giveBack(taken);
      return;
    }
    this.#remove(line, waiter);
    waiter.settle(taken);
  }

  #refuse(line: Line, waiter: Waiter, decision: Refused): void {
    line.refusal = decision;
    // rounded up as retryAfterMs is, or a wait that ends just with the deadline might be given up
    if (tooLong(decision, Math.ceil(waiter.until - this.#clock.now()))) {
      line.again = true;
      this.#giveUp(line, waiter, asError(decision));
      return;
    }
    if (!this.#mayWait(line, waiter)) {
      line.again = true;
      return;
    }
    line.earliest = earliestOf(line.waiters);
    this.#setTimer(line, Math.min(decision.retryAfterMs, line.earliest - this.#clock.now()));
  }

  /** Counts it among those that wait; gives it up where too many do. */
  #mayWait(line: Line, waiter: Waiter): boolean {
    if (waiter.counted) return true;
    if (this.#count >= this.#most) {
      const message = `${this.#count} callers wait already`;
      this.#giveUp(line, waiter, new RateLimitError('ERR_QUEUE_FULL', message, line.refusal?.limit ?? '', line.refusal?.retryAfterMs ?? 0));
      return false;
    }
    waiter.counted = true;
    this.#count += 1;
    return true;
  }

  #setTimer(line: Line, ms: number): void {
    this.#clock.clearTimeout(line.timer);
    const delay = Math.min(Math.max(1, ms), longestTimerMs);
    line.firesAt = this.#clock.now() + delay;
    line.timer = this.#clock.setTimeout(() => void this.#serve(line), delay);
  }

  /** The first in line, after those behind it are given up whose time is over; its own turn it gets in any case. */
  #first(line: Line): Waiter | undefined {
    for (let first = line.waiters[0]; first?.caller.signal?.aborted; first = line.waiters[0]) {
      this.#giveUp(line, first, first.caller.signal.reason); // one signal may end many
    }
    const now = this.#clock.now();
    if (line.earliest > now) return line.waiters[0];
    for (const waiter of line.waiters.slice(1)) {
      if (waiter.until <= now) this.#giveUp(line, waiter, lateError(line.refusal));
    }
    line.earliest = earliestOf(line.waiters);
    return line.waiters[0];
  }

  #giveUp(line: Line, waiter: Waiter, error: unknown): void {
    this.#remove(line, waiter);
    waiter.fail(error);
  }

  #remove(line: Line, waiter: Waiter): void {
    const at = line.waiters.indexOf(waiter);
    if (at === 0) line.waiters.shift();
    else if (at > 0) line.waiters.splice(at, 1);
    if (waiter.counted) this.#count -= 1;
    waiter.counted = false;
    waiter.gone = true;
  }
}

/** Keys may hold any character, so their lengths tell where each ends. */
function nameOf(keys: readonly string[]): string {
  return keys.map((key) => `${key.length}:${key}`).join('');
}

function earliestOf(waiters: readonly Waiter[]): number {
  return waiters.reduce((earliest, { until }) => Math.min(earliest, until), Number.POSITIVE_INFINITY);
}

function newLine(name: string, keys: readonly string[]): Line {
  return {
    name,
    keys,
    waiters: [],
    earliest: Number.POSITIVE_INFINITY,
    timer: undefined,
    firesAt: 0,
    serving: false,
    again: false,
    refusal: undefined,
  };
}

function tooLong(decision: Refused, maxWaitMs: number): boolean {
  return decision.permanent || decision.retryAfterMs > maxWaitMs;
}

/** The error that says what a refusal says. */
export function asError({ code, message, limit, retryAfterMs }: Refused): RateLimitError {
  return new RateLimitError(code, message, limit, retryAfterMs);
}

function lateError(refusal: Refused | undefined): RateLimitError {
  return new RateLimitError('ERR_RATE_LIMITED', 'its turn did not come in time', refusal?.limit ?? '', refusal?.retryAfterMs ?? 0);
}

function closedError(): RateLimitError {
  return new RateLimitError('ERR_CLOSED', 'the limiter was closed', '', 0);
}
