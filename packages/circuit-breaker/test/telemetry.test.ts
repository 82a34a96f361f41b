import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { AggregationTemporality, InMemoryMetricExporter, MeterProvider, PeriodicExportingMetricReader } from '@opentelemetry/sdk-metrics';
import { ManualClock } from '@tidegate/test-kit';
import * as client from 'prom-client';
import { afterEach, describe, expect, it } from 'vitest';
import manifest from '../package.json' with { type: 'json' };
import { CircuitBreaker } from '../src/index.ts';
import { instrumentCircuitBreakers } from '../src/otel.ts';
import { CircuitBreakerPool } from '../src/pool.ts';
import { registerCircuitBreakers, type TelemetrySource } from '../src/prometheus.ts';
import { CircuitBreakerRegistry } from '../src/registry.ts';
import { admitted, fail, succeed } from './calls.ts';

type Numbers = Record<string, number>;

/** One way out for the metrics: what is there now, as `name{label="value"}` in Prometheus' words. */
interface Outlet {
  readonly numbers: () => Promise<Numbers>;
  readonly stop: () => void;
}

const ends: Array<() => Promise<void>> = [];
afterEach(async () => {
  for (const end of ends.splice(0)) await end();
});

function series(name: string, labels: Record<string, unknown>): string {
  return `${name}{${Object.entries(labels)
    .map(([label, value]) => `${label}="${value}"`)
    .sort()
    .join(',')}}`;
}

function otel(source: TelemetrySource, temporality = AggregationTemporality.CUMULATIVE): Outlet {
  const exporter = new InMemoryMetricExporter(temporality);
  const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 3_600_000 });
  const provider = new MeterProvider({ readers: [reader] });
  ends.push(() => provider.shutdown());
  const stop = instrumentCircuitBreakers(source, { meter: provider.getMeter('test') });
  const suffix: Record<string, string> = { '{call}': '', s: '_seconds', '1': '' };
  const numbers = async () => {
    exporter.reset();
    await provider.forceFlush();
    const found: Numbers = {};
    for (const { scopeMetrics } of exporter.getMetrics()) {
      for (const { descriptor, dataPoints, ...metric } of scopeMetrics.flatMap(({ metrics }) => metrics)) {
        const monotonic = 'isMonotonic' in metric && metric.isMonotonic;
        const name = `${descriptor.name.replaceAll('.', '_')}${monotonic ? '_total' : (suffix[descriptor.unit] ?? '')}`;
        for (const { attributes, value } of dataPoints) {
          if (typeof value === 'number') found[series(name, attributes)] = value;
          else Object.assign(found, { [series(`${name}_sum`, attributes)]: value.sum, [series(`${name}_count`, attributes)]: value.count });
        }
      }
    }
    return found;
  };
  return { numbers, stop };
}

function prometheus(source: TelemetrySource): Outlet {
  const register = new client.Registry();
  const stop = registerCircuitBreakers(source, { client, register });
  const numbers = async () => {
    const lines = (await register.metrics())
      .split('\n')
      .filter((line) => line !== '' && !line.startsWith('#') && !line.includes('_bucket'));
    return Object.fromEntries(
      lines.map((line) => {
        const [, name = '', labels = '', value] = /^(\w+)(?:\{(.*)\})? (\S+)$/.exec(line) ?? [];
        return [`${name}{${labels.split(',').sort().join(',')}}`, Number(value)];
      }),
    );
  };
  return { numbers, stop };
}

const outlets = [
  ['OpenTelemetry', otel],
  ['Prometheus', prometheus],
] as const;

const starting = (numbers: Numbers, start: string) =>
  Object.fromEntries(Object.entries(numbers).filter(([name]) => name.startsWith(start)));

function breakerWith(clock: ManualClock, name = 'weather') {
  return new CircuitBreaker({
    name,
    clock,
    slidingWindow: { type: 'count', size: 4 },
    classify: { error: () => ({ throttledMs: 5_000 }) },
  });
}

describe.each(outlets)('%s', (_, outlet) => {
  it('counts calls by what became of them', async () => {
    const clock = new ManualClock();
    const breaker = breakerWith(clock);
    const { numbers } = outlet(breaker);
    succeed(breaker);
    succeed(breaker);
    fail(breaker);
    breaker.release(admitted(breaker));
    const late = admitted(breaker);
    await breaker.execute(() => Promise.reject(new Error('429'))).catch(() => {});
    breaker.onFailure(late);
    breaker.tryAcquire();
    const kind = (kind: string) => series('circuitbreaker_calls_total', { name: 'weather', kind });
    expect(starting(await numbers(), 'circuitbreaker_calls')).toEqual({
      [kind('successful')]: 2,
      [kind('failed')]: 1,
      [kind('ignored')]: 1,
      [kind('throttled')]: 1,
      [kind('late')]: 1,
      [kind('not_permitted')]: 1,
    });
  });

  it('shows the state, the window and its rates, and counts what changes and comes back', async () => {
    const clock = new ManualClock();
    const options = { slowCallRateThreshold: 1, slowCallDurationThresholdMs: 100, slidingWindow: { type: 'count', size: 4 } } as const;
    const breaker = new CircuitBreaker({ name: 'b', clock, ...options });
    const { numbers } = outlet(breaker);
    expect(starting(await numbers(), 'circuitbreaker_failure_rate')).toEqual({ [series('circuitbreaker_failure_rate', { name: 'b' })]: 0 });
    succeed(breaker, 250);
    fail(breaker, 50);
    succeed(breaker, 0);
    const name = 'b';
    expect(await numbers()).toMatchObject({
      [series('circuitbreaker_state', { name, state: 'closed' })]: 1,
      [series('circuitbreaker_state', { name, state: 'open' })]: 0,
      [series('circuitbreaker_failure_rate', { name })]: 1 / 3,
      [series('circuitbreaker_slow_call_rate', { name })]: 1 / 3,
      [series('circuitbreaker_buffered_calls', { name, kind: 'failed' })]: 1,
      [series('circuitbreaker_buffered_calls', { name, kind: 'successful' })]: 2,
      [series('circuitbreaker_call_duration_seconds_sum', { name, kind: 'successful' })]: 0.25,
      [series('circuitbreaker_call_duration_seconds_count', { name, kind: 'successful' })]: 1,
      [series('circuitbreaker_call_duration_seconds_sum', { name, kind: 'failed' })]: 0.05,
    });
    fail(breaker, 0);
    clock.advance(60_000);
    const half = await numbers();
    expect(half[series('circuitbreaker_state', { name, state: 'half-open' })]).toBe(1);
    expect(starting(half, 'circuitbreaker_readmissions_total{name')).toEqual({});
    succeed(breaker, 0);
    expect(await numbers()).toMatchObject({
      [series('circuitbreaker_transitions_total', { name, from: 'closed', to: 'open', reason: 'failure-rate' })]: 1,
      [series('circuitbreaker_transitions_total', { name, from: 'open', to: 'half-open', reason: 'wait-elapsed' })]: 1,
      [series('circuitbreaker_transitions_total', { name, from: 'half-open', to: 'closed', reason: 'probes-succeeded' })]: 1,
      [series('circuitbreaker_readmissions_total', { name })]: 1,
    });
  });

  it('forgets a deleted breaker in its gauges, and no count', async () => {
    const registry = new CircuitBreakerRegistry({ options: { clock: new ManualClock() } });
    succeed(registry.get('before'));
    const { numbers } = outlet(registry);
    succeed(registry.get('before'));
    succeed(registry.get('after'));
    const state = (name: string) => series('circuitbreaker_state', { name, state: 'closed' });
    const calls = (name: string) => series('circuitbreaker_calls_total', { name, kind: 'successful' });
    expect(await numbers()).toMatchObject({ [state('before')]: 1, [state('after')]: 1, [calls('before')]: 1, [calls('after')]: 1 });
    registry.delete('before');
    const without = await numbers();
    expect([without[state('before')] ?? 0, without[calls('before')], without[state('after')]]).toEqual([0, 1, 1]);
    succeed(registry.get('before'));
    expect((await numbers())[calls('before')]).toBe(2);
  });

  it('measures the members of a pool, and several sources at once', async () => {
    const clock = new ManualClock();
    const members = [{ name: 'a' }, { name: 'b' }];
    const pool = new CircuitBreakerPool({ name: 'p', clock, members, order: 'in-order', consecutiveFailures: 1, baseEjectionMs: 1_000 });
    const { numbers } = outlet([pool, breakerWith(clock)]);
    await pool.execute(() => Promise.reject(new Error('down'))).catch(() => {});
    await pool.execute(() => clock.advance(500));
    const member = (name: string, rest: object) => ({ name: 'p', member: name, ...rest });
    expect(await numbers()).toMatchObject({
      [series('circuitbreaker_calls_total', member('a', { kind: 'failed' }))]: 1,
      [series('circuitbreaker_calls_total', member('b', { kind: 'successful' }))]: 1,
      [series('circuitbreaker_call_duration_seconds_sum', member('b', { kind: 'successful' }))]: 0.5,
      [series('circuitbreaker_state', member('a', { state: 'open' }))]: 1,
      [series('circuitbreaker_state', member('b', { state: 'closed' }))]: 1,
      [series('circuitbreaker_transitions_total', member('a', { from: 'closed', to: 'open', reason: 'consecutive-failures' }))]: 1,
      [series('circuitbreaker_state', { name: 'weather', state: 'closed' })]: 1,
    });
    clock.advance(500);
    await pool.execute(() => 'well again');
    expect(await numbers()).toMatchObject({ [series('circuitbreaker_readmissions_total', member('a', {}))]: 1 });
  });

  it('is over when it is stopped', async () => {
    const registry = new CircuitBreakerRegistry({ options: { clock: new ManualClock() } });
    const { numbers, stop } = outlet(registry);
    succeed(registry.get('a'));
    stop();
    succeed(registry.get('a'));
    succeed(registry.get('b'));
    const after = await numbers();
    expect(starting(after, 'circuitbreaker_state')).toEqual({});
    expect(after[series('circuitbreaker_calls_total', { name: 'a', kind: 'successful' })] ?? 1).toBe(1);
    expect(after[series('circuitbreaker_calls_total', { name: 'b', kind: 'successful' })]).toBeUndefined();
  });
});

it.each([
  ['with delta temporality in OpenTelemetry', (source: TelemetrySource) => otel(source, AggregationTemporality.DELTA)],
  ['in Prometheus', prometheus],
])('a deleted breaker is gone from the gauges %s', async (_, outlet) => {
  const registry = new CircuitBreakerRegistry({ options: { clock: new ManualClock() } });
  const { numbers } = outlet(registry);
  for (const key of ['gone', 'there']) fail(registry.get(key));
  await numbers();
  registry.delete('gone');
  await numbers();
  const gauges = Object.keys(await numbers()).filter((name) => !/_total|_seconds/.test(name));
  expect(gauges.filter((name) => name.includes('gone'))).toEqual([]);
  expect(gauges.filter((name) => name.includes('there'))).toHaveLength(10);
});

it('units are those of the semantic conventions', async () => {
  const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
  const provider = new MeterProvider({ readers: [new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 3_600_000 })] });
  ends.push(() => provider.shutdown());
  const breaker = new CircuitBreaker();
  instrumentCircuitBreakers(breaker, { meter: provider.getMeter('test') });
  succeed(breaker, 20);
  await provider.forceFlush();
  const metrics = exporter.getMetrics().flatMap(({ scopeMetrics }) => scopeMetrics.flatMap((scope) => scope.metrics));
  expect(Object.fromEntries(metrics.map(({ descriptor: { name, unit } }) => [name, unit]))).toMatchObject({
    'circuitbreaker.calls': '{call}',
    'circuitbreaker.call.duration': 's',
    'circuitbreaker.state': '1',
  });
});

it('a second registration with the same prom-client registry says so, and one after the first has stopped fits', async () => {
  const register = new client.Registry();
  const breaker = new CircuitBreaker();
  const stop = registerCircuitBreakers(breaker, { client, register });
  expect(() => registerCircuitBreakers(breaker, { client, register })).toThrow(/already been registered/);
  stop();
  expect((await register.metrics()).trim()).toBe('');
  registerCircuitBreakers(breaker, { client, register })();
});

describe('no entry loads a peer', () => {
  const entries = Object.values(manifest.exports).flatMap((entry) => (typeof entry === 'string' ? [] : [entry['@tidegate/source']]));
  const script = `
    import module from 'node:module';
    const resolve = module._resolveFilename;
    module._resolveFilename = function (request, ...rest) {
      if (/^(prom-client|@opentelemetry)/.test(request)) throw new Error('loads ' + request);
      return resolve.call(this, request, ...rest);
    };
    module.register('data:text/javascript,' + encodeURIComponent(\`export async function resolve(specifier, context, next) {
      if (/^(prom-client|@opentelemetry)/.test(specifier)) throw new Error('loads ' + specifier);
      return next(specifier, context);
    }\`));
    for (const entry of process.argv.slice(1)) console.log(entry, Object.keys(await import(entry)).length > 0);`;

  function loaded(entries: readonly string[]): string {
    const args = ['--no-warnings', '--import', 'tsx', '--conditions=@tidegate/source', '--input-type=module', '--eval', script, ...entries];
    const { stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8', cwd: fileURLToPath(new URL('..', import.meta.url)) });
    return stdout + stderr;
  }

  it('each works without either', () => {
    const urls = entries.map((entry) => new URL(`../${entry}`, import.meta.url).href);
    expect(loaded(urls).trim().split('\n')).toEqual(urls.map((url) => `${url} true`));
  });

  it('and it would be seen', () => {
    expect(loaded(['prom-client'])).toContain('loads prom-client');
  });
});
