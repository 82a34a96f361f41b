import { onTestFinished } from 'vitest';
import { CostTracker, type CostTrackerOptions, type PriceBook, type UsageParts, type UsageRow } from '../src/index.ts';

/** Nano-USD of each part. */
const nano: Readonly<Record<keyof UsageParts, number>> = {
  inputTokens: 1_000,
  cacheReadTokens: 100,
  cacheWriteTokens: 1_250,
  cacheWrite1hTokens: 2_000,
  inputAudioTokens: 1_000,
  cacheReadAudioTokens: 100,
  inputImageTokens: 1_000,
  inputVideoTokens: 1_000,
  outputTokens: 10_000,
  reasoningTokens: 10_000,
  outputAudioTokens: 10_000,
  outputImageTokens: 10_000,
  requests: 0,
  webSearches: 10_000_000,
  fileSearches: 0,
  codeExecutions: 0,
};

/** What the answers of the wires cost: 80 × 1 000 + 20 × 100 + 10 × 10 000 nano-USD. */
export const wireUsd = '0.000182';

/** Every model costs the same, but for those that are called unknown. */
export const flatPrices: PriceBook = {
  price({ model, usage, provider = 'flat' }) {
    if (model.startsWith('unknown')) return undefined;
    const lines = Object.entries(usage).map(([part, quantity]) => {
      const price = nano[part as keyof UsageParts];
      return { part: part as keyof UsageParts, quantity, usd: `0.${String(price).padStart(9, '0')}`, per: 1 };
    });
    return { amount: lines.reduce((sum, { part, quantity }) => sum + BigInt(quantity * nano[part]), 0n), lines, version: 'flat', provider };
  },
};

/** A tracker in memory with a budget for the tenant `acme`, closed when the test is over. */
export function meteredTracker({ limitUsd = '1000', ...options }: CostTrackerOptions & { limitUsd?: string } = {}) {
  const acme = { name: 'acme', scope: { tenant: 'acme' }, limitUsd, period: 'month' as const, thresholds: { blocked: 1 } };
  const tracker = new CostTracker({ prices: flatPrices, budgets: [acme], ...options });
  onTestFinished(() => tracker.close());
  return {
    tracker,
    asAcme: <T>(fn: () => T): T => tracker.withScope({ tenant: 'acme', user: 'mina', traceId: 't1' }, fn),
    /** The rows, without what differs from run to run. */
    rows: async () => (await tracker.rows()).map(shown),
    status: () => tracker.status('acme'),
  };
}

function shown({ name, provider, servedModel, usage, amount, costSource, success, dimensions, traceId, metadata, correction }: UsageRow) {
  const { tenant, user } = dimensions;
  return {
    ...{ model: name, provider, servedModel, usage, nano: Number(amount), costSource, success, tenant, user, traceId, correction },
    metadata: metadata === undefined ? undefined : (JSON.parse(metadata) as unknown),
  };
}
