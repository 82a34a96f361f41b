import { describe, expect, test } from 'vitest';
import { type CallEvent, Listeners } from '../src/core.ts';
import { Metrics } from '../src/metrics.ts';
import { CallSummary } from '../src/summary.ts';

const call: CallEvent = {
  tenant: 'acme',
  kind: 'tool',
  name: 'own__x',
  counted: 'own__x',
  server: 'own',
  traceId: '',
  durationMs: 3,
  outcome: 'ok',
};

/** The samples of one metric by their own labels, those that are on every sample left out. */
async function samplesOf(metrics: Metrics, name: string): Promise<Record<string, number>> {
  const samples: Record<string, number> = {};
  for (const line of (await metrics.text()).split('\n')) {
    const [, labels, value] = new RegExp(`^${name}\\{(.*)\\} (\\S+)$`).exec(line) ?? [];
    if (labels === undefined) continue;
    expect(labels).toContain('service="tidegate",role="gateway",shard="0"');
    samples[labels.replace(/,?service="tidegate",role="gateway",shard="0",?/, '')] = Number(value);
  }
  return samples;
}

describe('numbers for Prometheus', () => {
  test('every event counts where it belongs', async () => {
    const events = new Listeners();
    const metrics = new Metrics(events, () => 7);
    for (let index = 0; index < 3; index += 1) events.emit('call', call);
    events.emit('call', { ...call, outcome: 'refused', code: 'ERR_RATE_LIMITED', durationMs: 7_000_000 });
    events.emit('retry', { server: 'own', attempt: 2 });
    events.emit('fallback', { server: 'own', fallback: 'own (fallback)', name: 'x', traceId: '' });
    events.emit('circuit', { server: 'own', from: 'closed', to: 'open', reason: '' });
    events.emit('frame', { server: 'own', problem: 'p', sample: 's' });
    events.emit('budget', { budget: 'b', level: 'warning', spentUsd: '9', limitUsd: '10' });
    expect(await samplesOf(metrics, 'tidegate_calls_total')).toEqual({
      'tenant="acme",server="own",name="own__x",outcome="ok"': 3,
      'tenant="acme",server="own",name="own__x",outcome="refused"': 1,
    });
    expect(await samplesOf(metrics, 'tidegate_refusals_total')).toEqual({ 'tenant="acme",server="own",code="ERR_RATE_LIMITED"': 1 });
    expect(await samplesOf(metrics, 'tidegate_retries_total')).toEqual({ 'server="own"': 1 });
    expect(await samplesOf(metrics, 'tidegate_fallback_calls_total')).toEqual({ 'server="own"': 1 });
    expect(await samplesOf(metrics, 'tidegate_circuit_transitions_total')).toEqual({ 'server="own",to="open"': 1 });
    expect(await samplesOf(metrics, 'tidegate_bad_frames_total')).toEqual({ 'server="own"': 1 });
    expect(await samplesOf(metrics, 'tidegate_budget_thresholds_total')).toEqual({ 'budget="b",level="warning"': 1 });
    expect(await samplesOf(metrics, 'tidegate_sessions')).toEqual({ '': 7 });
    const states = await samplesOf(metrics, 'tidegate_circuit_state');
    expect(states).toMatchObject({ 'server="own",state="open"': 1, 'server="own",state="closed"': 0 });
    expect(Object.values(states).reduce((sum, value) => sum + value)).toBe(1);
    expect(await samplesOf(metrics, 'tidegate_call_duration_seconds_count')).toEqual({ 'tenant="acme",server="own",name="own__x"': 4 });
    expect(await metrics.text()).toMatch(/^tidegate_call_duration_seconds_bucket\{le="0.005",.*name="own__x"\} 3$/m);
  });

  test('what a client makes up does not multiply them', async () => {
    const events = new Listeners();
    const metrics = new Metrics(events, () => 0);
    const summary = new CallSummary(events);
    for (let index = 0; index < 50; index += 1) {
      events.emit('call', { ...call, kind: 'resource', name: `item://${index}` });
      events.emit('call', { ...call, kind: 'completion', name: `item://${index}`, counted: 'own (completions)' });
    }
    expect(await samplesOf(metrics, 'tidegate_calls_total')).toEqual({
      'tenant="acme",server="own",name="own (resources)",outcome="ok"': 50,
      'tenant="acme",server="own",name="own (completions)",outcome="ok"': 50,
    });
    expect(summary.of('acme').calls).toHaveLength(2);
  });
});

describe('the summary', () => {
  test('adds up by tenant and name; a tenant sees its own', () => {
    const events = new Listeners();
    const summary = new CallSummary(events);
    events.emit('call', call);
    events.emit('call', { ...call, outcome: 'error' });
    events.emit('call', { ...call, outcome: 'refused', code: 'ERR_TIMEOUT' });
    events.emit('call', { ...call, outcome: 'refused', code: 'ERR_TIMEOUT', name: 'own__y', counted: 'own__y' });
    events.emit('call', { ...call, outcome: 'cancelled', tenant: 'beta' });
    expect(summary.of('acme')).toEqual({
      totals: { calls: 4, errors: 1, refused: 2, refusals: { ERR_TIMEOUT: 2 } },
      calls: [
        { tenant: 'acme', name: 'own__x', calls: 3, errors: 1, refused: 1, p95Ms: 5 },
        { tenant: 'acme', name: 'own__y', calls: 1, errors: 0, refused: 1, p95Ms: 5 },
      ],
    });
    expect(summary.of(undefined).totals.calls).toBe(5);
    expect(summary.of('nobody')).toEqual({ totals: { calls: 0, errors: 0, refused: 0, refusals: {} }, calls: [] });
  });

  test.each([
    [[1], 1],
    [[1.001], 2.5],
    [[...Array(19).fill(4), 900], 5],
    [[...Array(18).fill(4), 900, 900], 1_000],
    [[120_000], 120_000],
    [[120_001], 240_000],
  ])('the bound below which 95 %% of the calls ended: %j', (durations: number[], expected) => {
    const events = new Listeners();
    const summary = new CallSummary(events);
    for (const durationMs of durations) events.emit('call', { ...call, durationMs });
    expect(summary.of('acme').calls[0]?.p95Ms).toBe(expected);
  });
});
