import { ManualClock } from '@tidegate/test-kit';
import { describe, expect, it, vi } from 'vitest';
import { chaosFault, chaosLatency, chaosOutcome } from '../src/chaos.ts';
import { CircuitBreaker } from '../src/index.ts';
import { bulkhead, fallback, hedge, pipeline, retry, timeout } from '../src/policies.ts';
import { deferred, outcomeOf } from './calls.ts';

const down = new Error('down');
const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

async function* words(...all: readonly string[]): AsyncGenerator<string> {
  yield* all;
}

async function* failing(): AsyncGenerator<string> {
  yield* words();
  throw down;
}

async function collect<T>(stream: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of stream) all.push(item);
  return all;
}

/** A stream that gives its items when they are handed out, and tells when it is closed. */
function source(...items: Array<Promise<string> | string>) {
  const closed = vi.fn();
  let at = 0;
  const iterator = {
    next: async () => (at < items.length ? { done: false, value: (await items[at++]) as string } : { done: true, value: undefined }),
    return: async () => {
      closed();
      return { done: true as const, value: undefined };
    },
  };
  return { closed, [Symbol.asyncIterator]: () => iterator as AsyncIterator<string> };
}

describe('a stream through a bulkhead', () => {
  it('holds its place to its end', async () => {
    const places = bulkhead({ maxConcurrent: 1, maxQueue: 1 });
    const call = pipeline(places, timeout({ totalMs: 1_000, clock: new ManualClock() }));
    const stream = call.executeStream(() => words('a', 'b'));
    await stream.next();
    const waiting = call.execute(() => 'call');
    await turn();
    expect(places.metrics()).toEqual({ running: 1, queued: 1, rejected: 0 });
    expect(await collect(stream)).toEqual(['b']);
    expect(await waiting).toBe('call');
    expect(places.metrics()).toEqual({ running: 0, queued: 0, rejected: 0 });
  });

  it.each<[string, (stream: AsyncIterableIterator<string>, caller: AbortController) => unknown]>([
    ['its consumer leaves', (stream) => stream.return?.()],
    ['it is aborted', (_, caller) => caller.abort('left')],
  ])('gives its place back when %s', async (_, end) => {
    const places = bulkhead({ maxConcurrent: 1 });
    const caller = new AbortController();
    const stream = pipeline(places).executeStream(() => source('a', new Promise(() => {})), { signal: caller.signal });
    await stream.next();
    expect(places.metrics().running).toBe(1);
    await end(stream, caller);
    expect(places.metrics().running).toBe(0);
  });

  it('gives its place back, and what a hedge opened is closed, when a limit around them runs out between items', async () => {
    const clock = new ManualClock();
    const places = bulkhead({ maxConcurrent: 1 });
    const sources = [source(new Promise<string>(() => {})), source('a', new Promise<string>(() => {}))];
    const call = pipeline(timeout({ idleMs: 10, clock }), places, hedge({ delayMs: 100, clock }));
    const stream = call.executeStream(({ hedge: which }) => sources[which] ?? expect.fail('no such source'));
    const first = stream.next();
    await clock.advanceAsync(100);
    await first;
    expect(sources[1]?.closed).not.toHaveBeenCalled();
    const next = outcomeOf(stream.next());
    await clock.advanceAsync(10);
    expect(await next).toMatchObject({ code: 'ERR_IDLE_TIMEOUT' });
    expect(places.metrics().running).toBe(0);
    expect(sources[1]?.closed).toHaveBeenCalled();
    expect(clock.pendingTimers).toBe(0);
  });

  it('holds its place while it is still being opened after an abort', async () => {
    const places = bulkhead({ maxConcurrent: 1 });
    const caller = new AbortController();
    const gate = deferred<AsyncIterable<string>>();
    const first = outcomeOf(
      pipeline(places)
        .executeStream(() => gate.promise, { signal: caller.signal })
        .next(),
    );
    await turn();
    caller.abort('left');
    expect(await first).toBe('left');
    expect(places.metrics().running).toBe(1);
    const opened = source('a');
    gate.resolve(opened);
    await turn();
    expect(places.metrics().running).toBe(0);
    expect(opened.closed).toHaveBeenCalled();
  });

  it('gives its place back where it cannot be opened, and refuses where there is none', async () => {
    const places = bulkhead({ maxConcurrent: 1 });
    const call = pipeline(places);
    expect(await outcomeOf(collect(call.executeStream(failing)))).toBe(down);
    expect(places.metrics().running).toBe(0);
    const stream = call.executeStream(() => words('a', 'b'));
    await stream.next();
    expect(await outcomeOf(collect(call.executeStream(() => words())))).toMatchObject({ code: 'ERR_BULKHEAD_FULL' });
    await stream.return?.();
  });
});

describe('a stream that needs a substitute', () => {
  it('has one until its first item, whatever stands around the fallback', async () => {
    const substitute = fallback({ to: ({ error }) => words('instead of', (error as Error).message) });
    const clock = new ManualClock();
    expect(await collect(pipeline(substitute).executeStream(failing))).toEqual(['instead of', 'down']);
    expect(await collect(pipeline(timeout({ totalMs: 10, clock }), substitute).executeStream(failing))).toEqual(['instead of', 'down']);
    expect(clock.pendingTimers).toBe(0);
  });

  it('has none after it', async () => {
    const to = vi.fn();
    const stream = pipeline(fallback({ to })).executeStream(async function* () {
      yield 'a';
      throw down;
    });
    expect(await stream.next()).toEqual({ done: false, value: 'a' });
    expect(await outcomeOf(stream.next())).toBe(down);
    expect(to).not.toHaveBeenCalled();
  });
});

describe('a stream through a retry', () => {
  it('is not judged by a rule for values', async () => {
    const rule = vi.fn(() => 'failure' as const);
    expect(await collect(pipeline(retry({ classify: { value: rule } })).executeStream(() => words('a')))).toEqual(['a']);
    expect(rule).not.toHaveBeenCalled();
  });
});

describe('a stream through a hedge', () => {
  it('is the one whose first item is there first; the other is closed, and the winner by a later abort', async () => {
    const clock = new ManualClock();
    const caller = new AbortController();
    const late = deferred<string>();
    const sources = [source(late.promise, 'b'), source('A', new Promise<string>(() => {}))];
    const call = pipeline(new CircuitBreaker({ clock }), bulkhead({ maxConcurrent: 1 }), hedge({ delayMs: 100, clock }));
    const stream = call.executeStream(({ hedge: which }) => sources[which] ?? expect.fail('no such source'), { signal: caller.signal });
    const first = stream.next();
    await clock.advanceAsync(100);
    expect(await first).toEqual({ done: false, value: 'A' });
    expect(sources.map(({ closed }) => closed.mock.calls.length)).toEqual([1, 0]);
    late.resolve('a');
    const next = outcomeOf(stream.next());
    await turn();
    caller.abort('left');
    expect(await next).toBe('left');
    expect(sources[1]?.closed).toHaveBeenCalled();
    expect(clock.pendingTimers).toBe(0);
  });

  it('is closed where a loser opens it only after it has lost', async () => {
    const clock = new ManualClock();
    const gate = deferred<void>();
    const loser = source('a');
    const stream = pipeline(hedge({ delayMs: 100, clock })).executeStream(async ({ hedge: which }) => {
      if (which === 1) return words('A');
      await gate.promise;
      return loser;
    });
    const all = collect(stream);
    await clock.advanceAsync(100);
    expect(await all).toEqual(['A']);
    gate.resolve();
    await turn();
    expect(loser.closed).toHaveBeenCalled();
  });
});

describe('a stream through chaos', () => {
  it('breaks, is late, or is another one, as a breaker and a limit around it see it', async () => {
    const clock = new ManualClock();
    const around = () => [new CircuitBreaker({ clock }), timeout({ totalMs: 1_000, clock })] as const;
    const broken = pipeline(...around(), chaosFault({ injectionRate: 1, fault: () => down }));
    expect(await outcomeOf(collect(broken.executeStream(() => words('a'))))).toBe(down);
    const other = pipeline(...around(), chaosOutcome({ injectionRate: 1, outcome: () => words('b') }));
    expect(await collect(other.executeStream(() => words('a')))).toEqual(['b']);
    const late = pipeline(...around(), chaosLatency({ injectionRate: 1, latencyMs: 50, clock }));
    const all = collect(late.executeStream(() => words('a')));
    await clock.advanceAsync(50);
    expect(await all).toEqual(['a']);
    expect(clock.pendingTimers).toBe(0);
  });
});
