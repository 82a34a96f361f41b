import { fc, test } from '@fast-check/vitest';
import { waitForUpdate } from '@pydantic/genai-prices';
import { expect } from 'vitest';
import type { Priced, PriceLine, PriceRequest, UsageParts } from '../src/index.ts';
import { priceBook } from '../src/prices.ts';
import { inputParts, inputTokensOf, outputParts, outputTokensOf, type UsagePart } from '../src/usage.ts';
import { runs } from './runs.ts';

const book = priceBook({
  overrides: [
    {
      model: 'odd-*',
      perMillionUsd: { inputTokens: '0.123456789012', outputTokens: '7.000000000001' },
      perThousandUsd: { webSearches: '0.0000005' },
    },
  ],
});
book.on('catalogue-old', () => {});

const providers = (await waitForUpdate()) ?? [];
const models = providers.flatMap(({ id, models }) => models.map((model) => ({ provider: id, model: model.id })));
const at = fc.date({ min: new Date('2025-01-01'), max: new Date('2027-06-01'), noInvalidDate: true }).map((date) => date.getTime());
const count = fc.oneof(
  fc.nat({ max: 10 }),
  fc.nat({ max: 400_000 }),
  fc.constantFrom(128_000, 199_999, 200_000, 200_001, 271_999, 272_000, 272_001),
);
const tokens = [...inputParts, ...outputParts];
const usage = fc.dictionary(fc.constantFrom(...tokens), count).map((parts): UsageParts => parts);

const call = fc.record({
  named: fc.oneof(fc.constantFrom(...models), fc.constant({ provider: 'house', model: 'odd-one' })),
  at,
  usage,
  serviceTier: fc.constantFrom(undefined, 'flex', 'priority', 'nobody-knows'),
  batch: fc.constantFrom(undefined, true as const),
  region: fc.constantFrom(undefined, 'us', 'eu'),
});

type Call = Omit<PriceRequest, 'provider' | 'model'> & { readonly named: Pick<PriceRequest, 'provider' | 'model'> };

const priceOf = async ({ named, ...rest }: Call): Promise<Priced | undefined> => book.price({ ...named, ...rest });

/** Whole nano-USD of lines, counted in a unit so small that no line has a part of it: another way than fractions. */
function reference(lines: readonly PriceLine[]): bigint {
  const PLACES = 60n;
  const scaled = lines.reduce((sum, { quantity, usd, per }) => {
    const [whole = '', fraction = ''] = usd.split('.');
    return sum + (BigInt(whole + fraction) * BigInt(quantity) * 10n ** (PLACES - BigInt(fraction.length))) / BigInt(per);
  }, 0n);
  const unit = 10n ** (PLACES - 9n);
  const [down, rest] = [scaled / unit, (scaled % unit) * 2n];
  if (rest === unit) return down + (down % 2n);
  return rest > unit ? down + 1n : down;
}

test.prop([call], runs(1_000))('an amount is the exact sum of its lines, rounded once; the lines are the usage', async (request) => {
  const priced = await priceOf(request);
  if (priced === undefined) return;
  expect(priced.amount).toBe(reference(priced.lines));
  const counted = priced.lines.filter(({ part }) => part !== 'requests').map(({ part, quantity }) => [part, quantity]);
  expect(Object.fromEntries(counted)).toEqual(Object.fromEntries(Object.entries(request.usage).filter(([, each]) => each > 0)));
  expect(priced.lines.every(({ usd }) => /^\d+(\.\d*[1-9])?$/.test(usd))).toBe(true);
});

test.prop([call], runs(300))('the same request has the same price, whatever was asked before', async (request) => {
  expect(await priceOf(request)).toEqual(await priceOf(request));
});

test.prop([call, fc.constantFrom(...tokens), fc.nat({ max: 100_000 })], runs(500))(
  'more tokens never cost less',
  async (request, part, more) => {
    // where a cheaper tier is for more, nobody could reserve by the most that is sent
    const before = await priceOf(request);
    const after = await priceOf({ ...request, usage: { ...request.usage, [part]: (request.usage[part] ?? 0) + more } });
    if (before !== undefined && after !== undefined) expect(after.amount >= before.amount).toBe(true);
  },
);

/** As reservations are estimated: all of the input as one kind and all of the output as one. */
const dearest = ({ input, output }: { input: number; output: number }): UsageParts[] =>
  (['inputTokens', 'cacheWriteTokens', 'cacheWrite1hTokens'] as const).flatMap((sent) =>
    (['outputTokens', 'reasoningTokens'] as const).map((came) => ({ [sent]: input, [came]: output, requests: 1 })),
  );

const text: readonly UsagePart[] = [
  'inputTokens',
  'cacheReadTokens',
  'cacheWriteTokens',
  'cacheWrite1hTokens',
  'outputTokens',
  'reasoningTokens',
];

test.prop([call], runs(500))('text never costs more than the dearest kinds of as many tokens', async (request) => {
  const used = Object.fromEntries(Object.entries(request.usage).filter(([part]) => text.includes(part as UsagePart)));
  const actual = await priceOf({ ...request, usage: used });
  const bounds = await Promise.all(
    dearest({ input: inputTokensOf(used), output: outputTokensOf(used) }).map((each) => priceOf({ ...request, usage: each })),
  );
  if (actual === undefined) return;
  const known = bounds.map((bound) => bound?.amount ?? expect.fail('a bound is unpriced where the call is not'));
  expect(known.some((bound) => bound >= actual.amount)).toBe(true);
});
