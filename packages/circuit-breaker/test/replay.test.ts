import { describe, expect, test } from 'vitest';
import type { CircuitBreakerOptions } from '../src/index.ts';
import { type RecordedCall, type RecordedOutcome, type ReplayedTransition, replayCalls } from '../src/replay.ts';

const began = Date.UTC(2026, 0, 15, 12);

/** A call `at` ms after the beginning. */
function call(at: number, durationMs: number, outcome: RecordedOutcome, throttledMs?: number): RecordedCall {
  return { startMs: began + at, durationMs, outcome, ...(throttledMs !== undefined && { throttledMs }) };
}

function replayed(calls: readonly RecordedCall[], options: object) {
  const transitions: string[] = [];
  const told = (_: string, { atMs, from, to, reason }: ReplayedTransition) =>
    transitions.push(`${atMs - began} ${from} > ${to}: ${reason}`);
  const { trace, policies } = replayCalls(calls, { policies: { it: options }, onTransition: told });
  return { trace, transitions, ...(policies[0] ?? expect.fail('no report')) };
}

const twoInARow: CircuitBreakerOptions = { slidingWindow: { type: 'consecutive', failures: 2 }, waitDurationInOpenStateMs: 100 };

describe('a replay', () => {
  test('counts what a breaker would have let through, refused and spared', () => {
    const calls = [
      call(0, 10, 'success'),
      call(20, 10, 'failure'),
      call(40, 10, 'failure'), // opens at 50, until 150
      call(60, 10, 'success'),
      call(70, 10, 'failure'),
      call(80, 5, 'ignore'),
      call(149, 1, 'throttled', 1_000),
      call(150, 10, 'failure'), // the probe: opens again at 160, until 260
      call(155, 1, 'success'),
      call(300, 10, 'success'), // the next probe: closes at 310
      call(320, 130, 'success'),
    ];
    expect(replayed(calls, twoInARow)).toEqual({
      label: 'it',
      trace: { calls: 11, successes: 5, failures: 5, ignored: 1, rejected: 0, dropped: 0, otherNames: 0, fromMs: began, toMs: began + 450 },
      transitions: [
        '50 closed > open: consecutive-failures',
        '150 open > half-open: wait-elapsed',
        '160 half-open > open: probe-failed',
        '260 open > half-open: wait-elapsed',
        '310 half-open > closed: probes-succeeded',
      ],
      admitted: 6,
      rejected: 5,
      goodCallsRefused: 2,
      failuresAvoided: 2,
      failuresLetThrough: 3,
      unknownAdmitted: 0,
      unknownRejected: 0,
      opened: 2,
      openMs: 200,
      openShare: 200 / 450,
      firstOpeningAfterMs: 20, // from 30, the end of the first failure
      probes: 2,
    });
  });

  test('takes overlapping calls by their starts and ends, whatever their order in the trace', () => {
    const calls = [
      call(0, 100, 'failure'), // both began while it was closed …
      call(10, 20, 'failure'),
      call(20, 15, 'failure'), // … the second failure in a row is the one that ends at 35
      call(36, 1, 'success'),
      call(40, 500, 'success'),
      call(135, 10, 'success'), // the wait is over at 135; the late failure at 100 changed nothing
    ];
    const inOrder = replayed(calls, twoInARow);
    expect(inOrder.transitions).toEqual([
      '35 closed > open: consecutive-failures',
      '135 open > half-open: wait-elapsed',
      '145 half-open > closed: probes-succeeded',
    ]);
    expect(inOrder).toMatchObject({ admitted: 4, rejected: 2, goodCallsRefused: 2, failuresLetThrough: 3 });
    for (const order of [
      [5, 4, 3, 2, 1, 0],
      [3, 0, 5, 1, 4, 2],
    ]) {
      expect(
        replayed(
          order.map((at) => calls[at] as RecordedCall),
          twoInARow,
        ),
      ).toEqual(inOrder);
    }
  });

  test('at one instant ends what ends, begins what goes on, then refuses', () => {
    const one = { slidingWindow: { type: 'consecutive', failures: 1 }, waitDurationInOpenStateMs: 100 };
    const calls = [
      call(0, 50, 'failure'),
      call(50, 10, 'success'),
      call(150, 0, 'rejected'),
      call(150, 20, 'success'),
      call(170, 5, 'failure'),
    ];
    expect(replayed(calls, one).transitions).toEqual([
      '50 closed > open: consecutive-failures',
      '150 open > half-open: wait-elapsed',
      '170 half-open > closed: probes-succeeded',
      '175 closed > open: consecutive-failures',
    ]);
    expect(replayed(calls, one)).toMatchObject({ unknownRejected: 1, unknownAdmitted: 0 }); // the probe was out by then
    expect(replayed([call(0, 9, 'success'), call(0, 0, 'failure')], one)).toMatchObject({ admitted: 1, rejected: 1 });
    const noDurations = [call(0, 0, 'failure'), call(0, 0, 'success'), call(0, 0, 'failure'), call(0, 0, 'failure'), call(0, 0, 'success')];
    expect(replayed(noDurations, twoInARow)).toMatchObject({ admitted: 4, rejected: 1, opened: 1, openMs: 0 });
  });

  test('calls refused when they were recorded count as nothing, also as probes', () => {
    const calls = [
      call(0, 0, 'rejected'),
      call(1, 1, 'failure'),
      call(3, 1, 'failure'),
      call(50, 0, 'rejected'),
      call(200, 0, 'rejected'),
      call(210, 5, 'success'),
    ];
    const report = replayed(calls, twoInARow);
    expect(report).toMatchObject({ admitted: 5, rejected: 1, unknownAdmitted: 2, unknownRejected: 1, probes: 1, goodCallsRefused: 0 });
    expect(report.transitions.at(-1)).toBe('215 half-open > closed: probes-succeeded');
  });

  test('a server that asks to be left alone is left alone, a probe that hangs opens at its deadline', () => {
    const calls = [
      call(0, 10, 'throttled', 500),
      call(400, 1, 'success'),
      call(510, 2_000, 'success'),
      call(600, 1, 'success'),
      call(2_600, 1, 'success'),
    ];
    expect(replayed(calls, { waitDurationInOpenStateMs: 100 })).toMatchObject({
      transitions: [
        '10 closed > open: throttled',
        '510 open > half-open: wait-elapsed',
        '610 half-open > open: probe-expired',
        '710 open > half-open: wait-elapsed',
        '2601 half-open > closed: probes-succeeded',
      ],
      openMs: 600,
      probes: 2,
    });
  });

  test('slow calls count by their recorded durations, and there may be no failure at all', () => {
    const slow = { slidingWindow: { type: 'count', size: 2 }, slowCallRateThreshold: 1, slowCallDurationThresholdMs: 50 };
    expect(replayed([call(0, 49, 'success'), call(1, 50, 'success'), call(2, 60, 'success')], slow)).toMatchObject({
      transitions: ['62 closed > open: slow-call-rate'],
      firstOpeningAfterMs: null,
    });
  });

  test('compares policies on the same calls, of one name', () => {
    const named = [call(0, 1, 'failure'), call(5, 1, 'failure'), call(10, 1, 'success')].map((each) => ({ ...each, name: 'a' }));
    const other = { ...call(3, 1, 'success'), name: 'b' };
    const anyones = call(12, 1, 'success');
    const policies: Record<string, CircuitBreakerOptions> = { strict: twoInARow, lax: {} };
    const report = replayCalls([...named, other, anyones], { policies, name: 'a' });
    expect(report.trace).toMatchObject({ calls: 4, otherNames: 1 });
    expect(report.policies.map(({ label, rejected }) => [label, rejected])).toEqual([
      ['strict', 2],
      ['lax', 0],
    ]);
    expect(() => replayCalls([...named, other], { policies })).toThrow('the trace has calls of a, b; one name must be asked for');
    expect(() => replayCalls([{ ...anyones, durationMs: -1 }], { policies: {} })).toThrow(/^call 0: durationMs must be a number from 0/);
  });

  test('of nothing finds nothing', () => {
    expect(replayed([], twoInARow)).toMatchObject({ admitted: 0, opened: 0, openShare: 0, firstOpeningAfterMs: null, trace: { calls: 0 } });
  });
});
