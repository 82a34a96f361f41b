import { fc, test } from '@fast-check/vitest';
import { expect } from 'vitest';
import { admits, levelOf, readBudgets } from '../src/budget.ts';
import { formatUsd, parseUsd, roundUsd } from '../src/money.ts';

const amount = fc.bigInt({ min: 0n, max: 10n ** 18n });
const digits = (count: number) => fc.array(fc.integer({ min: 0, max: 9 }), { maxLength: count }).map((each) => each.join(''));

test.prop([amount])('what is written is read back as the same amount', (nano) => {
  const text = formatUsd(nano);
  expect(text).toMatch(/^(0|[1-9]\d*)(\.\d*[1-9])?$/);
  expect(parseUsd(text, 'x')).toBe(nano);
});

test.prop([fc.integer({ min: 0, max: 999_999_999_999_999 }), fc.integer({ min: 0, max: 9 })])(
  'a number means the decimal it prints as: the same as its text',
  (digits, places) => {
    const text = formatUsd(BigInt(digits) * 10n ** BigInt(9 - places));
    fc.pre(digits / 10 ** places <= 1e9);
    expect(parseUsd(Number(text), 'x')).toBe(parseUsd(text, 'x'));
  },
);

test.prop([fc.integer({ min: 0, max: 1_000_000 }), digits(30)])(
  'rounding is to the nearest nano-dollar, halves to even',
  (whole, fraction) => {
    const rounded = roundUsd(`${whole}.${fraction}0`, 'x');
    const scale = 10n ** BigInt(fraction.length + 1);
    const exact = BigInt(`${whole}${fraction}0`) * 10n ** 9n; // nano-dollars times scale
    const distance = rounded * scale > exact ? rounded * scale - exact : exact - rounded * scale;
    expect(distance * 2n).toBeLessThanOrEqual(scale);
    if (distance * 2n === scale) expect(rounded % 2n).toBe(0n);
  },
);

test.prop([fc.array(amount, { maxLength: 50 }), fc.integer()])('a sum is the same in every order and loses nothing', (amounts, seed) => {
  const sum = (each: readonly bigint[]) => each.reduce((total, nano) => total + parseUsd(formatUsd(nano), 'x'), 0n);
  const shuffled = amounts.map((nano, index) => [Math.sin(seed + index), nano] as const).sort(([a], [b]) => a - b);
  expect(sum(shuffled.map(([, nano]) => nano))).toBe(amounts.reduce((total, nano) => total + nano, 0n));
});

test.prop([fc.bigInt({ min: 1n, max: 10n ** 18n }), fc.integer({ min: 1, max: 300 }), fc.bigInt({ min: -3n, max: 3n })])(
  'a threshold is compared as an exact ratio of the limit',
  async (limit, percent, offset) => {
    const blocked = percent / 100;
    const options = { name: 'b', scope: { tenant: 'a' }, limitUsd: formatUsd(limit), period: 'day' as const };
    const thresholds = { warning: blocked, critical: blocked, blocked };
    const [budget] = readBudgets([{ ...options, thresholds }]).values();
    const window = await budget?.windowAt(0);
    if (!window) throw new Error('no budget');
    const line = (limit * BigInt(percent)) / 100n;
    const spent = line + offset < 0n ? 0n : line + offset;
    expect(levelOf(spent, window.marks) === 'blocked').toBe(spent * 100n >= limit * BigInt(percent));
    const room = { spent: 0n, reserved: 0n };
    expect(admits(window, room, spent)).toBe(spent * 100n <= limit * BigInt(percent));
  },
);
