import { ManualClock } from '@tidegate/test-kit';
import { describe, expect, it } from 'vitest';
import { retryHintMs } from '../src/policies/retry-hint.ts';
import { retry } from '../src/policies.ts';
import { outcomeOf } from './calls.ts';

const clock = new ManualClock({ wall: Date.UTC(2026, 10, 20, 12) });

describe("a server's hint", () => {
  it.each<[string, unknown, number]>([
    ['retryAfterMs', { retryAfterMs: 1_500.5 }, 1_500.5],
    ['retryAfterMs, however long', { retryAfterMs: Number.POSITIVE_INFINITY }, Number.POSITIVE_INFINITY],
    ['retryAfterMs before headers', { retryAfterMs: 1_500, headers: { 'retry-after': '9' } }, 1_500],
    ['headers where retryAfterMs is nonsense', { retryAfterMs: Number.NaN, headers: { 'retry-after': '9' } }, 9_000],
    ['ms in Headers', { headers: new Headers({ 'Retry-After-Ms': '250', 'Retry-After': '9' }) }, 250],
    ['seconds in an object', { headers: { 'Retry-After': '2' } }, 2_000],
    ['headers of the response', { response: { headers: new Headers({ 'Retry-After': '2' }) } }, 2_000],
    ['a date', { headers: { 'retry-after': 'Fri, 20 Nov 2026 12:00:03 GMT' } }, 3_000],
    ['a refusal to be asked again', { headers: { 'x-should-retry': 'false', 'retry-after': '1' } }, Number.POSITIVE_INFINITY],
    ['leave to be asked again', { headers: { 'x-should-retry': 'true' } }, 0],
    ['nonsense', { headers: { 'retry-after': '-5', 'retry-after-ms': 'NaN' } }, 0],
    ['no headers', { headers: null, response: null }, 0],
    ['no object', 'retry-after: 5', 0],
    ['nothing', null, 0],
  ])('is read from %s', (_, result, ms) => {
    expect(retryHintMs(result, clock)).toBe(ms);
  });

  it('decides how long a retry waits, and whether it does', async () => {
    const attempts = async (headers: Record<string, string>) => {
      const own = new ManualClock();
      let made = 0;
      const call = outcomeOf(
        retry({ clock: own, maxAttempts: 2 }).execute(() => {
          made += 1;
          throw Object.assign(new Error('busy'), { headers: new Headers(headers) });
        }),
      );
      await own.advanceAsync(6_999);
      const early = made;
      await own.advanceAsync(1);
      await own.advanceAsync(100_000);
      await call;
      return [early, made];
    };
    expect(await attempts({ 'retry-after': '7' })).toEqual([1, 2]);
    expect(await attempts({ 'retry-after': '31' })).toEqual([1, 1]);
    expect(await attempts({ 'x-should-retry': 'false' })).toEqual([1, 1]);
  });
});
