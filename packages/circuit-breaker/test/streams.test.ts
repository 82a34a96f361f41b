import { getEventListeners } from 'node:events';
import { ManualClock } from '@tidegate/test-kit';
import { describe, expect, it, vi } from 'vitest';
import { CircuitBreaker, isCircuitOpenError, isTimeoutError } from '../src/index.ts';
import { pipeline, retry, timeout } from '../src/policies.ts';
import { deferred, fail, openedBreaker, outcomeOf } from './calls.ts';

const down = new Error('down');

/** A source whose items a test hands out, and which says whether it was closed. */
class Source<T> implements AsyncIterable<T> {
  readonly closed = vi.fn();
  #waiting: Array<ReturnType<typeof deferred<IteratorResult<T>>>> = [];
  #ready: Array<() => Promise<IteratorResult<T>>> = [];

  push(value: T): void {
    this.#settle(() => Promise.resolve({ done: false, value }));
  }

  finish(): void {
    this.#settle(() => Promise.resolve({ done: true, value: undefined }));
  }

  fail(error: unknown): void {
    this.#settle(() => Promise.reject(error));
  }

  #settle(item: () => Promise<IteratorResult<T>>): void {
    const waiting = this.#waiting.shift();
    if (waiting === undefined) this.#ready.push(item);
    else item().then(waiting.resolve, waiting.reject);
  }

  [Symbol.asyncIterator](): AsyncIterator<T> {
    return {
      next: () => {
        const ready = this.#ready.shift();
        if (ready !== undefined) return ready();
        const waiting = deferred<IteratorResult<T>>();
        this.#waiting.push(waiting);
        return waiting.promise;
      },
      return: async () => {
        this.closed();
        return { done: true, value: undefined };
      },
    };
  }
}

async function* words(...all: readonly string[]): AsyncGenerator<string> {
  yield* all;
}

async function collect<T>(stream: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of stream) all.push(item);
  return all;
}

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

function countingBreaker(clock: ManualClock) {
  return new CircuitBreaker({
    clock,
    slidingWindow: { type: 'count', size: 10 },
    minimumNumberOfCalls: 5,
    slowCallRateThreshold: 1,
    slowCallDurationThresholdMs: 100,
  });
}

describe('a stream through a breaker', () => {
  it('arrives item by item, whether it comes at once or is promised', async () => {
    const breaker = new CircuitBreaker();
    expect(await collect(breaker.executeStream(() => words('a', 'b')))).toEqual(['a', 'b']);
    expect(await collect(breaker.executeStream(async () => words('c')))).toEqual(['c']);
    expect(await collect(breaker.executeStream(() => words()))).toEqual([]);
    const web = new ReadableStream<number>({
      start(controller) {
        controller.enqueue(1);
        controller.close();
      },
    });
    expect(await collect(breaker.executeStream(() => web as unknown as AsyncIterable<number>))).toEqual([1]);
  });

  it('calls nothing before the first item is asked for', async () => {
    const fn = vi.fn(() => words('a'));
    const stream = new CircuitBreaker().executeStream(fn);
    await turn();
    expect(fn).not.toHaveBeenCalled();
    await stream.next();
    expect(fn).toHaveBeenCalledTimes(1);
  });

  it('is one call: its time is that to the first item, and it succeeds when it has ended', async () => {
    const clock = new ManualClock();
    const breaker = countingBreaker(clock);
    const source = new Source<string>();
    const stream = breaker.executeStream(() => source);
    const first = stream.next();
    await turn();
    clock.advance(99);
    source.push('a');
    await first;
    expect(breaker.metrics()).toMatchObject({ calls: 0 });
    clock.advance(60_000);
    source.push('b');
    source.finish();
    expect(await collect(stream)).toEqual(['b']);
    expect(breaker.metrics()).toMatchObject({ calls: 1, failures: 0, slowCalls: 0 });
  });

  it.each([
    ['before the first item', 0],
    ['after items', 2],
  ])('fails once where it breaks off %s, and the error passes through', async (_, items) => {
    const breaker = countingBreaker(new ManualClock());
    const source = new Source<number>();
    for (let i = 0; i < items; i++) source.push(i);
    source.fail(down);
    const stream = breaker.executeStream(() => source);
    for (let i = 0; i < items; i++) await stream.next();
    expect(await outcomeOf(stream.next())).toBe(down);
    expect(await stream.next()).toEqual({ done: true, value: undefined });
    expect(breaker.metrics()).toMatchObject({ calls: 1, failures: 1 });
  });

  it('has succeeded if its consumer stops after an item, and the source is closed', async () => {
    const breaker = countingBreaker(new ManualClock());
    const source = new Source<string>();
    source.push('a');
    for await (const item of breaker.executeStream(() => source)) {
      expect(item).toBe('a');
      break;
    }
    expect(breaker.metrics()).toMatchObject({ calls: 1, failures: 0 });
    expect(source.closed).toHaveBeenCalledTimes(1);
  });

  it('is nothing if its consumer stops before the first item: return() does not wait for a source that hangs', async () => {
    const breaker = countingBreaker(new ManualClock());
    const source = new Source<string>();
    const stream = breaker.executeStream(() => source);
    const first = stream.next();
    await turn();
    expect(await stream.return?.()).toEqual({ done: true, value: undefined });
    expect(await first).toEqual({ done: true, value: undefined });
    expect(source.closed).toHaveBeenCalledTimes(1);
    expect(breaker.metrics()).toMatchObject({ calls: 0 });
  });

  it('is refused by an open circuit without a call', async () => {
    const fn = vi.fn(() => words('a'));
    const breaker = openedBreaker({ clock: new ManualClock() });
    expect(isCircuitOpenError(await outcomeOf(breaker.executeStream(fn).next()))).toBe(true);
    expect(fn).not.toHaveBeenCalled();
  });

  it('holds its probe until it ends', async () => {
    const clock = new ManualClock();
    const breaker = openedBreaker({ clock });
    clock.advance(60_000);
    const source = new Source<string>();
    const stream = breaker.executeStream(() => source);
    source.push('a');
    await stream.next();
    expect(breaker.state).toBe('half-open');
    expect(breaker.tryAcquire()).toBeUndefined();
    source.finish();
    await stream.next();
    expect(breaker.state).toBe('closed');
  });

  it('that answers is no call that hangs, however long it goes on', async () => {
    const clock = new ManualClock();
    const breaker = new CircuitBreaker({
      clock,
      slidingWindow: { type: 'count', size: 10 },
      minimumNumberOfCalls: 1,
      slowCallRateThreshold: 1,
      slowCallDurationThresholdMs: 100,
      slowCallInFlight: true,
    });
    const source = new Source<string>();
    const stream = breaker.executeStream(() => source);
    source.push('a');
    await stream.next();
    clock.advance(10_000);
    expect(breaker.metrics()).toMatchObject({ state: 'closed', slowCallsInFlight: 0 });
    void breaker.executeStream(() => new Source<string>()).next();
    clock.advance(107);
    expect(breaker.state).toBe('open');
    source.finish();
    await stream.next();
    expect(breaker.metrics()).toMatchObject({ state: 'open', late: 1 });
  });

  it('may be asked for several items at once; they come in order', async () => {
    const stream = new CircuitBreaker().executeStream(() => words('a', 'b'));
    const asked = [stream.next(), stream.next(), stream.next(), stream.next()];
    expect((await Promise.all(asked)).map((item) => item.value)).toEqual(['a', 'b', undefined, undefined]);
  });

  it.each([undefined, 'text', 7, {}])('must be an async iterable, not %s', async (value) => {
    const breaker = new CircuitBreaker();
    const error = await outcomeOf(breaker.executeStream(() => value as unknown as AsyncIterable<string>).next());
    expect(error).toBeInstanceOf(TypeError);
    expect((error as Error).message).toContain('async iterable');
  });
});

describe('an abort of a stream', () => {
  it.each(['before the call', 'before the first item', 'between items', 'while an item is waited for'])(
    '%s rejects at once with the reason, closes the source and counts as nothing',
    async (when) => {
      const breaker = countingBreaker(new ManualClock());
      const caller = new AbortController();
      const source = new Source<string>();
      const fn = vi.fn(() => source);
      const stream = breaker.executeStream(fn, { signal: caller.signal });
      if (when === 'before the call') caller.abort('left');
      if (when === 'between items' || when === 'while an item is waited for') {
        source.push('a');
        await stream.next();
      }
      if (when === 'between items') caller.abort('left');
      const next = outcomeOf(stream.next());
      await turn();
      caller.abort('left');
      expect(await next).toBe('left');
      expect(await stream.next()).toEqual({ done: true, value: undefined });
      expect(breaker.metrics()).toMatchObject({ calls: 0, failures: 0 });
      expect(fn).toHaveBeenCalledTimes(when === 'before the call' ? 0 : 1);
      expect(source.closed.mock.calls.length > 0).toBe(when !== 'before the call');
      expect(getEventListeners(caller.signal, 'abort')).toEqual([]);
    },
  );

  it('reaches the signal of the function', async () => {
    const caller = new AbortController();
    let inner: AbortSignal | undefined;
    const stream = new CircuitBreaker().executeStream(
      ({ signal }) => {
        inner = signal;
        return words('a', 'b');
      },
      { signal: caller.signal },
    );
    await stream.next();
    caller.abort('left');
    expect(inner?.reason).toBe('left');
  });

  it('closes a source that is opened too late', async () => {
    const caller = new AbortController();
    const source = new Source<string>();
    const late = deferred<Source<string>>();
    const next = outcomeOf(new CircuitBreaker().executeStream(() => late.promise, { signal: caller.signal }).next());
    await turn();
    caller.abort('left');
    expect(await next).toBe('left');
    late.resolve(source);
    await turn();
    expect(source.closed).toHaveBeenCalledTimes(1);
  });

  it('leaves no listener where the stream ended by itself', async () => {
    const caller = new AbortController();
    await collect(new CircuitBreaker().executeStream(() => words('a'), { signal: caller.signal }));
    expect(getEventListeners(caller.signal, 'abort')).toEqual([]);
  });
});

describe('time limits of a stream', () => {
  it.each([
    ['firstItemMs', 0, 'ERR_FIRST_ITEM_TIMEOUT', 'no first item within 100 ms'],
    ['idleMs', 1, 'ERR_IDLE_TIMEOUT', 'no further item within 100 ms'],
    ['totalMs', 0, 'ERR_TIMEOUT', 'no result within 100 ms'],
    ['totalMs', 1, 'ERR_TIMEOUT', 'no result within 100 ms'],
  ])('%s after %d items: %s, and the circuit counts a failure', async (option, items, code, message) => {
    const clock = new ManualClock();
    const breaker = countingBreaker(clock);
    const source = new Source<number>();
    const call = pipeline(breaker, timeout({ [option]: 100, clock }));
    const stream = call.executeStream(() => source);
    for (let i = 0; i < items; i++) {
      source.push(i);
      await stream.next();
    }
    const next = outcomeOf(stream.next());
    await turn();
    await clock.advanceAsync(99);
    await clock.advanceAsync(1);
    const error = await next;
    expect(isTimeoutError(error)).toBe(true);
    expect(error).toMatchObject({ code, message, timeoutMs: 100 });
    expect(breaker.metrics()).toMatchObject({ calls: 1, failures: 1 });
    expect(source.closed).toHaveBeenCalledTimes(1);
    expect(clock.pendingTimers).toBe(0);
  });

  it('of a whole stream count as a failure of the breaker inside them, too', async () => {
    const clock = new ManualClock();
    const breaker = countingBreaker(clock);
    const source = new Source<string>();
    source.push('a');
    const stream = pipeline(timeout({ totalMs: 50, clock }), breaker).executeStream(() => source);
    await stream.next();
    const next = outcomeOf(stream.next());
    await clock.advanceAsync(50);
    expect(isTimeoutError(await next)).toBe(true);
    expect(breaker.metrics()).toMatchObject({ calls: 1, failures: 1 });
  });

  it('between items are not used up by a slow consumer', async () => {
    const clock = new ManualClock();
    const source = new Source<string>();
    const stream = pipeline(timeout({ firstItemMs: 10, idleMs: 10, clock })).executeStream(() => source);
    source.push('a');
    await stream.next();
    await clock.advanceAsync(10_000);
    source.push('b');
    source.finish();
    expect(await collect(stream)).toEqual(['b']);
    expect(clock.pendingTimers).toBe(0);
  });

  it('stand still while somebody is asked', async () => {
    const clock = new ManualClock();
    const source = new Source<string>();
    let resume: (() => void) | undefined;
    const stream = pipeline(timeout({ totalMs: 50, firstItemMs: 20, clock })).executeStream(({ suspendTimeouts }) => {
      resume = suspendTimeouts();
      return source;
    });
    const next = stream.next();
    await clock.advanceAsync(1_000);
    resume?.();
    source.push('a');
    expect(await next).toEqual({ done: false, value: 'a' });
    await stream.return?.();
    expect(clock.pendingTimers).toBe(0);
  });

  it('of a first item hold for a call that is no stream, of an idle time do not', async () => {
    const clock = new ManualClock();
    const slow = outcomeOf(timeout({ firstItemMs: 20, totalMs: 30, clock }).execute(() => new Promise(() => {})));
    await clock.advanceAsync(20);
    expect(await slow).toMatchObject({ code: 'ERR_FIRST_ITEM_TIMEOUT' });
    const idle = timeout({ idleMs: 1, clock }).execute(() => new Promise((resolve) => clock.setTimeout(() => resolve('late'), 50)));
    await clock.advanceAsync(50);
    expect(await idle).toBe('late');
  });

  it('are needed in some form', () => {
    expect(() => timeout({})).toThrow('timeout needs at least one of totalMs, firstItemMs and idleMs');
  });
});

describe('retries of a stream', () => {
  it('are made until the first item, and never after it', async () => {
    const clock = new ManualClock();
    const breaker = new CircuitBreaker({ clock });
    const sources = [new Source<string>(), new Source<string>(), new Source<string>()] as const;
    sources[0].fail(down);
    sources[1].push('a');
    sources[1].fail(down);
    let calls = 0;
    const call = pipeline(retry({ initialDelayMs: 0, clock }), breaker);
    const stream = call.executeStream(() => sources[calls++] as Source<string>);
    const first = stream.next();
    await turn();
    await clock.advanceAsync(1);
    expect(await first).toEqual({ done: false, value: 'a' });
    expect(await outcomeOf(stream.next())).toBe(down);
    expect(calls).toBe(2);
    expect(breaker.metrics()).toMatchObject({ calls: 2, failures: 2 });
  });

  it('give every attempt a time of its own until its first item', async () => {
    const clock = new ManualClock();
    const hanging = new Source<string>();
    const answering = new Source<string>();
    answering.push('a');
    answering.finish();
    const sources = [hanging, answering];
    const call = pipeline(retry({ initialDelayMs: 0, clock }), timeout({ firstItemMs: 100, clock }));
    const all = collect(call.executeStream(() => sources.shift() as Source<string>));
    await clock.advanceAsync(100);
    await clock.advanceAsync(1);
    expect(await all).toEqual(['a']);
    expect(hanging.closed).toHaveBeenCalledTimes(1);
  });
});

describe("another library's policy around a stream", () => {
  it('opens it like any call', async () => {
    const seen: string[] = [];
    const foreign = {
      execute: async <T>(fn: (context: { signal: AbortSignal }) => T | PromiseLike<T>): Promise<T> => {
        seen.push('before');
        const value = await fn({ signal: new AbortController().signal });
        seen.push('open');
        return value;
      },
    };
    const breaker = new CircuitBreaker();
    fail(breaker);
    expect(await collect(pipeline(foreign, breaker).executeStream(() => words('a', 'b')))).toEqual(['a', 'b']);
    expect(seen).toEqual(['before', 'open']);
    expect(breaker.metrics()).toMatchObject({ failures: 0 });
  });
});
