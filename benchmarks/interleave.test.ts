import { expect, test } from 'vitest';
import { type Contender, interleave, ratios, rotated, spread } from './interleave.ts';

/** A machine on which time passes only as its contenders say. */
function machine() {
  let time = 0;
  const order: string[] = [];
  const contender = (name: string, msPerCall: (batch: number) => number): Contender => {
    let batch = 0;
    return {
      name,
      kind: 'ours',
      run: (calls) => {
        order.push(name);
        batch += 1;
        time += calls * msPerCall(batch);
        return calls;
      },
    };
  };
  return { now: () => time, order, contender };
}

test('a round counts the fastest batch, in nanoseconds a call', async () => {
  const { now, contender } = machine();
  const steady = contender('steady', () => 0.001);
  const disturbed = contender('disturbed', (batch) => (batch % 5 === 0 ? 0.002 : 0.7)); // 4 of 5 batches are interrupted
  const rows = await interleave([steady, disturbed], { now, rounds: 3, batches: 10, batchMs: 1 });
  expect(rows.map(({ name, rounds }) => [name, rounds.length])).toEqual([
    ['steady', 3],
    ['disturbed', 3],
  ]);
  for (const ns of rows[0]?.rounds ?? []) expect(ns).toBeCloseTo(1_000, 6);
  for (const ns of rows[1]?.rounds ?? []) expect(ns).toBeCloseTo(2_000, 6);
});

test('batches take about as long as asked for, whatever a call takes', async () => {
  const { now, contender } = machine();
  for (const msPerCall of [0.000_03, 0.01, 0.4, 3]) {
    const sizes: number[] = [];
    const counted = contender('counted', () => msPerCall);
    const noted = (calls: number) => {
      sizes.push(calls);
      return counted.run(calls);
    };
    await interleave([{ ...counted, run: noted }], { now, rounds: 1, batches: 1, batchMs: 1 });
    const last = (sizes.at(-1) ?? 0) * msPerCall;
    expect(last).toBeGreaterThanOrEqual(0.75);
    expect(last).toBeLessThanOrEqual(Math.max(msPerCall, 1.25));
  }
});

test('every round runs all contenders and begins with another one', async () => {
  const { now, order, contender } = machine();
  const contenders = ['a', 'b', 'c'].map((name) => contender(name, () => 1));
  await interleave(contenders, { now, rounds: 4, batches: 1, batchMs: 1 });
  expect(order.slice(-12).join('')).toBe('abcbcacababc');
  expect(rotated(3, 4)).toEqual([1, 2, 0]);
});

test('asynchronous work is waited for', async () => {
  const { now, contender } = machine();
  const inner = contender('late', () => 0.5);
  const late: Contender = { ...inner, run: (calls) => Promise.resolve().then(() => inner.run(calls)) };
  const [row] = await interleave([late], { now, rounds: 2, batches: 2, batchMs: 1 });
  expect(row?.rounds).toEqual([500_000, 500_000]);
});

test('work that did not come out right is no measurement', async () => {
  const idle: Contender = { name: 'idle', kind: 'rival', run: (calls) => calls - 1 };
  await expect(interleave([idle])).rejects.toThrow("'idle' did its work 0 of 1 times");
});

test('the middle and the ends of numbers, however many and in whatever order', () => {
  expect(spread([10, 2, 33])).toEqual({ median: 10, min: 2, max: 33 });
  expect(spread([4, 1, 3, 2])).toEqual({ median: 2.5, min: 1, max: 4 });
  expect(spread([7])).toEqual({ median: 7, min: 7, max: 7 });
  expect(() => spread([])).toThrow(RangeError);
});

test('a ratio is taken within each round, so that a slow round does not change it', () => {
  expect(spread(ratios([20, 400, 22], [10, 200, 10]))).toEqual({ median: 2, min: 2, max: 2.2 });
  expect(() => ratios([1, 2], [1])).toThrow(RangeError);
});
