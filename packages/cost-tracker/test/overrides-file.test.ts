import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ManualClock } from '@tidegate/test-kit';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { type CataloguePriceBook, type PriceBookEvents, type PriceBookOptions, PriceFileError, priceBook } from '../src/prices.ts';

let folder: string;
let path: string;
const clock = new ManualClock();
const open: CataloguePriceBook[] = [];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'prices-'));
  path = join(folder, 'prices.json');
});

afterEach(async () => {
  await Promise.all(open.splice(0).map((book) => book.close()));
  rmSync(folder, { recursive: true, force: true });
});

const file = (perMillion: number) => `{ "overrides": [{ "model": "gpt-4o", "perMillionUsd": { "inputTokens": ${perMillion} } }] }`;

function followed(options: PriceBookOptions = {}) {
  const book = priceBook({ overridesFile: path, clock, ...options });
  open.push(book);
  const told: { reloaded: PriceBookEvents['reloaded'][]; refused: PriceFileError[] } = { reloaded: [], refused: [] };
  book.on('catalogue-old', () => {});
  book.on('reloaded', (event) => told.reloaded.push(event));
  book.on('refused', ({ error }) => told.refused.push(error));
  const price = async () => book.price({ model: 'gpt-4o', at: Date.UTC(2026, 5, 1), usage: { inputTokens: 1_000 } });
  return { book, told, price, amount: async () => (await price())?.amount };
}

const errorOf = (text: string | Uint8Array): PriceFileError => {
  writeFileSync(path, text);
  try {
    priceBook({ overridesFile: path, pollIntervalMs: false });
  } catch (error) {
    if (error instanceof PriceFileError) return error;
    throw error;
  }
  throw new Error('the file was accepted');
};

describe('a file of overrides', () => {
  test('is read at once, wins over the overrides in the code, and stands in the version', async () => {
    writeFileSync(path, `\uFEFF// of the contract\n${file(1)}`);
    const { amount, price } = followed({ overrides: [{ model: 'gpt-4o', perMillionUsd: { inputTokens: 9 } }] });
    expect(await amount()).toBe(1_000_000n);
    expect((await price())?.version).toMatch(/\+overrides:[0-9a-f]{12}$/);
  });

  test('is followed while the process runs', async () => {
    writeFileSync(path, file(1));
    const { amount, told, price } = followed();
    const before = (await price())?.version;
    writeFileSync(path, file(2));
    await vi.waitFor(async () => {
      await clock.advanceAsync(1_000);
      expect(await amount()).toBe(2_000_000n);
    });
    expect((await price())?.version).not.toBe(before);
    expect(told).toEqual({ reloaded: [{ overrides: 1, hash: expect.stringMatching(/^[0-9a-f]{12}$/) }], refused: [] });
  });

  test('that is wrong or gone is refused and told once; the old one stays until it holds again', async () => {
    writeFileSync(path, file(1));
    const { book, amount, told } = followed({ pollIntervalMs: false });
    writeFileSync(path, '{ "overrides": [{ "model": "gpt-4o" }] }');
    await expect(book.reload()).rejects.toThrow(PriceFileError);
    await expect(book.reload()).rejects.toThrow('must have either prices');
    rmSync(path);
    await expect(book.reload()).rejects.toThrow('there is no such file');
    expect(await amount()).toBe(1_000_000n);
    expect(told.refused.map(({ problems }) => problems[0]?.message)).toEqual([
      expect.stringContaining('either prices'),
      'there is no such file',
    ]);
    writeFileSync(path, file(1));
    await book.reload();
    await book.reload();
    expect(told.reloaded).toHaveLength(1);
    writeFileSync(join(folder, 'next.json'), file(3));
    renameSync(join(folder, 'next.json'), path);
    await book.reload();
    expect(await amount()).toBe(3_000_000n);
  });

  test('is looked at no longer after close, also from a timer that has fired', async () => {
    writeFileSync(path, file(1));
    const { book, amount } = followed();
    writeFileSync(path, file(2));
    await book[Symbol.asyncDispose]();
    await clock.advanceAsync(10_000);
    expect(await amount()).toBe(1_000_000n);
    expect(clock.pendingTimers).toBe(0);
  });

  test('a book without a file has nothing to reload or close', async () => {
    const book = priceBook({ clock });
    await book.reload();
    await book.close();
  });
});

describe('what is wrong is told with its place', () => {
  test.each<[string, string]>([
    ['', '1:1 the file is empty'],
    ['[]', '1:1 the file must be an object, not '],
    ['{}', "1:1 the file must have 'overrides', a list"],
    ['{"overrides": [], "extra": 1}', '1:1 the file.extra is unknown; known are $schema, overrides'],
    ['{\n  "overrides": [}', '2:17 not JSON: ValueExpected'],
    ['{"overrides": [],\n"overrides": []}', '2:1 "overrides" is there twice'],
    ['{"overrides": [7]}', '1:16 /overrides/0 overrides[0] must be an object, not 7'],
    [
      '{"overrides": [\n {"model": "x",\n  "multiplier": -1}]}',
      '3:3 /overrides/0/multiplier overrides[0].multiplier must be a plain decimal',
    ],
    ['{"overrides": [\n {"model": "x", "modle": 1}]}', '2:17 /overrides/0/modle overrides[0].modle is unknown'],
    [
      '{"overrides": [{"model": "x", "perMillionUsd": {"inputTokens": 1},\n "tiers": [{"aboveInputTokens": 5, "perMillionUsd": {"inputTokens": "a/b"}}]}]}',
      '2:54 /overrides/0/tiers/0/perMillionUsd/inputTokens overrides[0].tiers[0].perMillionUsd.inputTokens must be a plain decimal',
    ],
    ['{"overrides": [{"model": "x", "multiplier": 1, "from": "soon"}]}', '1:48 /overrides/0/from overrides[0].from must be a day'],
    [`${'['.repeat(70)}`, '1:65 nested deeper than 64 levels'],
  ])('%j', (text, message) => {
    const error = errorOf(text);
    expect(error).toMatchObject({ name: 'PriceFileError', code: 'ERR_PRICE_FILE', file: path });
    expect(error.message).toContain(`${path}:${message}`);
  });

  test('all of it, in the order of the file', () => {
    const error = errorOf('{"overrides": [\n{"model": "x"},\n{"model": "y", "multiplier": 1},\n{"model": "", "multiplier": 1}]}');
    expect(error.problems).toEqual([
      { pointer: '/overrides/0', line: 2, column: 1, message: expect.stringContaining('overrides[0] must have either prices') },
      { pointer: '/overrides/2/model', line: 4, column: 2, message: 'overrides[2].model must be a text that is not empty, not ""' },
    ]);
  });

  test('what is no text, too long or no file', () => {
    expect(errorOf(Uint8Array.of(0x7b, 0xff)).message).toBe(`${path} is not UTF-8`);
    expect(errorOf(' '.repeat(1_048_577)).message).toBe(`${path} is 1048577 bytes long; at most 1048576 are read`);
    rmSync(path);
    mkdirSync(path);
    expect(() => priceBook({ overridesFile: path })).toThrow(`${path} is not a regular file`);
    rmSync(path, { recursive: true });
    expect(() => priceBook({ overridesFile: path })).toThrow(`${path} there is no such file`);
  });
});
