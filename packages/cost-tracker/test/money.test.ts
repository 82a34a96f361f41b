import { describe, expect, test } from 'vitest';
import { formatUsd, parseFraction, parseUsd, roundUsd } from '../src/money.ts';

describe('money', () => {
  test.each([
    ['50', 50_000_000_000n],
    ['0.0004503', 450_300n],
    ['0.000000001', 1n],
    ['007.500', 7_500_000_000n],
    ['1.0000000000', 1_000_000_000n],
    ['1000000000', 10n ** 18n],
    [0, 0n],
    [0.1, 100_000_000n],
    [1e-7, 100n],
    [1.5e-8, 15n],
    [2e8, 2n * 10n ** 17n],
  ])('reads %j as %d nano-dollars', (input, nano) => {
    expect(parseUsd(input, 'x')).toBe(nano);
  });

  test.each([
    [450_300n, '0.0004503'],
    [0n, '0'],
    [1n, '0.000000001'],
    [50_000_000_000n, '50'],
    [-1_500_000_000n, '-1.5'],
    [10n ** 18n, '1000000000'],
  ])('writes %d nano-dollars as %s', (nano, text) => {
    expect(formatUsd(nano)).toBe(text);
  });

  test.each([
    [Number.NaN, 'NaN'],
    [Number.POSITIVE_INFINITY, 'Infinity'],
    [-1, '-1'],
    [-1e-7, '-1e-7'],
    ['-1', '"-1"'],
    ['1e3', '"1e3"'],
    ['', '""'],
    [' 1', '" 1"'],
    ['1,5', '"1,5"'],
    ['.5', '".5"'],
    ['0x10', '"0x10"'],
    ['٣', '"٣"'],
    [undefined, 'undefined'],
    [null, 'null'],
    [10n, '10'],
    [{}, '[object Object]'],
    ['1'.repeat(65), `"${'1'.repeat(64)}"`],
  ])('refuses %s and shows it', (input, shown) => {
    const error = catchError(() => parseUsd(input as string, 'budgets[0].limitUsd'));
    expect(error).toBeInstanceOf(RangeError);
    expect(error.message).toBe(`budgets[0].limitUsd must be a plain decimal of at least 0, such as '0.002', not ${shown}`);
  });

  test('a price with a tenth decimal is refused; a cost with one is rounded half to even', () => {
    expect(() => parseUsd('0.0000000001', 'perCallUsd')).toThrow('perCallUsd must have at most 9 decimals, not "0.0000000001"');
    expect(() => parseUsd(1e-10, 'perCallUsd')).toThrow(RangeError);
    expect(roundUsd('0.0000000005', 'x')).toBe(0n);
    expect(roundUsd('0.0000000015', 'x')).toBe(2n);
    expect(roundUsd('0.0000000025', 'x')).toBe(2n);
    expect(roundUsd('0.00000000250000000001', 'x')).toBe(3n);
    expect(roundUsd(0.1 + 0.2, 'x')).toBe(300_000_000n);
    expect(roundUsd(5e-324, 'x')).toBe(0n);
  });

  test('an amount that is no money any more is refused', () => {
    const tooMuch = 'x must be at most 1000000000 USD, not 1000000000.000000001';
    expect(() => parseUsd('1000000000.000000001', 'x')).toThrow(tooMuch);
    expect(() => roundUsd('1000000000.000000001', 'x')).toThrow(tooMuch);
    expect(() => roundUsd(Number.MAX_VALUE, 'x')).toThrow(RangeError);
  });

  test('a ratio is the decimal that was written, not the float beside it', () => {
    expect(parseFraction(1.1, 'x')).toEqual({ numerator: 11n, denominator: 10n });
    expect(parseFraction(0.9, 'x')).toEqual({ numerator: 9n, denominator: 10n });
  });
});

function catchError(run: () => unknown): Error {
  try {
    run();
  } catch (error) {
    return error as Error;
  }
  throw new Error('nothing was thrown');
}
