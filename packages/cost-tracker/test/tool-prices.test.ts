import { fc, test as property } from '@fast-check/vitest';
import { describe, expect, test } from 'vitest';
import { type ToolPrice, type ToolPriceRecord, toolPriceFromRecord, toolPriceToRecord } from '../src/index.ts';
import { readToolPrices } from '../src/tool-prices.ts';
import { runs } from './runs.ts';

const march = Date.parse('2026-03-15T12:00:00Z');
const priceOf = (price: ToolPrice, usage = {}, at = march) => readToolPrices({ search: price })('search', usage, at);
const abroad = {
  currency: 'KRW',
  perCall: '5',
  rates: [
    { from: '2026-01-01', usd: '0.00068' },
    { from: '2026-03-16', usd: '0.0007' },
  ],
} as const;

describe('what a tool costs', () => {
  test('a call, its tokens, or both; rounded once, half to even', () => {
    expect(priceOf({ perCallUsd: '0.001' }, { inputTokens: 1_000 })).toBe(1_000_000n);
    expect(priceOf({ perTokenUsd: '0.000002' }, { inputTokens: 1_000, cacheReadTokens: 10, outputTokens: 500, webSearches: 9 })).toBe(
      3_020_000n,
    );
    expect(priceOf({ perCallUsd: 0.001, perTokenUsd: '0.0000000005' }, { inputTokens: 1 })).toBe(1_000_000n); // 1 000 000.5
    expect(priceOf({ perCallUsd: 0.001, perTokenUsd: '0.0000000005' }, { inputTokens: 3 })).toBe(1_000_002n); // 1 000 001.5
    expect(priceOf({ perTokenUsd: 5e-10 }, {})).toBe(0n);
  });

  test('in another currency at the rate of the day; before the first rate at the first', () => {
    expect(priceOf(abroad)).toBe(3_400_000n);
    expect(priceOf(abroad, {}, Date.parse('2026-03-15T23:59:59.999Z'))).toBe(3_400_000n);
    expect(priceOf(abroad, {}, Date.parse('2026-03-16T00:00:00.000Z'))).toBe(3_500_000n);
    expect(priceOf(abroad, {}, Date.parse('2020-01-01'))).toBe(3_400_000n);
    expect(priceOf({ ...abroad, perCall: 0, perToken: '0.1' }, { outputTokens: 7 })).toBe(476_000n);
  });

  test('a tool without a price costs what * costs, else nothing', () => {
    expect(readToolPrices({ '*': { perCallUsd: '1' } })('other', {}, march)).toBe(1_000_000_000n);
    expect(readToolPrices({})('constructor', {}, march)).toBe(0n);
  });

  test.each<[unknown, string]>([
    [{}, "toolPrices['search'].perCallUsd or toolPrices['search'].perTokenUsd must be given"],
    [null, "toolPrices['search'] must be an object, not null"],
    [{ perCallUsd: '0.0000000001' }, 'must have at most 9 decimals'],
    [{ perTokenUsd: '-1' }, "toolPrices['search'].perTokenUsd must be a plain decimal of at least 0, such as '0.002', not \"-1\""],
    [{ perTokenUsd: '0.00000000000000000000000001' }, "toolPrices['search'].perTokenUsd must have at most 24 characters, not 28"],
    [{ perCall: '1' }, "toolPrices['search'].perCall is unknown; known are perCallUsd, perTokenUsd"],
    [
      { currency: 'EUR', perCallUsd: '1', rates: [] },
      "toolPrices['search'].perCallUsd is unknown; known are currency, perCall, perToken, rates",
    ],
    [{ currency: '', perCall: 1, rates: [] }, "toolPrices['search'].currency must be a text that is not empty"],
    [{ currency: 'EUR', perCall: 1 }, "toolPrices['search'].rates must be a list of at least one rate"],
    [{ currency: 'EUR', rates: abroad.rates }, "toolPrices['search'].perCall or toolPrices['search'].perToken must be given"],
    [
      { currency: 'EUR', perCall: 1, rates: [{ from: 'May', usd: 1 }] },
      "toolPrices['search'].rates[0].from must be a day such as '2026-01-31', not \"May\"",
    ],
    [{ currency: 'EUR', perCall: 1, rates: [{ from: '2026-13-01', usd: 1 }] }, 'must be a day'],
    [
      { currency: 'EUR', perCall: 1, rates: [{ from: '2026-01-01', usd: Number.NaN }] },
      "toolPrices['search'].rates[0].usd must be a plain decimal",
    ],
    [
      { currency: 'EUR', perCall: 1, rates: [...abroad.rates].reverse() },
      "toolPrices['search'].rates[1].from must be later than the one before",
    ],
  ])('%j is refused', (price, message) => {
    expect(() => readToolPrices({ search: price as ToolPrice })).toThrow(RangeError);
    expect(() => readToolPrices({ search: price as ToolPrice })).toThrow(message);
  });

  test('a price that no column could hold is refused at the call', () => {
    expect(() => priceOf({ perTokenUsd: '1' }, { inputTokens: 2 ** 40 })).toThrow(
      "the price of tool 'search' must be at most 1000000000 USD",
    );
  });
});

describe('an original record', () => {
  test('is read and written', () => {
    expect(toolPriceFromRecord({ per_call: 0.001, per_token: 2e-6, currency: 'USD' })).toEqual({ perCallUsd: 0.001, perTokenUsd: 2e-6 });
    expect(toolPriceFromRecord({ per_call: 0.002 })).toEqual({ perCallUsd: 0.002 });
    expect(toolPriceToRecord({ perCallUsd: '0.001' })).toEqual({ per_call: 0.001, per_token: 0, currency: 'USD' });
    expect(toolPriceFromRecord({ per_call: 5, currency: 'KRW' }, abroad.rates)).toEqual({ ...abroad, perCall: 5 });
    expect(toolPriceToRecord(abroad)).toEqual({ per_call: 5, per_token: 0, currency: 'KRW' });
  });

  test.each([
    [{ per_call: 1, currency: 'KRW' }, 'currency must be USD, or have rates, not "KRW"'],
    [{ per_call: -1 }, 'tool price record.perCallUsd must be a plain decimal'],
    [{ currency: 'USD' }, 'must be given'],
    [{ per_calls: 1 }, 'tool price record.per_calls is unknown; known are per_call, per_token, currency'],
  ])('%j is refused', (record, message) => {
    expect(() => toolPriceFromRecord(record as ToolPriceRecord)).toThrow(message);
  });

  test('a price that is wrong is not written', () => {
    expect(() => toolPriceToRecord({ perCallUsd: 'x' })).toThrow(RangeError);
  });

  const nine = fc.nat({ max: 10 ** 9 }).map((nano) => nano / 10 ** 9);
  property.prop([nine, nine, fc.constantFrom('USD', 'EUR'), fc.nat({ max: 10 ** 6 })], runs(200))(
    'is the same after a price has been made of it, and costs the same',
    (perCall, perToken, currency, tokens) => {
      const record = { per_call: perCall, per_token: perToken, currency };
      const rates = [{ from: '2026-01-01', usd: 1 }];
      const price = toolPriceFromRecord(record, rates);
      expect(toolPriceToRecord(price)).toEqual(record);
      expect(toolPriceFromRecord(toolPriceToRecord(price), rates)).toEqual(price);
      const nano = BigInt(Math.round(perCall * 10 ** 9)) + BigInt(Math.round(perToken * 10 ** 9)) * BigInt(tokens);
      expect(priceOf(price, { inputTokens: tokens })).toBe(nano);
    },
  );
});
