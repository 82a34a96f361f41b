import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { type Provider, updatePrices, waitForUpdate } from '@pydantic/genai-prices';
import { ManualClock } from '@tidegate/test-kit';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import type { PriceRequest } from '../src/index.ts';
import { catalogueDate, catalogueVersion, pricesAt } from '../src/prices/catalogue.ts';
import { defaultPriceBook, type PriceBookEvents, type PriceBookOptions, type PriceOverride, priceBook } from '../src/prices.ts';

const june = Date.parse('2026-06-01T08:00:00Z');
const million = 1_000_000;

function quiet(options: PriceBookOptions = {}) {
  const book = priceBook(options);
  book.on('catalogue-old', () => {});
  return book;
}

/** The price of a call in USD; `undefined` where there is none. By itself a million tokens for gpt-4o, which cost 2.50. */
async function usd(request: Partial<PriceRequest>, overrides: readonly PriceOverride[] = []): Promise<number | undefined> {
  const priced = await quiet({ overrides }).price({ model: 'gpt-4o', at: june, usage: { inputTokens: million }, ...request });
  return priced && Number(priced.amount) / 1e9;
}

describe('the amount', () => {
  test('is exact where floats are not', async () => {
    const priced = await quiet().price({
      model: 'gpt-4o-mini',
      at: june,
      usage: { inputTokens: 234, cacheReadTokens: 1_000, outputTokens: 567 },
    });
    expect(priced).toEqual({
      amount: 450_300n, // the catalogue's own arithmetic says 0.00045029999999999994
      lines: [
        { part: 'inputTokens', quantity: 234, usd: '0.15', per: million },
        { part: 'cacheReadTokens', quantity: 1_000, usd: '0.075', per: million },
        { part: 'outputTokens', quantity: 567, usd: '0.6', per: million },
      ],
      version: expect.stringMatching(/^genai-prices@0\.1\.8\/openai:[0-9a-f]{12}\+tidegate:[0-9a-f]{12}$/),
      provider: 'openai',
    });
  });

  test.each([
    [1, 2n], // 2.5
    [3, 8n], // 7.5
    [5, 12n], // 12.5
  ])('%i halves of 5 nano-USD are rounded once, half to even', async (cacheReadTokens, nano) => {
    const priced = await quiet().price({ model: 'gpt-5-nano', at: june, batch: true, usage: { cacheReadTokens } });
    expect(priced?.amount).toBe(nano);
  });

  test('an empty usage costs nothing, of a model that is known', async () => {
    expect(await usd({ usage: {} })).toBe(0);
    expect(await usd({ model: 'nobody-knows', usage: {} })).toBeUndefined();
  });

  test('a fee for the request is owed whether the request was counted or not', async () => {
    for (const requests of [{}, { requests: 1 }])
      expect(await usd({ provider: 'perplexity', model: 'sonar', usage: requests })).toBe(0.012);
    expect(await usd({ provider: 'perplexity', model: 'sonar', usage: { requests: 3 } })).toBe(0.036);
    expect(await usd({ usage: { requests: 7 } })).toBe(0);
  });

  test('a request that is wrong is refused', () => {
    const price = (request: object) => () => quiet().price({ model: 'gpt-4o', at: june, usage: {}, ...request } as PriceRequest);
    expect(price({ at: Number.NaN })).toThrow('at must be a number from 0 to 8640000000000000, not NaN');
    expect(price({ model: '' })).toThrow('model must be a text that is not empty');
    for (const bad of [-1, 0.5, Number.NaN, 2 ** 53]) {
      expect(price({ usage: { inputTokens: bad } })).toThrow(
        `usage.inputTokens must be a whole number from 0 to ${2 ** 53 - 1}, not ${bad}`,
      );
    }
  });

  test('an amount that no column holds is refused', async () => {
    await expect(usd({ usage: { outputTokens: 2 ** 53 - 1 } })).rejects.toThrow('the price must be at most 1000000000 USD');
  });
});

describe('a price in time', () => {
  test.each([
    ['2026-03-12T23:59:59.999Z', 6], // above 200k: https://platform.claude.com/docs/en/about-claude/pricing
    ['2026-03-13T00:00:00.000Z', 3],
  ])('claude-sonnet-4-6 at %s', async (at, expected) => {
    expect(await usd({ model: 'claude-sonnet-4-6', at: Date.parse(at) })).toBe(expected);
  });

  test.each([
    [200_000, 0.6],
    [200_001, 1.200006],
  ])('a tier counts all of the input, from the cache too: %i', async (all, expected) => {
    const cached = all - 100_000;
    const whole = await usd({ model: 'claude-sonnet-4-5', usage: { inputTokens: 100_000, cacheReadTokens: cached } });
    const rate = all > 200_000 ? [6, 0.6] : [3, 0.3];
    expect(whole).toBeCloseTo((100_000 * (rate[0] as number) + cached * (rate[1] as number)) / million, 9);
    expect(await usd({ model: 'claude-sonnet-4-5', usage: { inputTokens: all } })).toBe(expected);
  });

  test.each([
    [272_000, 2],
    [272_001, 4],
  ])('where a model says more than 272K, %i is not above 271 999', async (inputTokens, perMillion) => {
    expect(await usd({ model: 'gpt-6-sol', at: Date.UTC(2026, 9, 1), usage: { inputTokens } })).toBeCloseTo(
      (inputTokens * perMillion) / million,
      9,
    );
  });

  test.each([
    ['2026-08-16T02:00:00Z', 0.435], // flat before the 17th, also at what became a dear hour
    ['2026-08-17T00:59:59.999Z', 0.66],
    ['2026-08-17T01:00:00.000Z', 1.32],
    ['2026-08-17T03:59:59.999Z', 1.32],
    ['2026-08-17T04:00:00.000Z', 0.66],
    ['2026-08-17T06:00:00.000Z', 1.32],
    ['2026-08-17T10:00:00.000Z', 0.66],
  ])('an hour belongs to the dated price it stands behind: deepseek-v4-pro at %s', async (at, expected) => {
    expect(await usd({ model: 'deepseek-v4-pro', at: Date.parse(at) })).toBe(expected);
  });

  test('a time of day may go over midnight, and before the first date nothing is known', () => {
    const prices = [
      { constraint: { type: 'start_date' as const, start_date: '2026-01-01' }, prices: { input_mtok: 1 } },
      { constraint: { type: 'time_of_date' as const, start_time: '22:00:00+01:00', end_time: '02:00:00Z' }, prices: { input_mtok: 2 } },
    ];
    const at = (instant: string) => pricesAt({ prices }, Date.parse(instant)).prices['input_mtok'];
    expect(['2026-01-05T20:59:59Z', '2026-01-05T21:00:00Z', '2026-01-06T01:59:59Z', '2026-01-06T02:00:00Z'].map(at)).toEqual([1, 2, 2, 1]);
    expect(at('2025-12-31T23:00:00Z')).toBeUndefined();
  });

  test('a price that was only announced says so', async () => {
    const priced = async (at: number) => (await quiet().price({ model: 'gemini-3.8-flash', at, usage: { inputTokens: 1 } }))?.version;
    expect(await priced(Date.UTC(2026, 11, 31))).not.toContain('planned');
    expect(await priced(Date.UTC(2027, 0, 1))).toMatch(/google:[0-9a-f]{12}~planned\+/);
  });
});

describe('service tier, batch and region', () => {
  test.each<[string, Partial<PriceRequest>, number]>([
    ['standard by any name', { serviceTier: 'Default', region: 'global' }, 2.5],
    ['auto', { serviceTier: 'auto', region: 'not_available' }, 2.5],
    ['flex', { serviceTier: 'flex' }, 1.25],
    ['priority', { serviceTier: 'priority' }, 4.25],
    ['fast, the new name of priority', { serviceTier: 'fast' }, 4.25],
    ['batch', { batch: true }, 1.25],
    ['batch as a tier', { serviceTier: 'batch' }, 1.25],
    ['a region before the surcharge', { region: 'eu' }, 2.5],
    ['a region', { model: 'gpt-5.5', region: 'eu', usage: { inputTokens: 1_000 } }, 0.0055],
    ['two factors', { model: 'claude-opus-5', batch: true, region: 'us', usage: { inputTokens: 1_000 } }, 0.00275],
    ['what is counted by the piece has no discount', { batch: true, usage: { webSearches: 2 } }, 0.02],
    ['azure', { provider: 'azure', batch: true }, 1.25],
    ['a resource name', { provider: 'google', model: 'models/gemini-2.5-flash' }, 0.3],
    ['gemini 2 grounded', { model: 'gemini-2.5-flash', usage: { webSearches: 1 } }, 0.035],
  ])('%s', async (_, request, expected) => {
    expect(await usd(request)).toBe(expected);
  });

  test.each<[string, Partial<PriceRequest>]>([
    ['a model', { model: 'gpt-99' }],
    ['a provider', { provider: 'nobody' }],
    ['a model of another provider', { provider: 'anthropic' }],
    ['a tier', { serviceTier: 'scale' }],
    ['a tier that is bought in advance', { model: 'claude-opus-5', serviceTier: 'priority' }],
    ['a batch', { provider: 'openrouter', model: 'openai/gpt-4o', batch: true }],
    ['a region', { provider: 'aws', model: 'amazon.nova-lite-v1:0', region: 'mars' }],
    ['an entry without prices', { provider: 'google', model: 'gemma-3' }],
    ['a side', { provider: 'openai', model: 'text-embedding-3-small', usage: { outputTokens: 1 } }],
    ['a tool', { model: 'claude-3-haiku', usage: { inputTokens: 1, webSearches: 1 } }],
    ['what is sold by the hour', { provider: 'openai', model: 'gpt-transcribe' }],
  ])('%s without a known price is unpriced, never 0', async (_, request) => {
    expect(await usd(request)).toBeUndefined();
  });

  test('a price of 0 that is said is a 0', async () => {
    expect(await usd({ model: 'free' }, [{ model: 'free', perMillionUsd: { inputTokens: 0 } }])).toBe(0);
  });
});

describe('a part without a price of its own', () => {
  test.each<[string, Partial<PriceRequest>, number]>([
    ['cache write as input', { usage: { cacheWriteTokens: million } }, 2.5],
    ['cache write for an hour as cache write', { model: 'gpt-5.6-luna', usage: { cacheWrite1hTokens: 1_000 } }, 0.00125],
    [
      'cache write for an hour of a Claude model twice the input',
      { provider: 'openrouter', model: 'anthropic/claude-opus-5', usage: { cacheWrite1hTokens: million } },
      10,
    ],
    ['cache read as input', { model: 'gpt-4o-2024-05-13', usage: { cacheReadTokens: million } }, 5],
    ['audio, images, video as input', { usage: { inputAudioTokens: million, inputImageTokens: million, inputVideoTokens: million } }, 7.5],
    ['cached audio as cached text', { usage: { cacheReadAudioTokens: million } }, 1.25],
    [
      'reasoning, audio, images as output',
      { usage: { reasoningTokens: million, outputAudioTokens: million, outputImageTokens: million } },
      30,
    ],
  ])('%s', async (_, request, expected) => {
    expect(await usd(request)).toBe(expected);
  });
});

describe('overrides', () => {
  const contract: PriceOverride = {
    provider: 'openai',
    model: 'gpt-4o',
    from: '2026-06-01',
    to: '2026-07-01',
    perMillionUsd: { inputTokens: '2', outputTokens: 8 },
  };

  test('win over the catalogue from their first instant to before their last', async () => {
    const at = (instant: string) => usd({ at: Date.parse(instant) }, [contract]);
    expect(await Promise.all(['2026-05-31T23:59:59.999Z', '2026-06-01', '2026-06-30T23:59:59.999Z', '2026-07-01'].map(at))).toEqual([
      2.5, 2, 2, 2.5,
    ]);
  });

  test('replace a side as a whole and leave the other and what is counted', async () => {
    const overrides = [{ model: 'gpt-4o', perMillionUsd: { inputTokens: 2, cacheReadTokens: '0.5' } }];
    const usage = { inputTokens: million, cacheReadTokens: million, cacheWriteTokens: million, outputTokens: million, webSearches: 1 };
    expect(await usd({ usage }, overrides)).toBe(2 + 0.5 + 2 + 10 + 0.01);
  });

  test('the one that names more of the call wins, and of those the last', async () => {
    const overrides: PriceOverride[] = [
      { model: 'gpt-4o', serviceTier: 'flex', perMillionUsd: { inputTokens: 1 } },
      { model: 'gpt-4o', perMillionUsd: { inputTokens: 3 } },
      { model: 'gpt-*', perMillionUsd: { inputTokens: 4 } },
    ];
    expect(await usd({}, overrides)).toBe(4);
    expect(await usd({ serviceTier: 'flex' }, overrides)).toBe(1);
    expect(await usd({ serviceTier: 'flex', batch: true }, overrides)).toBe(0.5); // its own factor for the batch
    expect(await usd({ batch: true }, overrides)).toBe(2);
  });

  test('a factor says what a tier, batch or region costs', async () => {
    const overrides: PriceOverride[] = [
      { model: '*', batch: true, multiplier: '0.4' },
      { model: '*', serviceTier: 'scale', region: 'eu', multiplier: '3' },
    ];
    expect(await usd({ batch: true }, overrides)).toBe(1);
    expect(await usd({ serviceTier: 'scale', region: 'eu' }, overrides)).toBe(7.5);
    expect(await usd({ serviceTier: 'scale', region: 'us' }, overrides)).toBeUndefined();
    expect(await usd({ batch: true, usage: { webSearches: 1 } }, overrides)).toBe(0.01);
  });

  test('a factor alone is a discount on what the catalogue and this package say, not on prices beside it', async () => {
    const discount: PriceOverride = { model: '*', multiplier: '0.9' };
    expect(await usd({}, [discount])).toBe(2.25);
    expect(await usd({ batch: true }, [discount])).toBe(1.125);
    expect(await usd({ model: 'deepseek-chat' }, [discount])).toBe(0.252);
    expect(await usd({}, [contract, discount])).toBe(2);
  });

  test('have tiers, times of day and prices by the piece', async () => {
    const overrides: PriceOverride[] = [
      {
        model: 'house-*',
        perMillionUsd: { inputTokens: 1 },
        tiers: [
          { aboveInputTokens: 2_000, perMillionUsd: { inputTokens: 3 } },
          { aboveInputTokens: 1_000, perMillionUsd: { inputTokens: 2 } },
        ],
        perThousandUsd: { codeExecutions: '30', requests: 1 },
      },
      { model: 'house-night', timeOfDay: { from: '22:00', to: '06:30' }, perMillionUsd: { inputTokens: 0 } },
    ];
    const tokens = (inputTokens: number, at = june) =>
      usd({ model: 'House-night', at, usage: { inputTokens, codeExecutions: 1 } }, overrides);
    expect(await Promise.all([1_000, 1_001, 2_000, 2_001].map((count) => tokens(count)))).toEqual([0.032, 0.033002, 0.035, 0.037003]);
    for (const [time, expected] of [
      ['21:59:59.999', 0.032],
      ['22:00', 0.031],
      ['06:29:59.999', 0.031],
      ['06:30', 0.032],
    ] as const) {
      expect([time, await tokens(1_000, Date.parse(`2026-06-01T${time}Z`))]).toEqual([time, expected]);
    }
  });

  test('price what the catalogue does not know, whoever is paid', async () => {
    const overrides: PriceOverride[] = [{ provider: 'openai', model: 'gpt-6.1*', perMillionUsd: { inputTokens: 5, outputTokens: 1 } }];
    const priced = await quiet({ overrides }).price({ model: 'gpt-6.1-sol', at: june, usage: { inputTokens: million } });
    expect(priced).toMatchObject({ amount: 5_000_000_000n, provider: 'openai' });
    expect(priced?.version).toMatch(/^genai-prices@0\.1\.8\+tidegate:[0-9a-f]{12}\+overrides:[0-9a-f]{12}$/);
    expect(await usd({ provider: 'my-proxy', model: 'gpt-6.1-sol' }, overrides)).toBeUndefined();
    const proxied: PriceOverride = { provider: 'My-Proxy', model: '*', perMillionUsd: { inputTokens: 7 } };
    expect(await usd({ provider: 'my-proxy', model: 'x' }, [proxied])).toBe(7);
    expect(await usd({ model: 'x' }, [proxied])).toBeUndefined();
  });

  test.each([
    ['gpt-*-mini', 'gpt-4o-mini', true],
    ['gpt-*-mini', 'gpt-mini', false],
    ['*', '', false],
    ['a*a', 'a', false],
    ['a*a', 'aa', true],
    ['*b*', 'abc', true],
    ['a.c', 'abc', false],
    ['**x', 'yx', true],
    ['*a*b', 'ba', false],
  ])('%s is%s: %s %s', async (pattern, name, expected) => {
    const priced =
      name === '' ? undefined : await usd({ provider: 'p', model: name }, [{ model: pattern, perMillionUsd: { inputTokens: 1 } }]);
    expect(priced !== undefined).toBe(expected);
  });

  test('a pattern full of stars is no work for a long name', async () => {
    const begin = performance.now();
    await usd({ provider: 'p', model: 'a'.repeat(100_000) }, [{ model: `${'a*'.repeat(500)}b`, perMillionUsd: { inputTokens: 1 } }]);
    expect(performance.now() - begin).toBeLessThan(5_000);
  });

  test.each<[object, string]>([
    [{ model: 'x' }, 'overrides[0] must have either prices (perMillionUsd, perThousandUsd) or a multiplier'],
    [{ model: 'x', multiplier: 1, perMillionUsd: { inputTokens: 1 } }, 'overrides[0] must have either prices'],
    [{ modle: 'x' }, 'overrides[0].modle is unknown; known are provider, model, from,'],
    [{ multiplier: 1 }, 'overrides[0].model must be a text that is not empty, not undefined'],
    [{ model: 'x', multiplier: -1 }, "overrides[0].multiplier must be a plain decimal of at least 0, such as '0.002', not -1"],
    [{ model: 'x', multiplier: `0.${'1'.repeat(30)}` }, 'overrides[0].multiplier must have at most 24 characters, not 32'],
    [{ model: 'x', multiplier: 1, batch: false }, 'overrides[0].batch must be true, not false'],
    [{ model: 'x', multiplier: 1, serviceTier: '' }, 'overrides[0].serviceTier must be a text that is not empty, not ""'],
    [
      { model: 'x', multiplier: 1, from: '2026-02-30' },
      "overrides[0].from must be a day or an instant with its offset, such as '2026-01-31' or '2026-01-31T16:00Z', not \"2026-02-30\"",
    ],
    [{ model: 'x', multiplier: 1, to: '2026-02-03T10:00' }, 'overrides[0].to must be a day or an instant with its offset'],
    [{ model: 'x', multiplier: 1, from: 7 }, 'overrides[0].from must be a day'],
    [
      { model: 'x', multiplier: 1, from: '2026-02-03', to: '2026-02-03' },
      'overrides[0].to must be after from (2026-02-03), not 2026-02-03',
    ],
    [
      { model: 'x', multiplier: 1, timeOfDay: { from: '24:00', to: '01:00' } },
      'overrides[0].timeOfDay.from must be a time such as \'16:30\', not "24:00"',
    ],
    [
      { model: 'x', perMillionUsd: { cacheReadTokens: 1 } },
      'overrides[0].perMillionUsd prices input without inputTokens, which the rest of it falls back to',
    ],
    [{ model: 'x', perMillionUsd: { reasoningTokens: 1 } }, 'overrides[0].perMillionUsd prices output without outputTokens'],
    [{ model: 'x', perMillionUsd: { webSearches: 1 } }, 'overrides[0].perMillionUsd.webSearches is unknown; known are inputTokens'],
    [{ model: 'x', perMillionUsd: { inputTokens: '1e3' } }, 'overrides[0].perMillionUsd.inputTokens must be a plain decimal'],
    [{ model: 'x', perThousandUsd: { inputTokens: 1 } }, 'overrides[0].perThousandUsd.inputTokens is unknown; known are requests'],
    [{ model: 'x', perMillionUsd: { inputTokens: 1 }, tiers: {} }, 'overrides[0].tiers must be a list'],
    [
      { model: 'x', perMillionUsd: { inputTokens: 1 }, tiers: [{ aboveInputTokens: 1, perMillionUsd: { outputTokens: 1 } }] },
      'overrides[0].tiers[0] must price the same sides as overrides[0].perMillionUsd: input',
    ],
    [
      { model: 'x', perMillionUsd: { inputTokens: 1 }, tiers: [{ aboveInputTokens: -1, perMillionUsd: { inputTokens: 1 } }] },
      'overrides[0].tiers[0].aboveInputTokens must be a whole number of at least 0, not -1',
    ],
  ])('%j is refused', (override, message) => {
    expect(() => priceBook({ overrides: [override as PriceOverride] })).toThrow(RangeError);
    expect(() => priceBook({ overrides: [override as PriceOverride] })).toThrow(message);
  });

  test.each<[object, string]>([
    [{ override: [] }, 'price book options.override is unknown; known are overrides, overridesFile, pollIntervalMs, clock'],
    [{ overrides: {} }, 'overrides must be a list, not [object Object]'],
    [{ pollIntervalMs: 0 }, 'pollIntervalMs must be a number from 1 to 2147483647, not 0'],
    [{ overridesFile: '' }, 'overridesFile must be a text that is not empty'],
    [{ clock: { wall: () => 0 } }, 'clock must have the method setTimeout'],
  ])('options %j are refused', (options, message) => {
    expect(() => priceBook(options)).toThrow(message);
  });
});

describe('the catalogue', () => {
  const installed = createRequire(import.meta.url).resolve('@pydantic/genai-prices');

  test('is the version that is pinned and named', () => {
    const own = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'));
    const its = JSON.parse(readFileSync(new URL('../package.json', `file://${installed}`), 'utf8'));
    expect([own.dependencies['@pydantic/genai-prices'], its.version]).toEqual([catalogueVersion, catalogueVersion]);
  });

  const days = 86_400_000;
  const olds = (wall: number) => {
    const clock = new ManualClock({ wall });
    const book = priceBook({ clock });
    const told: PriceBookEvents['catalogue-old'][] = [];
    book.on('catalogue-old', (event) => told.push(event));
    return { clock, told, price: () => book.price({ model: 'gpt-4o', at: june, usage: {} }) };
  };

  test('older than 45 days is told, once, with its date', async () => {
    const { clock, told, price } = olds(catalogueDate + 46 * days - 1);
    await price();
    expect(told).toEqual([]);
    clock.advance(1);
    await price();
    await price();
    expect(told).toEqual([{ publishedAt: '2026-09-23T10:11:04.000Z', ageDays: 46, version: '0.1.8' }]);
  });

  test('old and nobody listening warns the process', async () => {
    const warn = vi.spyOn(process, 'emitWarning').mockImplementation(() => {});
    try {
      vi.useFakeTimers({ now: catalogueDate + 60 * days, toFake: ['Date'] });
      await defaultPriceBook().price({ model: 'gpt-4o', at: june, usage: {} });
      expect(warn).toHaveBeenCalledExactlyOnceWith(
        'the bundled prices of models are of 2026-09-23, 60 days old',
        expect.objectContaining({ code: 'TIDEGATE_CATALOGUE_OLD' }),
      );
    } finally {
      vi.useRealTimers();
      warn.mockRestore();
    }
  });

  test('a listener that throws stops neither the price nor the others', async () => {
    const book = priceBook({ clock: new ManualClock({ wall: catalogueDate + 90 * days }) });
    const errors: unknown[] = [];
    book.on('catalogue-old', () => {
      throw new Error('listener');
    });
    book.on('listener-error', ({ error }) => errors.push(error));
    expect(await book.price({ model: 'gpt-4o', at: june, usage: {} })).toMatchObject({ amount: 0n });
    expect(errors).toEqual([new Error('listener')]);
  });

  test('that the program replaces is used, under another version', async () => {
    const bundled = (await waitForUpdate()) ?? [];
    const book = quiet();
    const price = () => book.price({ model: 'gpt-4o', at: june, usage: { inputTokens: million } });
    const before = await price();
    const openai = bundled.find(({ id }) => id === 'openai') as Provider;
    const dearer = {
      ...openai,
      models: openai.models.map((model) => (model.id === 'gpt-4o' ? { ...model, prices: { input_mtok: 3 } } : model)),
    };
    const replace = (providers: Provider[]) => updatePrices(({ setProviderData }) => setProviderData(providers));
    replace(bundled.map((provider) => (provider === openai ? dearer : provider)));
    onTestFinished(() => replace(bundled));
    const after = await price();
    expect([before?.amount, after?.amount]).toEqual([2_500_000_000n, 3_000_000_000n]);
    expect(after?.version).not.toBe(before?.version);
  });

  test('is imported once and prices at once from then on; many models are looked up without end', async () => {
    const book = quiet();
    const first = book.price({ model: 'gpt-4o', at: june, usage: {} });
    expect(first).toBeInstanceOf(Promise);
    await first;
    for (let i = 0; i < 1_100; i += 1)
      expect(book.price({ provider: 'openai', model: `gpt-4o-${i}`, at: june, usage: {} })).not.toBeInstanceOf(Promise);
    expect(book.price({ model: 'gpt-4o', at: june, usage: { inputTokens: 2 } })).toMatchObject({ amount: 5_000n });
  });
});
