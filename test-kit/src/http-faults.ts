import type { Message } from './fixture-toolset.mjs';

/** What an HTTP fixture does wrong. Counted in requests, never in time, so that a test repeats. */
export interface HttpFaults {
  /** Answers with this status and executes nothing. */
  status?: number;
  /** The `Retry-After` header beside `status`. */
  retryAfter?: string;
  /** Milliseconds before a request is handled. */
  slow?: number;
  /** Takes the request and never answers; executes nothing. */
  hang?: boolean;
  /** Executes, sends half of the answer, then cuts the connection. */
  cutMidBody?: boolean;
  /** A 200 whose body is not JSON; executes nothing. */
  garbage?: boolean;
  /** So many requests up, so many down (`status`, else 503), and so on from the start: `[3, 2]`. */
  flap?: number[];
  /** So many requests are hit, then the server is healthy again. */
  times?: number;
  /** Only POSTs with these JSON-RPC methods are hit; every request when absent. */
  methods?: string[];
}

/** The faults that are on, to be changed while the server runs. */
export class FaultSwitch {
  #faults: HttpFaults = {};
  #hits = 0;
  #forget: () => void;

  constructor(forgetSessions: () => void) {
    this.#forget = forgetSessions;
  }

  /** Replaces what was on. */
  set(faults: HttpFaults): void {
    this.#faults = faults;
    this.#hits = 0;
  }

  clear(): void {
    this.set({});
  }

  /** From now on the issued session ids are unknown (404). */
  forgetSessions(): void {
    this.#forget();
  }

  /** The faults of the next request; asking counts it. */
  next(message: Message | undefined): HttpFaults {
    const { methods, times = Infinity, flap, ...faults } = this.#faults;
    if (methods && !methods.includes(message?.method ?? '')) return {};
    const hit = this.#hits++;
    if (flap) return isDown(flap, hit) ? { ...faults, status: faults.status ?? 503 } : {};
    return hit < times ? faults : {};
  }
}

function isDown(flap: number[], hit: number): boolean {
  let left = hit % flap.reduce((sum, length) => sum + length, 0);
  const phase = flap.findIndex((length) => {
    left -= length;
    return left < 0;
  });
  return phase % 2 === 1;
}
