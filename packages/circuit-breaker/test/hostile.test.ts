import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ManualClock } from '@tidegate/test-kit';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { llmTraffic } from '../src/classifiers.ts';
import { breakerFetch } from '../src/fetch.ts';
import { CircuitBreaker, CircuitOpenError } from '../src/index.ts';
import { bulkhead, type Policy, pipeline, retry, timeout } from '../src/policies.ts';
import { PolicyFile, PolicyFileError } from '../src/policy-file.ts';
import { CircuitBreakerPool } from '../src/pool.ts';
import { CircuitBreakerRegistry } from '../src/registry.ts';
import { replaySvg } from '../src/replay/replay-svg.ts';
import { replayCalls, TraceError } from '../src/replay.ts';
import { admitted, deferred, outcomeOf, succeed } from './calls.ts';

/** What reached the process instead of a caller. */
const escaped: unknown[] = [];
const caught = (error: unknown) => void escaped.push(error);
let others: NodeJS.UncaughtExceptionListener[] = [];

beforeEach(() => {
  escaped.length = 0;
  others = process.listeners('uncaughtException');
  process.removeAllListeners('uncaughtException');
  process.on('uncaughtException', caught);
  process.on('unhandledRejection', caught);
});

afterEach(() => {
  process.off('uncaughtException', caught);
  process.off('unhandledRejection', caught);
  for (const listener of others) process.on('uncaughtException', listener);
});

/** Long enough for everything that needs no time. */
const settle = () => new Promise((resolve) => setTimeout(resolve, 20));

/** What a promise has come to by now. */
const byNow = (promise: Promise<unknown>) => Promise.race([outcomeOf(promise), settle().then(() => 'still waiting')]);

const never = new Promise<never>(() => {});

/** A source by hand, as SDKs make them: `next` as given after the first item. */
function source(next: () => Promise<IteratorResult<number>>, end?: () => Promise<IteratorResult<number>>): AsyncIterable<number> {
  let first = true;
  return {
    [Symbol.asyncIterator]: () => ({
      next: () => {
        if (!first) return next();
        first = false;
        return Promise.resolve({ done: false, value: 1 });
      },
      ...(end && { return: end }),
    }),
  };
}

const throws = () => {
  throw new Error('return() throws');
};

describe('streams', () => {
  it('an abort ends a waiting next() at once, also where return() of the source throws', async () => {
    const stop = new AbortController();
    const stream = new CircuitBreaker().executeStream(() => source(() => never, throws), { signal: stop.signal });
    await stream.next();
    const waiting = stream.next();
    await settle();
    stop.abort('enough');
    expect(await byNow(waiting)).toBe('enough');
    expect(escaped).toEqual([]);
  });

  it('a time limit ends a stream whose source throws in return(), and brings the process no exception', async () => {
    const stream = pipeline(new CircuitBreaker(), timeout({ idleMs: 5 })).executeStream(() => source(() => never, throws));
    await stream.next();
    expect(await byNow(stream.next())).toMatchObject({ code: 'ERR_IDLE_TIMEOUT' });
    expect(escaped).toEqual([]);
  });

  it('a bulkhead has its place back after an abort, also where return() of the source throws', async () => {
    const places = bulkhead({ maxConcurrent: 1 });
    const stop = new AbortController();
    const stream = pipeline(places).executeStream(() => source(() => never, throws), { signal: stop.signal });
    await stream.next();
    void stream.next().catch(() => {});
    stop.abort();
    await settle();
    expect(places.metrics().running).toBe(0);
  });

  it('an abort ends a waiting next() at once, also where it comes from within the function', async () => {
    const stop = new AbortController();
    const stream = new CircuitBreaker().executeStream(
      () => {
        stop.abort('enough');
        return never;
      },
      { signal: stop.signal },
    );
    expect(await byNow(stream.next())).toBe('enough');
  });

  it('an abort ends a waiting next() at once, also where it comes from within next() of the source', async () => {
    const stop = new AbortController();
    const items = source(() => {
      stop.abort('enough');
      return never;
    });
    const stream = new CircuitBreaker().executeStream(() => items, { signal: stop.signal });
    await stream.next();
    expect(await byNow(stream.next())).toBe('enough');
  });

  it('suspendTimeouts stops the clock of an item that is asked for while it is suspended', async () => {
    const clock = new ManualClock();
    const asked = deferred<void>();
    const stream = pipeline(timeout({ idleMs: 100, clock })).executeStream(async function* ({ suspendTimeouts }) {
      const goOn = suspendTimeouts();
      yield 'a person is asked';
      await asked.promise;
      goOn();
      yield 'the answer';
    });
    await stream.next();
    const answer = stream.next();
    await settle();
    clock.advance(1_000);
    asked.resolve();
    expect(await byNow(answer)).toEqual({ done: false, value: 'the answer' });
  });

  it('the limit for items still works after a suspension that ended in a later item than it began', async () => {
    const clock = new ManualClock();
    const stream = pipeline(timeout({ idleMs: 100, clock })).executeStream(async function* ({ suspendTimeouts }) {
      const first = suspendTimeouts();
      yield 1;
      first();
      const second = suspendTimeouts();
      second();
      await never;
    });
    await stream.next();
    const waiting = stream.next();
    await settle();
    clock.advance(1_000);
    expect(await byNow(waiting)).toMatchObject({ code: 'ERR_IDLE_TIMEOUT' });
  });

  describe("inside another library's policy that does not pass the abort on", () => {
    const deaf: Policy = { execute: async (fn) => fn({ signal: new AbortController().signal }) };

    it('a stream that opens after the abort is closed and gives its place back', async () => {
      const places = bulkhead({ maxConcurrent: 1 });
      const stop = new AbortController();
      const opens = deferred<AsyncIterable<number>>();
      const stream = pipeline(deaf, places).executeStream(() => opens.promise, { signal: stop.signal });
      void stream.next().catch(() => {});
      await settle();
      stop.abort();
      opens.resolve(source(() => never));
      await settle();
      expect(places.metrics().running).toBe(0);
    });

    it('a consumer who stops while it waits closes the stream and gives its place back', async () => {
      const places = bulkhead({ maxConcurrent: 1 });
      const stream = pipeline(deaf, places).executeStream(() => source(() => never));
      await stream.next();
      const waiting = stream.next();
      await settle();
      await stream.return?.();
      expect(await byNow(waiting)).toEqual({ done: true, value: undefined });
      expect(places.metrics().running).toBe(0);
    });
  });

  it('an abort ends a return() of which the source makes nothing', async () => {
    const stop = new AbortController();
    const stream = new CircuitBreaker().executeStream(
      () =>
        source(
          () => never,
          () => never,
        ),
      { signal: stop.signal },
    );
    await stream.next();
    const leaving = stream.return?.() ?? never;
    await settle();
    stop.abort('enough');
    expect(await byNow(leaving)).not.toBe('still waiting');
  });
});

describe('refusals', () => {
  it('a refusal takes a longer message and another stack, as any error', () => {
    const refused = new CircuitOpenError('weather', 'open', 5);
    expect(() => {
      (refused as { message: string }).message = `forecast: ${refused.message}`;
      (refused as { stack: string }).stack = 'elsewhere';
    }).not.toThrow();
    expect(refused.message).toBe("forecast: circuit 'weather' is open for 5 ms");
  });
});

describe('listeners', () => {
  it('one that is async and throws brings the process no rejection', async () => {
    const breaker = new CircuitBreaker();
    breaker.on('success', (async () => {
      throw new Error('listener');
    }) as () => void);
    succeed(breaker);
    await settle();
    expect(escaped).toEqual([]);
  });

  it('a classifier that is async and throws brings the process no rejection', async () => {
    const rule = (async () => {
      throw new Error('rule');
    }) as never;
    await new CircuitBreaker({ classify: { value: rule } }).execute(() => 1);
    await settle();
    expect(escaped).toEqual([]);
  });
});

describe('options that are wrong are refused by name', () => {
  it.each([
    ['name', () => new CircuitBreaker({ name: 42 as never })],
    ['random', () => new CircuitBreaker({ random: 0.5 as never })],
    ['clock', () => new CircuitBreaker({ clock: {} as never })],
    ['retryIf', () => retry({ retryIf: true as never })],
    ['clock', () => retry({ clock: {} as never })],
    ['name', () => bulkhead({ name: 42 as never, maxConcurrent: 1 })],
    ['policies', () => pipeline({} as never)],
    ['random', () => new CircuitBreakerPool({ members: [{ name: 'a' }], random: 0.5 as never })],
  ])('%s', (option, make) => {
    expect(make).toThrow(RangeError);
    expect(make).toThrow(option);
  });
});

describe('permits', () => {
  const watched = () => {
    const clock = new ManualClock();
    return { clock, breaker: new CircuitBreaker({ ...llmTraffic(), clock }) };
  };

  it('calls in flight do not fall below zero where a permit comes back twice', () => {
    const { clock, breaker } = watched();
    const permit = admitted(breaker);
    clock.advance(120_000);
    expect(breaker.metrics().slowCallsInFlight).toBe(1);
    breaker.release(permit);
    breaker.release(permit);
    expect(breaker.metrics().slowCallsInFlight).toBeGreaterThanOrEqual(0);
  });

  it('answered() twice is answered() once', () => {
    const { clock, breaker } = watched();
    const permit = breaker.answered(breaker.answered(admitted(breaker)));
    breaker.release(permit);
    clock.advance(120_000);
    expect(breaker.metrics().slowCallsInFlight).toBe(0);
    const hanging = admitted(breaker);
    clock.advance(120_000);
    expect(breaker.metrics().slowCallsInFlight).toBe(1);
    breaker.release(hanging);
  });

  it('a number that is no permit counts as nothing', () => {
    const breaker = new CircuitBreaker();
    for (let i = 0; i < 5; i++) breaker.onFailure(1e9 + i);
    expect(breaker.state).toBe('closed');
  });

  it('a permit is back after onThrottled, also where the hint is no number', () => {
    const pool = new CircuitBreakerPool({ members: [{ name: 'a' }] });
    const permit = pool.tryAcquire();
    expect(() => permit?.onThrottled(Number.NaN)).toThrow(RangeError);
    expect(pool.metrics().inFlight).toBe(0);
  });

  it('a probe that hangs fails at its deadline, also where reconfigure has shortened that of a later one', () => {
    const clock = new ManualClock();
    const options = { permittedNumberOfCallsInHalfOpenState: 2, waitDurationInOpenStateMs: 1_000, clock };
    const breaker = new CircuitBreaker({ ...options, maxWaitDurationInHalfOpenStateMs: 300_000 });
    breaker.transitionTo('open');
    clock.advance(1_000);
    admitted(breaker);
    breaker.reconfigure({ ...options, maxWaitDurationInHalfOpenStateMs: 1_000 });
    admitted(breaker);
    clock.advance(1_000);
    expect(breaker.state).toBe('open');
  });
});

describe('registry', () => {
  it('clear() ends where a listener to removed asks for the key again', () => {
    const breakers = new CircuitBreakerRegistry();
    breakers.get('a');
    let removed = 0;
    breakers.on('removed', ({ key }) => {
      removed += 1;
      if (removed < 1_000) breakers.get(key);
    });
    breakers.clear();
    expect(removed).toBe(1);
  });

  it('a key without a text is a key where the options name its breaker', () => {
    const breakers = new CircuitBreakerRegistry<object>({ options: () => ({ name: 'tenant' }) });
    expect(breakers.get(Object.create(null)).name).toBe('tenant');
  });
});

describe('snapshots', () => {
  const taken = () => JSON.parse(JSON.stringify(new CircuitBreaker().snapshot())) as Record<string, unknown>;

  it('one with an object that has no text is refused by a RangeError that names the member', () => {
    const hostile = { ...taken(), takenAt: JSON.parse('{ "toString": 1, "valueOf": 1 }') };
    expect(() => new CircuitBreaker().restore(hostile as never)).toThrow(RangeError);
  });

  it('one with a megabyte in a member is refused in a line that a log can take', () => {
    const hostile = { ...taken(), state: 'x'.repeat(1_000_000) };
    let message = '';
    try {
      new CircuitBreaker().restore(hostile as never);
    } catch (error) {
      message = (error as Error).message;
    }
    expect(message.length).toBeLessThan(1_000);
  });
});

describe('late results', () => {
  it("a server's longer request to stay away is kept, also where the circuit is half-open by then", () => {
    const clock = new ManualClock();
    const breaker = new CircuitBreaker({ waitDurationInOpenStateMs: 1_000, clock });
    const early = admitted(breaker);
    breaker.transitionTo('open');
    clock.advance(1_000);
    expect(breaker.state).toBe('half-open');
    breaker.onThrottled(early, 60_000);
    expect(breaker.tryAcquire()).toBeUndefined();
  });
});

describe('breakerFetch', () => {
  it('a probe that was answered well does not fail for want of a reader', async () => {
    const clock = new ManualClock();
    const breaker = new CircuitBreaker({ waitDurationInOpenStateMs: 1_000, clock });
    const guarded = breakerFetch({ breaker, clock, fetch: async () => new Response('cached for hours') });
    breaker.transitionTo('open');
    clock.advance(1_000);
    const cache = new Map([['answer', await guarded('http://127.0.0.1/')]]);
    clock.advance(1_000);
    expect(cache.get('answer')?.ok).toBe(true);
    expect(breaker.state).not.toBe('open');
  });
});

describe('two copies of the package, as by import and require', () => {
  it("a stream is refused where the other copy's breaker could not watch it to its end", async () => {
    vi.resetModules();
    const there = await import('../src/index.ts');
    const breaker = new there.CircuitBreaker({ slidingWindow: { type: 'consecutive', failures: 1 } });
    const stream = pipeline(breaker).executeStream(async function* () {
      yield 1;
    });
    expect(await outcomeOf(stream.next())).toMatchObject({ message: expect.stringContaining('another copy of this package') });
  });
});

describe('replay', () => {
  it('draws every trace that it reads', () => {
    const call = { startMs: 8.64e15, durationMs: 1, outcome: 'success' } as const;
    const report = replayCalls([call], { policies: { a: {} } });
    expect(() => replaySvg(report, { failures: [0], bands: [] })).not.toThrow();
  });

  it('refuses what is no call by a TraceError', () => {
    expect(() => replayCalls([null as never], { policies: { a: {} } })).toThrow(TraceError);
  });
});

describe('policy file', () => {
  it('takes no change after close()', async () => {
    const path = join(mkdtempSync(join(tmpdir(), 'hostile-')), 'policies.json');
    const clock = new ManualClock();
    writeFileSync(path, '{"policies":{"a":{"circuitBreaker":{}}}}');
    const policies = new PolicyFile({ path, clock });
    const reading = policies.reload(); // as the watcher does
    writeFileSync(path, '{"policies":{"a":{"circuitBreaker":{}},"b":{}}}');
    await policies.close();
    const names = policies.names;
    await reading;
    expect(policies.names).toEqual(names);
  });

  it('says what is wrong with the largest file it reads within a few seconds', () => {
    const path = join(mkdtempSync(join(tmpdir(), 'hostile-')), 'policies.json');
    const wrong = Array.from({ length: 25_000 }, (_, i) => `"n${i}":{"retry":{"x":1}}`);
    writeFileSync(path, `{"policies":{\n${wrong.join(',\n')}}}`);
    const startedAt = performance.now();
    expect(() => new PolicyFile({ path, watch: false })).toThrow(PolicyFileError);
    expect(performance.now() - startedAt).toBeLessThan(4_000);
  });
});
