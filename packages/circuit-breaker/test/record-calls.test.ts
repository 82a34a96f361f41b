import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ManualClock, type TempDir, tempDir } from '@tidegate/test-kit';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { CircuitBreaker, type CircuitBreakerOptions, type Outcome } from '../src/index.ts';
import { fileSink, type RecordedCall, recordCalls, replayCalls, replayTrace } from '../src/replay.ts';
import { deferred, outcomeOf } from './calls.ts';
import { patience, scaledRuns } from './scale.ts';

let folder: TempDir;
beforeAll(() => {
  folder = tempDir('record-');
});
afterAll(() => folder.remove());

/** A breaker whose calls are recorded; each call ends as its value says. */
function recorded(options: CircuitBreakerOptions) {
  const clock = options.clock ?? new ManualClock();
  const breaker = new CircuitBreaker({ classify: { value: (value) => value as Outcome }, ...options, clock });
  const lines: string[] = [];
  const stop = recordCalls(breaker, { write: (line) => lines.push(line), clock });
  return { breaker, lines, stop, calls: () => lines.map((line) => JSON.parse(line) as RecordedCall) };
}

describe('a recording', () => {
  test('has a line for each call when it ends, and for each one refused', async () => {
    const clock = new ManualClock();
    const { breaker, lines, stop } = recorded({
      name: 'llm',
      clock,
      waitDurationInOpenStateMs: 50,
      slidingWindow: { type: 'consecutive', failures: 1 },
    });
    const long = deferred<Outcome>();
    const late = breaker.execute(() => long.promise);
    const end = async (outcome: Outcome, ms: number) => {
      const call = deferred<Outcome>();
      const ended = breaker.execute(() => call.promise);
      clock.advance(ms);
      call.resolve(outcome);
      await ended;
    };
    await end('success', 5);
    await end('ignore', 3);
    await end('failure', 2);
    expect(await outcomeOf(breaker.execute(() => 'success'))).toMatchObject({ code: 'ERR_CIRCUIT_OPEN' });
    long.resolve('success');
    await late;
    clock.advance(50);
    await end({ throttledMs: 700 }, 1);
    stop();
    clock.advance(1_000);
    await end('success', 1);
    const at = (ms: number) => Date.UTC(2026, 0, 15, 12) + ms;
    expect(lines.every((line) => line.endsWith('}\n'))).toBe(true);
    expect(lines.map((line) => JSON.parse(line))).toEqual([
      { name: 'llm', startMs: at(0), durationMs: 5, outcome: 'success' },
      { name: 'llm', startMs: at(5), durationMs: 3, outcome: 'ignore' },
      { name: 'llm', startMs: at(8), durationMs: 2, outcome: 'failure' },
      { name: 'llm', startMs: at(10), durationMs: 0, outcome: 'rejected' },
      { name: 'llm', startMs: at(0), durationMs: 10, outcome: 'success' },
      { name: 'llm', startMs: at(60), durationMs: 1, outcome: 'throttled', throttledMs: 700 },
    ]);
  });

  test('goes on by the monotonic clock where the wall clock is set back', async () => {
    const clock = new ManualClock();
    const { breaker, calls } = recorded({ clock });
    clock.advance(10);
    clock.jumpWall(-3_600_000);
    await breaker.execute(() => 'success');
    expect(calls()[0]?.startMs).toBe(Date.UTC(2026, 0, 15, 12) + 10);
  });

  test('changes no outcome, whatever becomes of its lines', async () => {
    const breaker = new CircuitBreaker();
    const errors: unknown[] = [];
    breaker.on('listener-error', ({ error }) => errors.push(error));
    recordCalls(breaker, {
      write: () => {
        throw new Error('disk');
      },
    });
    await expect(breaker.execute(() => 7)).resolves.toBe(7);
    expect([breaker.metrics().failures, errors]).toEqual([0, [new Error('disk')]]);
  });

  test('of permits without durations is one of instants', () => {
    const { breaker, calls } = recorded({});
    for (const durationMs of [undefined, 7, Number.NaN, -1]) breaker.onSuccess(breaker.tryAcquire() ?? expect.fail(), durationMs);
    expect(calls().map(({ durationMs }) => durationMs)).toEqual([0, 7, 0, 0]);
  });
});

describe('a sink into a file', () => {
  test('appends lines that a replay reads', async () => {
    const path = join(folder.path, 'calls.ndjson');
    for (const part of [1, 2]) {
      await using sink = fileSink(path);
      const breaker = new CircuitBreaker({ name: `part-${part}` });
      recordCalls(breaker, sink);
      for (let i = 0; i < 100; i += 1) await breaker.execute(() => i);
    }
    expect((await replayTrace(path, { policies: { a: {} }, name: 'part-2' })).trace).toMatchObject({
      calls: 100,
      otherNames: 100,
      dropped: 0,
    });
  });

  test('is written as far as it was handed in, while more comes in without end', { timeout: 10_000 }, async () => {
    const path = join(folder.path, 'busy.ndjson');
    const sink = fileSink(path);
    let feeding = true;
    onTestFinished(() => {
      feeding = false;
    });
    const feed = () => {
      sink.write('{"more":1}\n');
      if (feeding) setImmediate(feed);
    };
    feed();
    sink.write('{"mine":1}\n');
    await sink.flush();
    expect(readFileSync(path, 'utf8')).toContain('{"mine":1}\n');
  });

  test('leaves out and counts what finds no room', async () => {
    const path = join(folder.path, 'full.ndjson');
    const sink = fileSink(path);
    const line = `${JSON.stringify({ startMs: 1, durationMs: 1, outcome: 'success', note: 'x'.repeat(1_000_000) })}\n`;
    for (let i = 0; i < 10; i += 1) sink.write(line);
    expect(sink.dropped).toBe(6);
    await sink.flush();
    sink.write('{"startMs":2,"durationMs":1,"outcome":"success"}\n');
    await sink.flush();
    const written = readFileSync(path, 'utf8').split('\n');
    expect([written.length, written[4], written[5]?.slice(0, 12)]).toEqual([7, '{"dropped":6}', '{"startMs":2']);
  });

  test('leaves out and counts what cannot be written, and goes on when it can', async () => {
    const path = join(folder.path, 'later', 'calls.ndjson');
    const sink = fileSink(path);
    const line = '{"startMs":1,"durationMs":1,"outcome":"success"}\n';
    sink.write(line);
    sink.write(line);
    await sink.flush();
    sink.write(line);
    await sink.flush();
    expect([sink.dropped, existsSync(path), sink.error]).toMatchObject([3, false, { code: 'ENOENT' }]);
    mkdirSync(join(folder.path, 'later'));
    sink.write(line);
    await sink.flush();
    expect([sink.dropped, sink.error, readFileSync(path, 'utf8')]).toEqual([3, undefined, `{"dropped":3}\n${line}`]);
    expect((await replayTrace(path, { policies: { a: {} } })).trace).toMatchObject({ calls: 1, dropped: 3 });
  });
});

type Step = { readonly afterMs: number } & (
  | { readonly do: 'begin' }
  | { readonly do: 'end'; readonly which: number; readonly outcome: Outcome | 'abort' }
);

const outcome: fc.Arbitrary<Outcome | 'abort'> = fc.oneof(
  { weight: 6, arbitrary: fc.constant('failure' as const) },
  { weight: 6, arbitrary: fc.constant('success' as const) },
  { weight: 1, arbitrary: fc.constantFrom('ignore' as const, 'abort' as const) },
  { weight: 1, arbitrary: fc.record({ throttledMs: fc.nat(100) }) },
);
// no two steps at one instant: a trace does not tell in which order those were
const afterMs = fc.oneof(
  { weight: 6, arbitrary: fc.integer({ min: 1, max: 6 }) },
  { weight: 1, arbitrary: fc.integer({ min: 20, max: 90 }) },
);
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ afterMs, do: fc.constant('begin' as const) }),
  fc.record({ afterMs, do: fc.constant('end' as const), which: fc.nat(100), outcome }),
);
const rate = fc.constantFrom(0.25, 0.5, 0.75, 1);
const openAndProbes = {
  waitDurationInOpenStateMs: fc.integer({ min: 1, max: 60 }),
  permittedNumberOfCallsInHalfOpenState: fc.integer({ min: 1, max: 3 }),
  maxWaitDurationInHalfOpenStateMs: fc.integer({ min: 1, max: 60 }),
};
const rates = {
  failureRateThreshold: rate,
  slowCallRateThreshold: rate,
  slowCallDurationThresholdMs: fc.integer({ min: 1, max: 30 }),
  minimumNumberOfCalls: fc.constant(2),
};
const policy = fc.oneof(
  fc.record({
    ...openAndProbes,
    slidingWindow: fc.record({ type: fc.constant('consecutive' as const), failures: fc.integer({ min: 1, max: 3 }) }),
  }),
  fc.record({
    ...openAndProbes,
    ...rates,
    slidingWindow: fc.record({ type: fc.constant('count' as const), size: fc.integer({ min: 2, max: 6 }) }),
  }),
  fc.record({
    ...openAndProbes,
    ...rates,
    slidingWindow: fc.record({
      type: fc.constant('time' as const),
      durationMs: fc.integer({ min: 5, max: 60 }),
      buckets: fc.integer({ min: 1, max: 5 }),
    }),
  }),
);

/** Runs the steps on a breaker that is recorded. */
async function workload(options: CircuitBreakerOptions, steps: readonly Step[]) {
  // the windows of a service begin at its clock's zero, those of a replay at the epoch: here they are the same
  const clock = new ManualClock({ now: 1_768_478_400_000, wall: 1_768_478_400_000 });
  const { breaker, calls } = recorded({ ...options, clock });
  const happened: string[] = [];
  breaker.on('state-change', ({ from, to, reason }) => happened.push(`${from} > ${to}: ${reason}`));
  const out: { readonly end: (outcome: Outcome | 'abort') => void; readonly ended: Promise<unknown> }[] = [];
  const begin = () => {
    const [result, leaving] = [deferred<Outcome>(), new AbortController()];
    const ended = outcomeOf(breaker.execute(() => result.promise, { signal: leaving.signal }));
    out.push({ ended, end: (outcome) => (outcome === 'abort' ? leaving.abort() : result.resolve(outcome)) });
  };
  for (const next of steps) {
    clock.advance(next.afterMs);
    const [call] = next.do === 'end' ? out.splice(next.which % Math.max(1, out.length), 1) : [];
    if (next.do === 'begin') begin();
    if (next.do === 'end') call?.end(next.outcome);
    await call?.ended;
  }
  for (const { end, ended } of out) {
    clock.advance(1);
    end('success');
    await ended;
  }
  breaker.state; // what time alone has changed is told now
  return { calls: calls(), happened, rejected: breaker.metrics().rejected };
}

test('a replay of a recording under the same policy does what happened', patience, async () => {
  let transitions = 0;
  const runs = scaledRuns(400);
  await fc.assert(
    fc.asyncProperty(policy, fc.array(step, { minLength: 20, maxLength: 80, size: 'max' }), async (options, steps) => {
      const { calls, happened, rejected } = await workload(options, steps);
      const again: string[] = [];
      const report = replayCalls(calls, {
        policies: { same: options },
        onTransition: (_, { from, to, reason }) => again.push(`${from} > ${to}: ${reason}`),
      });
      expect(happened.slice(0, again.length)).toEqual(again);
      // a trace ends with its last call: what time alone changed after it is not in a replay
      expect(happened.slice(again.length).filter((change) => !/wait-elapsed|probe-expired/.test(change))).toEqual([]);
      expect(report.policies[0]).toMatchObject({ rejected, unknownRejected: rejected, unknownAdmitted: 0, goodCallsRefused: 0 });
      transitions += happened.length;
    }),
    { numRuns: runs },
  );
  expect(transitions / runs).toBeGreaterThan(3);
});
