import { CircuitBreaker, type CircuitBreakerOptions, type Permit } from '../src/index.ts';

/** A permit of a breaker that must admit. */
export function admitted(breaker: CircuitBreaker): Permit {
  const permit = breaker.tryAcquire();
  if (permit === undefined) throw new Error(`refused: ${breaker.state}`);
  return permit;
}

/** One call that succeeds. */
export function succeed(breaker: CircuitBreaker, durationMs?: number): void {
  breaker.onSuccess(admitted(breaker), durationMs);
}

/** One call that fails. */
export function fail(breaker: CircuitBreaker, durationMs?: number): void {
  breaker.onFailure(admitted(breaker), new Error('down'), durationMs);
}

/** A breaker that has just opened through failures. */
export function openedBreaker(options: CircuitBreakerOptions): CircuitBreaker {
  const breaker = new CircuitBreaker(options);
  while (breaker.state === 'closed') fail(breaker);
  return breaker;
}

/** What a promise ends with, thrown or not. */
export async function outcomeOf(promise: Promise<unknown>): Promise<unknown> {
  try {
    return await promise;
  } catch (error) {
    return error;
  }
}

/** A promise that a test ends. */
export function deferred<T>() {
  let resolve: (value: T) => void = () => {};
  let reject: (reason: unknown) => void = () => {};
  const promise = new Promise<T>((yes, no) => {
    resolve = yes;
    reject = no;
  });
  return { promise, resolve, reject };
}
