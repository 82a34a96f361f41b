import { describe, expect, test } from 'vitest';
import type { Answer, Call } from '../src/call.ts';
import { type CallEvent, Listeners } from '../src/events.ts';
import { pipeline, type Stage } from '../src/pipeline.ts';
import { RefusedError } from '../src/refusal.ts';
import { budgetStage } from '../src/stages/budget.ts';
import { limitStage } from '../src/stages/limit.ts';
import { observeStage } from '../src/stages/observe.ts';
import { UpstreamError } from '../src/upstream-error.ts';

const call: Call = {
  kind: 'tool',
  name: 'files__echo',
  counted: 'files__echo',
  server: 'files',
  method: 'tools/call',
  params: {},
  principal: { tenant: 'acme', user: 'mina', role: 'member' },
  traceId: '0'.repeat(32),
  repeatable: false,
  signal: new AbortController().signal,
  client: { capabilities: {}, modern: false, ask: () => Promise.reject(new Error('nobody is asked')), notify: () => {} },
  offered: {},
};
const nobody = () => {
  throw new Error('there was no fault');
};
const fine: Answer = { result: { content: [] } };

test('a pipeline is entered from the first stage and left through it', async () => {
  const seen: string[] = [];
  const stage =
    (name: string): Stage =>
    async (given, next) => {
      seen.push(`${name} in`);
      const answer = await next(given);
      seen.push(`${name} out`);
      return answer;
    };
  const run = pipeline([stage('a'), stage('b')], async () => {
    seen.push('innermost');
    return fine;
  });
  expect(await run(call)).toBe(fine);
  expect(seen).toEqual(['a in', 'b in', 'innermost', 'b out', 'a out']);
});

test('an empty pipeline is its innermost', async () => {
  expect(await pipeline([], async () => fine)(call)).toBe(fine);
});

describe('the limit', () => {
  const never: () => Promise<Answer> = () => Promise.reject(new Error('the call went on'));

  test('lets through what is allowed', async () => {
    expect(await limitStage({ consume: () => ({ allowed: true }) })(call, async () => fine)).toBe(fine);
  });

  test('refuses with its own words, and the call does not go on', async () => {
    const decision = { allowed: false, code: 'ERR_RATE_LIMITED', message: 'slow down', limit: 'minute', retryAfterMs: 7 } as const;
    await expect(limitStage({ consume: async () => decision })(call, never)).rejects.toMatchObject({
      code: 'ERR_RATE_LIMITED',
      refusal: { status: 429, message: 'slow down', limit: 'minute', retryAfterMs: 7 },
    });
  });
});

describe('the budget', () => {
  test('a ledger that cannot be written is a fault, and takes no answer and no error away', async () => {
    const full = () => Promise.reject(new Error('disk full'));
    const faults: unknown[] = [];
    const stage = budgetStage(
      { reserve: async () => ({ settle: full, release: full }) },
      () => 0,
      (error) => faults.push(error),
    );
    expect(await stage(call, async () => fine)).toBe(fine);
    await expect(stage(call, () => Promise.reject(new Error('lost')))).rejects.toThrow('lost');
    expect(faults).toEqual([new Error('disk full'), new Error('disk full')]);
  });

  function ledger() {
    const entries: unknown[] = [];
    let time = 100;
    const hold = {
      settle: async (outcome: object) => void entries.push(outcome),
      release: async () => void entries.push('released'),
    };
    const now = () => {
      time += 5;
      return time;
    };
    return { entries, stage: budgetStage({ reserve: async () => hold }, now, nobody) };
  }

  const ends: [string, () => Promise<Answer>, unknown][] = [
    ['an answer', async () => fine, { success: true, durationMs: 5 }],
    ['isError', async () => ({ result: { isError: true } }), { success: false, durationMs: 5 }],
    ['an error', async () => ({ error: { code: -32_602, message: 'no' } }), { success: false, durationMs: 5 }],
    ['an unknown failure', () => Promise.reject(new Error('lost')), { success: false, durationMs: 5 }],
    [
      'one that was perhaps carried out',
      () => Promise.reject(new UpstreamError('x', 'y', { carriedOut: 'perhaps' })),
      { success: false, durationMs: 5 },
    ],
    ['one that was not carried out', () => Promise.reject(new UpstreamError('x', 'y', { carriedOut: 'no' })), 'released'],
    ['an open circuit', () => Promise.reject(Object.assign(new Error('open'), { code: 'ERR_CIRCUIT_OPEN' })), 'released'],
  ];
  test.each(ends)('holds until the end and then decides once: %s', async (_how, next, entry) => {
    const { entries, stage } = ledger();
    const ended = stage(call, () => {
      expect(entries).toEqual([]);
      return next();
    });
    await ended.catch(() => {});
    expect(entries).toEqual([entry]);
  });

  test('that refuses ends the call before it is made', async () => {
    const refusal = new RefusedError({ code: 'ERR_BUDGET_EXCEEDED', message: 'spent' });
    const stage = budgetStage({ reserve: () => Promise.reject(refusal) }, () => 0, nobody);
    await expect(stage(call, async () => fine)).rejects.toBe(refusal);
  });
});

describe('observing', () => {
  function observed(next: (given: Call) => Promise<Answer>, given = call) {
    const events = new Listeners();
    const told: CallEvent[] = [];
    events.on('call', (event) => told.push(event));
    let time = 0;
    const stage = observeStage(events, () => {
      time += 3;
      return time;
    });
    return stage(given, next).then(
      () => told,
      () => told,
    );
  }
  const about = {
    tenant: 'acme',
    user: 'mina',
    kind: 'tool',
    name: 'files__echo',
    counted: 'files__echo',
    server: 'files',
    traceId: '0'.repeat(32),
    durationMs: 3,
  };

  test.each([
    ['an answer', async () => fine, { outcome: 'ok' }],
    ['isError', async () => ({ result: { isError: true } }), { outcome: 'error' }],
    [
      'a refusal',
      () => Promise.reject(new RefusedError({ code: 'ERR_RATE_LIMITED', message: 'slow down' })),
      { outcome: 'refused', code: 'ERR_RATE_LIMITED', problem: 'slow down' },
    ],
    ['a fault of our own', () => Promise.reject(new TypeError('oops')), { outcome: 'refused', code: 'ERR_INTERNAL', problem: 'oops' }],
  ] as [string, () => Promise<Answer>, object][])('tells %s once', async (_what, next, end) => {
    expect(await observed(next)).toEqual([{ ...about, ...end }]);
  });

  test('tells a call that was taken back, whatever it failed with', async () => {
    const signal = AbortSignal.abort(new Error('left'));
    expect(await observed(() => Promise.reject(signal.reason), { ...call, signal })).toEqual([{ ...about, outcome: 'cancelled' }]);
  });
});
