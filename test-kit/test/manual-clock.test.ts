import { expect, test } from 'vitest';
import { ManualClock } from '../src/index.ts';

test('stands still, away from zero, until it is moved', () => {
  const clock = new ManualClock();
  const [now, wall] = [clock.now(), clock.wall()];
  expect(now).toBeGreaterThan(0);
  expect(new Date(wall).toISOString()).toBe('2026-01-15T12:00:00.000Z');
  clock.advance(1_500);
  expect([clock.now() - now, clock.wall() - wall]).toEqual([1_500, 1_500]);
});

test('jumpWall moves the wall alone and fires nothing', () => {
  const clock = new ManualClock({ now: 10, wall: 5_000 });
  let fired = 0;
  clock.setTimeout(() => fired++, 100);
  clock.jumpWall(3_600_000);
  clock.jumpWall(-7_200_000);
  expect([clock.now(), clock.wall(), fired]).toEqual([10, 5_000 - 3_600_000, 0]);
});

test('timers fire by instant, then by order, each at its own instant, also those set on the way', () => {
  const clock = new ManualClock({ now: 100 });
  const seen: [string, number][] = [];
  const note = (name: string) => () => seen.push([name, clock.now()]);
  clock.setTimeout(note('late'), 30);
  clock.setTimeout(note('first'), 10);
  clock.setTimeout(note('second'), 10);
  clock.setTimeout(() => clock.setTimeout(note('nested'), 5), 20);
  clock.setTimeout(note('beyond'), 31);
  clock.advance(30);
  expect(seen).toEqual([
    ['first', 110],
    ['second', 110],
    ['nested', 125],
    ['late', 130],
  ]);
  expect([clock.now(), clock.pendingTimers]).toEqual([130, 1]);
});

test('a cleared timer does not fire, even when cleared by the one before it', () => {
  const clock = new ManualClock();
  let fired = 0;
  const second = clock.setTimeout(() => fired++, 20);
  clock.setTimeout(() => clock.clearTimeout(second), 10);
  clock.clearTimeout(undefined);
  clock.advance(100);
  expect([fired, clock.pendingTimers]).toEqual([0, 0]);
});

test('delays that Node turns into 1 ms are 1 ms here', () => {
  for (const ms of [0, -5, Number.NaN, 2 ** 31, Infinity]) {
    const clock = new ManualClock();
    let fired = 0;
    clock.setTimeout(() => fired++, ms);
    clock.advance(0);
    expect(fired).toBe(0);
    clock.advance(1);
    expect(fired).toBe(1);
  }
  const clock = new ManualClock();
  clock.setTimeout(() => {}, 2 ** 31 - 1);
  clock.advance(2 ** 31 - 2);
  expect(clock.pendingTimers).toBe(1);
});

test('advanceAsync lets a chain of awaits run between two timers', async () => {
  const clock = new ManualClock({ now: 0 });
  const sleep = (ms: number) => new Promise<void>((resolve) => clock.setTimeout(resolve, ms));
  const seen: number[] = [];
  const loop = async () => {
    for (let i = 0; i < 3; i++) {
      await sleep(10);
      for (let hop = 0; hop < 50; hop++) await undefined;
      seen.push(clock.now());
    }
  };
  const done = loop();
  await clock.advanceAsync(30);
  expect(seen).toEqual([10, 20, 30]);
  await done;
});

test('time does not run backwards', async () => {
  const clock = new ManualClock();
  expect(() => clock.advance(-1)).toThrow(RangeError);
  expect(() => clock.advance(Number.NaN)).toThrow(RangeError);
  await expect(clock.advanceAsync(-1)).rejects.toThrow(RangeError);
});

test('a timer may be referenced and unreferenced', () => {
  const timer = new ManualClock().setTimeout(() => {}, 1);
  expect(timer.hasRef()).toBe(true);
  expect(timer.unref()).toBe(timer);
  expect(timer.hasRef()).toBe(false);
  expect(timer.ref().hasRef()).toBe(true);
});
