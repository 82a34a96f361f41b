import { getEventListeners, setMaxListeners } from 'node:events';
import { ManualClock } from '@tidegate/test-kit';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { isRateLimitError, per, RateLimiter, tokenBucket } from '../src/index.ts';

let clock: ManualClock;
beforeEach(() => {
  clock = new ManualClock();
});
afterEach(() => expect(clock.pendingTimers, 'timers left behind').toBe(0));

/** One token a second, one at once, and that one already taken from 'a' and 'b'. */
function emptied(maxWaiting?: number): RateLimiter<string> {
  const limits = [tokenBucket({ name: 'steady', rate: per(1, 'second') })];
  const limiter = new RateLimiter<string>({ key: (subject) => subject, limits, clock, ...(maxWaiting !== undefined && { maxWaiting }) });
  for (const key of ['a', 'b']) limiter.consumeSync(key);
  return limiter;
}

const settled = (promise: Promise<void>) =>
  promise.then(
    () => 'admitted',
    (error: unknown) => error,
  );
const listeners = (signal: AbortSignal) => getEventListeners(signal, 'abort').length;

describe('signal', () => {
  test('already aborted: nothing is taken, the reason is thrown as it is', async () => {
    const limiter = emptied();
    const reason = { why: 'the user left' };
    expect(await settled(limiter.acquire('c', { signal: AbortSignal.abort(reason) }))).toBe(reason);
    expect(await settled(limiter.acquire('a', { signal: AbortSignal.abort(reason) }))).toBe(reason);
    expect(await limiter.peek('c')).toMatchObject({ allowed: true, remaining: 1 });
  });

  test('aborted while waiting: the place, the listener and the timer are free again', async () => {
    const limiter = emptied(1);
    const { signal, ...controller } = control();
    const waiting = settled(limiter.acquire('a', { signal }));
    expect(listeners(signal)).toBe(1);
    expect(await settled(limiter.acquire('b'))).toMatchObject({ code: 'ERR_QUEUE_FULL' });
    controller.abort('enough');
    expect(await waiting).toBe('enough');
    expect(listeners(signal)).toBe(0);
    expect(clock.pendingTimers).toBe(0);
    const next = settled(limiter.acquire('b'));
    await clock.advanceAsync(1_000);
    expect(await next).toBe('admitted');
  });

  test('aborted at the head: the next one takes its turn, no token is lost', async () => {
    const limiter = emptied();
    const { signal, abort } = control();
    const first = settled(limiter.acquire('a', { signal }));
    const second = settled(limiter.acquire('a'));
    await clock.advanceAsync(500);
    abort('enough');
    expect(await first).toBe('enough');
    await clock.advanceAsync(500);
    expect(await second).toBe('admitted');
  });

  test('aborted at the head of a large cost: what fits then is let in without a further wait', async () => {
    const limits = [tokenBucket({ rate: per(1, 'second'), burst: 5 })];
    const limiter = new RateLimiter({ limits, clock });
    limiter.consumeSync(undefined, { cost: 4 });
    const { signal, abort } = control();
    const large = settled(limiter.acquire(undefined, { cost: 5, signal }));
    const small = settled(limiter.acquire());
    abort('enough');
    expect(await large).toBe('enough');
    expect(await small).toBe('admitted');
  });

  test('aborted behind the head: the order of the others stays', async () => {
    const limiter = emptied();
    const { signal, abort } = control();
    const order: string[] = [];
    const enter = (name: string, of?: AbortSignal) =>
      limiter.acquire('a', of && { signal: of }).then(
        () => order.push(name),
        () => order.push(`${name} left`),
      );
    const all = [enter('1'), enter('2', signal), enter('3')];
    abort('enough');
    await clock.advanceAsync(2_000);
    await Promise.all(all);
    expect(order).toEqual(['2 left', '1', '3']);
  });

  test('aborted after admission: nothing happens, no listener is left', async () => {
    const limiter = emptied();
    const { signal, abort } = control();
    const waiting = settled(limiter.acquire('a', { signal }));
    await clock.advanceAsync(1_000);
    expect(await waiting).toBe('admitted');
    expect(listeners(signal)).toBe(0);
    abort('too late');
  });

  test('a refusal leaves no listener', async () => {
    const limiter = emptied();
    const { signal } = control();
    const ahead = settled(limiter.acquire('a'));
    const waiting = settled(limiter.acquire('a', { signal, maxWaitMs: 1_200 }));
    await clock.advanceAsync(1_200);
    expect(await ahead).toBe('admitted');
    expect(await waiting).toMatchObject({ code: 'ERR_RATE_LIMITED' });
    expect(listeners(signal)).toBe(0);
  });
});

describe('maxWaiting', () => {
  test('counts the waiting callers of all keys', async () => {
    const limiter = emptied(2);
    const waiting = [settled(limiter.acquire('a')), settled(limiter.acquire('b'))];
    for (const key of ['a', 'b']) {
      const refused = await settled(limiter.acquire(key));
      expect(isRateLimitError(refused)).toBe(true);
      expect(refused).toMatchObject({ code: 'ERR_QUEUE_FULL' });
    }
    await limiter.acquire('c'); // does not have to wait
    await clock.advanceAsync(1_000);
    expect(await Promise.all(waiting)).toEqual(['admitted', 'admitted']);
    const again = settled(limiter.acquire('a'));
    await clock.advanceAsync(1_000);
    expect(await again).toBe('admitted');
  });

  test('0 lets nobody wait', async () => {
    const limiter = emptied(0);
    expect(await settled(limiter.acquire('a'))).toMatchObject({ code: 'ERR_QUEUE_FULL' });
    expect(await settled(limiter.acquire('c'))).toBe('admitted');
  });
});

describe('close', () => {
  test('ends every wait with ERR_CLOSED, and no one waits after it', async () => {
    const limiter = emptied();
    const { signal } = control();
    const waiting = [limiter.acquire('a', { signal }), limiter.acquire('a'), limiter.acquire('b')].map(settled);
    await limiter.close();
    for (const ended of await Promise.all(waiting)) {
      expect(isRateLimitError(ended)).toBe(true);
      expect(ended).toMatchObject({ code: 'ERR_CLOSED' });
    }
    expect(listeners(signal)).toBe(0);
    expect(clock.pendingTimers).toBe(0);
    expect(await settled(limiter.acquire('a'))).toMatchObject({ code: 'ERR_CLOSED' });
    await limiter.close();
  });

  test('is what `await using` calls', async () => {
    const limiter = emptied();
    const waiting = settled(limiter.acquire('a'));
    await limiter[Symbol.asyncDispose]();
    expect(await waiting).toMatchObject({ code: 'ERR_CLOSED' });
  });
});

test('1 000 who wait and leave again in any way leave nothing behind', async () => {
  const limiter = emptied();
  const { signal, abort } = control();
  setMaxListeners(0, signal);
  const all = Array.from({ length: 1_000 }, (_, i) => {
    const ending = [{ signal }, { maxWaitMs: 30_000 + i }, {}][i % 3] as { signal?: AbortSignal; maxWaitMs?: number };
    return settled(limiter.acquire(i % 2 ? 'a' : 'b', ending));
  });
  await clock.advanceAsync(20_000);
  abort('enough');
  await clock.advanceAsync(40_000);
  await limiter.close();
  const outcomes = await Promise.all(all);
  expect(outcomes.filter((outcome) => outcome === 'admitted')).toHaveLength(120);
  expect(new Set(outcomes.map((outcome) => (outcome as { code?: string }).code ?? outcome))).toEqual(
    new Set(['admitted', 'enough', 'ERR_RATE_LIMITED', 'ERR_CLOSED']),
  );
  expect(listeners(signal)).toBe(0);
});

function control() {
  const controller = new AbortController();
  return { signal: controller.signal, abort: (reason: unknown) => controller.abort(reason) };
}
