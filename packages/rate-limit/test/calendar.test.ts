import { ManualClock } from '@tidegate/test-kit';
import { describe, expect, test } from 'vitest';
import { type CalendarQuotaOptions, calendarQuota } from '../src/calendar.ts';
import { RateLimiter, tokenBucket } from '../src/index.ts';

const month = { limit: 3, every: 'month', timeZone: 'Asia/Seoul' } as const;
const wall = Date.UTC(2026, 0, 31, 14); // 23:00 on 31 January in Seoul

test('lets through so many until the month ends in Seoul, and says when that is', () => {
  const clock = new ManualClock({ wall });
  const limiter = new RateLimiter({ clock, limits: [calendarQuota({ ...month, name: 'month' })] });
  expect([1, 2, 3].map(() => limiter.consumeSync().allowed)).toEqual([true, true, true]);
  expect(limiter.consumeSync()).toMatchObject({
    allowed: false,
    retryAfterMs: 3_600_000,
    message: "limit 'month' is used up (3 each month of the calendar in Asia/Seoul)",
  });
  clock.advance(3_599_999);
  expect(limiter.consumeSync().allowed).toBe(false);
  clock.advance(1);
  expect(limiter.consumeSync()).toMatchObject({ allowed: true, remaining: 2 });
});

test('a cost above the limit never fits', () => {
  const limiter = new RateLimiter({ clock: new ManualClock(), limits: [calendarQuota(month)] });
  expect(limiter.consumeSync(undefined, { cost: 4 })).toMatchObject({ allowed: false, permanent: true });
});

test('stands beside other limits, all or nothing', async () => {
  const clock = new ManualClock({ wall });
  const limits = [tokenBucket({ name: 'second', burst: 2 }), calendarQuota({ ...month, name: 'month', unit: 'tokens' })];
  const limiter = new RateLimiter({ clock, limits });
  expect(limiter.consumeSync(undefined, { cost: { tokens: 3 } }).allowed).toBe(true);
  expect(limiter.consumeSync(undefined, { cost: { tokens: 1 } })).toMatchObject({ allowed: false, limit: 'month' });
  const { levels } = await limiter.peek(undefined, { cost: { tokens: 0 }, levels: true });
  expect(levels).toMatchObject([
    { name: 'second', remaining: 1 },
    { name: 'month', unit: 'tokens', quota: 3, windowMs: 30 * 86_400_000, remaining: 0, moreInMs: 3_600_000, fullInMs: 3_600_000 },
  ]);
});

test('a reservation of last month gives nothing back to this one', async () => {
  const clock = new ManualClock({ wall });
  const limiter = new RateLimiter({ clock, limits: [calendarQuota(month)] });
  const [old, kept] = [await limiter.reserve(undefined, { cost: 2 }), await limiter.reserve()];
  await kept.settle(0);
  expect(await limiter.peek()).toMatchObject({ remaining: 1 });
  clock.advance(3_600_000);
  limiter.consumeSync(undefined, { cost: 2 });
  await old.release();
  expect(await limiter.peek()).toMatchObject({ remaining: 1 });
});

describe('bad options', () => {
  const make = (change: object) => () => calendarQuota({ ...month, ...change } as CalendarQuotaOptions);

  test.each([0, -1, 1.5, Number.NaN, 1_000_000_001, '3'])('limit %s is refused', (limit) => {
    expect(make({ limit })).toThrow(`calendarQuota: limit must be a whole number from 1 to 1000000000, not ${limit}`);
  });

  test.each(['fortnight', 'Month', '', undefined])('every %s is refused', (every) => {
    expect(make({ every })).toThrow(`calendarQuota: every must be hour, day, week, month, year, not '${every}'`);
  });

  test.each(['Mars/Olympus', '', '+09:00', 'Asia/', 9, null, undefined])('the zone %s is refused', (timeZone) => {
    expect(make({ timeZone })).toThrow(RangeError);
    expect(make({ timeZone })).toThrow("calendarQuota: timeZone must be an IANA time zone such as 'Asia/Seoul'");
  });

  test('an unknown name is refused', () => expect(make({ zone: 'UTC' })).toThrow("calendarQuota: unknown option 'zone'"));
});
