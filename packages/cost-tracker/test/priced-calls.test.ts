import { ManualClock } from '@tidegate/test-kit';
import { describe, expect, test } from 'vitest';
import { CostTracker, type RecordedEvent, usageFromAnthropic, usageFromOpenAI } from '../src/index.ts';
import { priceBook } from '../src/prices.ts';
import { answerOf } from './provider-answers.ts';

const clock = new ManualClock({ wall: Date.parse('2026-06-01T08:00:00Z') });

function ledger() {
  const tracker = new CostTracker({ clock, prices: priceBook({ clock }) });
  const rows: Pick<RecordedEvent, 'amountUsd' | 'costSource'>[] = [];
  tracker.on('recorded', ({ amountUsd, costSource }) => rows.push({ amountUsd, costSource }));
  return { tracker, rows };
}

/** What an answer says, as a call's outcome. */
const outcome = ({ usage, servedModel, serviceTier, region, amountUsd }: ReturnType<typeof usageFromOpenAI>) =>
  Object.fromEntries(Object.entries({ usage, servedModel, serviceTier, region, amountUsd }).filter(([, value]) => value !== undefined));

describe('a call of a model', () => {
  test('costs what its answer says it used, cached tokens once', async () => {
    const { tracker, rows } = ledger();
    const hold = await tracker.reserve({ kind: 'llm', model: 'gpt-4o', maxInputTokens: 10_000, maxOutputTokens: 500 });
    expect(hold.amountUsd).toBe('0.03'); // 10 000 × 2.50 + 500 × 10
    await hold.settle(outcome(usageFromOpenAI(answerOf('openai-chat-cached'))));
    expect(rows).toEqual([{ amountUsd: '0.01875', costSource: 'priced' }]);
  });

  test('reserves the dearest way to use its tokens: a cache write for an hour', async () => {
    const { tracker, rows } = ledger();
    const hold = await tracker.reserve({ kind: 'llm', model: 'claude-sonnet-4-5', maxInputTokens: 15_095, maxOutputTokens: 503 });
    expect(hold.amountUsd).toBe('0.098115'); // 15 095 × 6 + 503 × 15
    await hold.settle(outcome(usageFromAnthropic(answerOf('anthropic-cache'))));
    expect(rows).toEqual([{ amountUsd: '0.03258', costSource: 'priced' }]);
  });

  test('costs what the provider says where it does', async () => {
    const { tracker, rows } = ledger();
    const call = { kind: 'llm', provider: 'perplexity', model: 'sonar' } as const;
    await tracker.record({ ...call, dedupeKey: 'a', ...outcome(usageFromOpenAI(answerOf('perplexity-chat'))) });
    expect(rows).toEqual([{ amountUsd: '0.005858', costSource: 'reported' }]);
  });

  test('costs what it was served for: tier and region of the answer, and the model behind an alias', async () => {
    const { tracker, rows } = ledger();
    const usage = { inputTokens: 1_000_000 };
    const opus = { kind: 'llm', model: 'claude-opus-5', region: 'global' } as const;
    await tracker.record({ ...opus, dedupeKey: 'a', ...outcome(usageFromAnthropic(answerOf('anthropic-fast-us'))) });
    await tracker.record({
      kind: 'llm',
      model: 'mistral-medium-latest',
      servedModel: 'mistral-medium-2505',
      dedupeKey: 'b',
      usage,
      at: Date.UTC(2026, 6, 1),
    });
    await tracker.record({
      kind: 'llm',
      model: 'mistral-medium-latest',
      servedModel: 'nobody-knows',
      dedupeKey: 'c',
      usage,
      at: Date.UTC(2026, 6, 1),
    });
    expect(rows.map(({ amountUsd }) => amountUsd)).toEqual(['0.0165', '0.4', '1.5']);
  });

  test('whose answer says nonsense costs what was reserved, as an estimate', async () => {
    const { tracker, rows } = ledger();
    const hold = await tracker.reserve({ kind: 'llm', model: 'gpt-4o', maxInputTokens: 10_000, maxOutputTokens: 500 });
    const said = usageFromOpenAI({ model: 'gpt-4o', usage: { prompt_tokens: -5, completion_tokens: 1 } });
    expect(said.usageProblem).toBe('prompt_tokens must be a whole number from 0 to 1000000000, not -5');
    await hold.settle(outcome(said));
    expect(rows).toEqual([{ amountUsd: '0.03', costSource: 'estimated' }]);
  });

  test('of which nobody knows what it used or costs is unpriced, and better news replaces that', async () => {
    const { tracker, rows } = ledger();
    const call = { kind: 'llm', model: 'gpt-4o', dedupeKey: 'a' } as const;
    await tracker.record(call);
    await tracker.record({ ...call, usage: { inputTokens: 1_000 } });
    await tracker.record({ ...call, model: 'nobody-knows', dedupeKey: 'b', usage: { inputTokens: 1_000 } });
    expect(rows).toEqual([
      { amountUsd: '0', costSource: 'unpriced' },
      { amountUsd: '0.0025', costSource: 'priced' },
      { amountUsd: '0', costSource: 'unpriced' },
    ]);
  });
});

test('a tool is priced by the token at the rate of the day of the call', async () => {
  const rates = [
    { from: '2026-01-01', usd: '1.1' },
    { from: '2026-06-02', usd: '1.2' },
  ];
  const tracker = new CostTracker({ clock, toolPrices: { search: { currency: 'EUR', perCall: '0.01', perToken: '0.000001', rates } } });
  const amounts: string[] = [];
  tracker.on('recorded', ({ amountUsd }) => amounts.push(amountUsd));
  const call = { kind: 'tool', name: 'search', usage: { inputTokens: 400, outputTokens: 600 } } as const;
  await tracker.record({ ...call, dedupeKey: 'a' });
  await tracker.record({ ...call, dedupeKey: 'b', at: Date.UTC(2026, 5, 2) });
  expect(amounts).toEqual(['0.0121', '0.0132']);
});
