import { describe, expect, test } from 'vitest';
import { CostTracker, type CostTrackerOptions, memoryStore, type RecordOptions, type ReserveOptions } from '../src/index.ts';
import { sqliteStore } from '../src/sqlite.ts';

const budget = { name: 'acme', scope: { tenant: 'acme' }, limitUsd: '1', period: 'month' };
const withBudget = (change: object) => ({ budgets: [{ ...budget, ...change }] });

describe('options are refused with their name, the value and what is allowed', () => {
  test.each<[unknown, string]>([
    [null, 'CostTracker options must be an object, not null'],
    [{ budget: [] }, 'CostTracker options.budget is unknown; known are store, budgets, prices, toolPrices, holdTtlMs, clock'],
    [{ budgets: {} }, 'budgets must be an array, not [object Object]'],
    [{ budgets: [null] }, 'budgets[0] must be an object, not null'],
    [withBudget({ limit: 1 }), 'budgets[0].limit is unknown; known are name, scope, limitUsd, period, timeZone, thresholds, unpriced'],
    [{ budgets: [budget, budget] }, "budgets[1].name 'acme' is already taken"],
    [withBudget({ name: '' }), 'budgets[0].name must be a text that is not empty, not ""'],
    [withBudget({ scope: undefined }), 'budgets[0].scope must be an object, not undefined'],
    [withBudget({ scope: {} }), 'budgets[0].scope must name at least one of org, tenant, project, user, key, model, tool'],
    [
      withBudget({ scope: { tenant: undefined } }),
      'budgets[0].scope must name at least one of org, tenant, project, user, key, model, tool',
    ],
    [withBudget({ scope: { tenant: '' } }), 'budgets[0].scope.tenant must be a text that is not empty, not ""'],
    [withBudget({ scope: { tenat: 'a' } }), 'budgets[0].scope.tenat is unknown; known are org, tenant, project, user, key, model, tool'],
    [withBudget({ limitUsd: 0 }), 'budgets[0].limitUsd must be above 0'],
    [withBudget({ limitUsd: '1e3' }), 'budgets[0].limitUsd must be a plain decimal of at least 0, such as \'0.002\', not "1e3"'],
    [withBudget({ limitUsd: Number.NaN }), "budgets[0].limitUsd must be a plain decimal of at least 0, such as '0.002', not NaN"],
    [withBudget({ limitUsd: '0.0000000001' }), 'budgets[0].limitUsd must have at most 9 decimals, not "0.0000000001"'],
    [withBudget({ period: 'year' }), 'budgets[0].period must be day, week, month or { rollingMs }, not "year"'],
    [withBudget({ period: { rollingMs: 59_999 } }), 'budgets[0].period.rollingMs must be a number from 60000 to 31622400000, not 59999'],
    [withBudget({ period: { days: 7 } }), 'budgets[0].period.days is unknown; known are rollingMs'],
    [withBudget({ unpriced: 'deny' }), 'budgets[0].unpriced must be one of refuse, allow, not "deny"'],
    [withBudget({ timeZone: 'Mars' }), 'budgets[0].timeZone must be an IANA time zone such as \'Asia/Seoul\', not "Mars"'],
    [withBudget({ thresholds: { warn: 1 } }), 'budgets[0].thresholds.warn is unknown; known are warning, critical, blocked'],
    [
      withBudget({ thresholds: { warning: 50 } }),
      'budgets[0].thresholds.warning must be a fraction above 0, at least 0 and at most 10, not 50 (for 50 % write 0.5)',
    ],
    [
      withBudget({ thresholds: { critical: 0.5 } }),
      'budgets[0].thresholds.critical must be a fraction above 0, at least 0.9 and at most 10, not 0.5',
    ],
    [
      withBudget({ thresholds: { warning: Number.NaN } }),
      'budgets[0].thresholds.warning must be a fraction above 0, at least 0 and at most 10, not NaN',
    ],
    [
      withBudget({ thresholds: { warning: 0 } }),
      'budgets[0].thresholds.warning must be a fraction above 0, at least 0 and at most 10, not 0',
    ],
    [{ toolPrices: 5 }, 'toolPrices must be an object, not 5'],
    [{ toolPrices: { a: { perCall: 1 } } }, "toolPrices['a'].perCall is unknown; known are perCallUsd, perTokenUsd"],
    [{ toolPrices: { a: {} } }, "toolPrices['a'].perCallUsd or toolPrices['a'].perTokenUsd must be given"],
    [
      { toolPrices: { a: { perCallUsd: -1 } } },
      "toolPrices['a'].perCallUsd must be a plain decimal of at least 0, such as '0.002', not -1",
    ],
    [{ holdTtlMs: 0 }, 'holdTtlMs must be a number from 1 to 86400000, not 0'],
    [{ holdTtlMs: Number.POSITIVE_INFINITY }, 'holdTtlMs must be a number from 1 to 86400000, not Infinity'],
    [{ clock: { now: () => 0 } }, 'clock must have the method wall'],
    [{ store: 'usage.db' }, 'store must have the method reserve'],
  ])('%j', (options, message) => {
    expect(() => new CostTracker(options as CostTrackerOptions)).toThrow(new RangeError(message));
  });

  test('the options are the caller’s: they are read once and never changed', () => {
    const options = Object.freeze({ budgets: Object.freeze([Object.freeze({ ...budget, scope: Object.freeze({ tenant: 'a' }) })]) });
    expect(new CostTracker(options as CostTrackerOptions)).toBeInstanceOf(CostTracker);
  });

  test.each<[unknown[], string]>([
    [[''], 'sqliteStore path must be a text that is not empty, not ""'],
    [['a.db', { sync: 'full' }], 'sqliteStore options.sync is unknown; known are synchronous'],
    [['a.db', { synchronous: 'off' }], 'sqliteStore options.synchronous must be one of normal, full, not "off"'],
  ])('sqliteStore(...%j)', (args, message) => {
    expect(() => sqliteStore(...(args as [string]))).toThrow(new RangeError(message));
  });
});

const call = { kind: 'tool', name: 'search' };

describe('a bad call is refused and leaves nothing', () => {
  const tracker = new CostTracker({ store: memoryStore() });

  test.each<[object, string]>([
    [
      { ...call, amount: 1 },
      'reserve.amount is unknown; known are kind, name, scope, amountUsd, idempotencyKey, maxInputTokens, maxOutputTokens, minOutputTokens',
    ],
    [{ ...call, kind: 'model' }, 'reserve: kind must be one of llm, tool, resource, prompt, not "model"'],
    [{ ...call, name: '' }, 'name must be a text that is not empty, not ""'],
    [{ ...call, amountUsd: Number.NaN }, "amountUsd must be a plain decimal of at least 0, such as '0.002', not NaN"],
    [{ ...call, amountUsd: '-1' }, 'amountUsd must be a plain decimal of at least 0, such as \'0.002\', not "-1"'],
    [{ ...call, idempotencyKey: '' }, 'idempotencyKey must be a text that is not empty, not ""'],
    [{ ...call, scope: { tool: 'x' } }, 'scope.tool is unknown; known are org, tenant, project, user, key, model, traceId'],
    [{ ...call, scope: { user: 7 } }, 'scope.user must be a text that is not empty, not 7'],
  ])('reserve %j', async (options, message) => {
    await expect(tracker.reserve(options as ReserveOptions)).rejects.toThrow(new RangeError(message));
  });

  test.each<[object, string]>([
    [call, 'dedupeKey must be a text that is not empty, not undefined'],
    [{ ...call, dedupeKey: 'a', at: Number.NaN }, 'at must be a number from 0 to 8640000000000000, not NaN'],
    [{ ...call, dedupeKey: 'a', at: '2026-01-01' }, 'at must be a number from 0 to 8640000000000000, not "2026-01-01"'],
    [{ ...call, dedupeKey: 'a', durationMs: -1 }, 'durationMs must be a number from 0 to 9007199254740991, not -1'],
    [{ ...call, dedupeKey: 'a', success: 'yes' }, 'success must be true or false, not yes'],
    [{ ...call, dedupeKey: 'a', metadata: 'text' }, 'metadata must be an object, not "text"'],
    [
      { ...call, dedupeKey: 'a', when: 1 },
      'record.when is unknown; known are kind, name, scope, amountUsd, usage, usageIs, servedModel, serviceTier, region, revision, success, durationMs, metadata, dedupeKey, at',
    ],
  ])('record %j', async (options, message) => {
    await expect(tracker.record(options as RecordOptions)).rejects.toThrow(new RangeError(message));
  });

  test('withScope, settle, status and the reports', async () => {
    expect(() => tracker.withScope({ tenant: '' }, () => 1)).toThrow('scope.tenant must be a text that is not empty, not ""');
    const hold = await tracker.reserve(call as ReserveOptions);
    await expect(hold.settle({ cost: 1 } as object)).rejects.toThrow('settle.cost is unknown');
    await expect(tracker.status('acme')).rejects.toThrow(new RangeError("no budget is named 'acme'; known are none"));
    await expect(tracker.enforce('acme')).rejects.toThrow(RangeError);
    await expect(tracker.summary({ from: 5, to: 4 })).rejects.toThrow('to must be a number from 5');
    await expect(tracker.summary({ since: 5 } as object)).rejects.toThrow('summary.since is unknown');
    await expect(tracker.monthlyTotalUsd({ timeZone: 'Mars' })).rejects.toThrow('monthlyTotalUsd.timeZone must be an IANA time zone');
    expect((await tracker.summary()).calls).toBe(0);
  });
});
