import { getEventListeners } from 'node:events';
import { ManualClock } from '@tidegate/test-kit';
import { describe, expect, it, vi } from 'vitest';
import { Execution } from '../src/execution.ts';
import { isRefusal } from '../src/index.ts';
import { BulkheadFullError, bulkhead, isBulkheadFullError, pipeline, timeout } from '../src/policies.ts';
import { deferred, outcomeOf } from './calls.ts';

const turn = () => new Promise(setImmediate);

/** Calls that a test ends one by one, and the order in which they began. */
function calls(names: string) {
  const began: string[] = [];
  const ends = new Map([...names].map((name) => [name, deferred<string>()]));
  const end = (name: string) => ends.get(name) ?? expect.fail(`no call ${name}`);
  return {
    began,
    fn: (name: string) => () => {
      began.push(name);
      return end(name).promise;
    },
    end: (name: string) => end(name).resolve(name),
    fail: (name: string) => end(name).reject(new Error(name)),
  };
}

describe('bulkhead', () => {
  it('runs as many at once as it may, and the others in the order in which they came', async () => {
    const { began, fn, end, fail } = calls('abcd');
    const policy = bulkhead({ maxConcurrent: 2, maxQueue: 2 });
    const running = [...'abcd'].map((name) => outcomeOf(policy.execute(fn(name))));
    await turn();
    expect(began).toEqual(['a', 'b']);
    expect(policy.metrics()).toEqual({ running: 2, queued: 2, rejected: 0 });
    fail('b');
    await turn();
    expect(began).toEqual(['a', 'b', 'c']);
    for (const name of 'acd') {
      end(name);
      await turn();
    }
    expect(await Promise.all(running)).toEqual(['a', new Error('b'), 'c', 'd']);
    expect(policy.metrics()).toEqual({ running: 0, queued: 0, rejected: 0 });
  });

  it('refuses at once what finds no place, with its name, and calls nothing', async () => {
    const { fn, end } = calls('ab');
    const policy = bulkhead({ name: 'weather', maxConcurrent: 1, maxQueue: 1 });
    const running = [policy.execute(fn('a')), policy.execute(fn('b'))];
    const never = vi.fn();
    const error = await outcomeOf(policy.execute(never));
    expect(error).toBeInstanceOf(BulkheadFullError);
    expect(isBulkheadFullError(error)).toBe(true);
    expect(isRefusal(error)).toBe(true);
    expect(error).toMatchObject({
      name: 'BulkheadFullError',
      code: 'ERR_BULKHEAD_FULL',
      limit: 'weather',
      message: "bulkhead 'weather' is full: 1 running, 1 queued",
    });
    expect(error).not.toHaveProperty('retryAfterMs');
    expect(never).not.toHaveBeenCalled();
    expect(policy.metrics().rejected).toBe(1);
    end('a');
    end('b');
    await Promise.all(running);
  });

  it('admits the next call as soon as one has ended, without a queue', async () => {
    const policy = bulkhead({ maxConcurrent: 1 });
    for (let i = 0; i < 100; i++) expect(await policy.execute(async () => i)).toBe(i);
    for (let i = 0; i < 3; i++) {
      const thrown = policy.execute(() => {
        throw new Error('at once');
      });
      expect(await outcomeOf(thrown)).toEqual(new Error('at once'));
    }
    expect(policy.metrics()).toEqual({ running: 0, queued: 0, rejected: 0 });
  });

  it('refuses what waits longer than maxWaitMs, and frees its place in the queue', async () => {
    const clock = new ManualClock();
    const { began, fn, end } = calls('abc');
    const policy = bulkhead({ maxConcurrent: 1, maxQueue: 1, maxWaitMs: 50, clock });
    const first = policy.execute(fn('a'));
    const second = outcomeOf(policy.execute(fn('b')));
    await clock.advanceAsync(49);
    expect(policy.metrics().queued).toBe(1);
    await clock.advanceAsync(1);
    expect(await second).toMatchObject({ code: 'ERR_BULKHEAD_FULL', message: "bulkhead 'default' had no place within 50 ms" });
    expect(policy.metrics()).toEqual({ running: 1, queued: 0, rejected: 1 });
    const third = policy.execute(fn('c'));
    await clock.advanceAsync(49);
    end('a');
    end('c');
    expect(await Promise.all([first, third])).toEqual(['a', 'c']);
    expect(began).toEqual(['a', 'c']);
    expect(clock.pendingTimers).toBe(0);
  });

  it('lets a waiting call leave at once with the reason of the caller, and starves nobody behind it', async () => {
    const clock = new ManualClock();
    const { began, fn, end } = calls('abcde');
    const policy = bulkhead({ maxConcurrent: 1, maxQueue: 3, maxWaitMs: 1_000, clock });
    const caller = new AbortController();
    const first = policy.execute(fn('a'));
    const gone = [...'bc'].map((name) => outcomeOf(policy.execute(fn(name), { signal: caller.signal })));
    const last = policy.execute(fn('d'));
    await turn();
    caller.abort('left');
    expect(await Promise.all(gone)).toEqual(['left', 'left']);
    expect(getEventListeners(caller.signal, 'abort')).toHaveLength(0);
    expect(policy.metrics()).toEqual({ running: 1, queued: 1, rejected: 0 });
    const later = policy.execute(fn('e'));
    for (const name of 'ade') {
      end(name);
      await turn();
    }
    expect(await Promise.all([first, last, later])).toEqual(['a', 'd', 'e']);
    expect(began).toEqual(['a', 'd', 'e']);
    expect(clock.pendingTimers).toBe(0);
    expect(policy.metrics()).toEqual({ running: 0, queued: 0, rejected: 0 });
  });

  it('gives back the place of a call that is aborted between its turn and its start', async () => {
    const { fn, end } = calls('a');
    const policy = bulkhead({ maxConcurrent: 1, maxQueue: 1 });
    const caller = new AbortController();
    const never = vi.fn();
    const first = policy.execute(fn('a'));
    const second = outcomeOf(policy.execute(never, { signal: caller.signal }));
    end('a');
    await first;
    caller.abort('left');
    expect(await second).toBe('left');
    await turn();
    expect(never).not.toHaveBeenCalled();
    expect(policy.metrics().running).toBe(0);
    expect(await policy.execute(() => 'next')).toBe('next');
  });

  it('holds the place of a call that goes on after its abort until it has really ended', async () => {
    const clock = new ManualClock();
    const { fn, end } = calls('a');
    const policy = bulkhead({ maxConcurrent: 1 });
    const call = outcomeOf(pipeline(timeout({ totalMs: 10, clock }), policy).execute(fn('a')));
    await clock.advanceAsync(10);
    expect(await call).toMatchObject({ code: 'ERR_TIMEOUT' });
    expect(policy.metrics().running).toBe(1);
    end('a');
    await turn();
    expect(policy.metrics().running).toBe(0);
  });

  it('makes no signal unless one is read', async () => {
    const made = vi.spyOn(globalThis, 'AbortController');
    try {
      await bulkhead({ maxConcurrent: 1 }).execute(() => 1);
      expect(made).not.toHaveBeenCalled();
    } finally {
      made.mockRestore();
    }
  });
});

describe('a place that is taken by hand', () => {
  it('is held until it is given back, and given back once', async () => {
    const policy = bulkhead({ maxConcurrent: 1, maxQueue: 1 });
    const release = await policy.acquire(new Execution());
    const next = policy.acquire(new Execution());
    await turn();
    expect(policy.metrics()).toEqual({ running: 1, queued: 1, rejected: 0 });
    release();
    release();
    const second = await next;
    release();
    expect(policy.metrics()).toEqual({ running: 1, queued: 0, rejected: 0 });
    second();
    expect(policy.metrics().running).toBe(0);
  });

  it('is not waited for by an execution that is called off', async () => {
    const policy = bulkhead({ maxConcurrent: 1, maxQueue: 1 });
    const release = await policy.acquire(new Execution());
    const execution = new Execution();
    const waiting = outcomeOf(policy.acquire(execution));
    await turn();
    execution.abort('left');
    expect(await waiting).toBe('left');
    expect(await outcomeOf(policy.acquire(execution))).toBe('left');
    release();
    expect(policy.metrics()).toEqual({ running: 0, queued: 0, rejected: 0 });
  });
});
