import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { AggregationTemporality, InMemoryMetricExporter, MeterProvider, PeriodicExportingMetricReader } from '@opentelemetry/sdk-metrics';
import { ManualClock } from '@tidegate/test-kit';
import * as client from 'prom-client';
import { afterEach, describe, expect, test } from 'vitest';
import { concurrency, per, RateLimiter, tokenBucket } from '../src/index.ts';
import { instrumentRateLimiters, type OtelOptions, type TelemetrySource } from '../src/otel.ts';
import { registerRateLimiters } from '../src/prometheus.ts';
import { memoryStore, sharedStore } from '../src/stores.ts';

type Numbers = Record<string, number>;

const ends: Array<() => Promise<void>> = [];
afterEach(async () => {
  for (const end of ends.splice(0)) await end();
});

const series = (name: string, labels: Record<string, unknown>) =>
  `${name}{${Object.entries(labels)
    .map(([label, value]) => `${label}="${value}"`)
    .sort()
    .join(',')}}`;

function otel(source: TelemetrySource): { numbers: () => Promise<Numbers>; stop: () => void } {
  const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
  const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 3_600_000 });
  const provider = new MeterProvider({ readers: [reader] });
  ends.push(() => provider.shutdown());
  const stop = instrumentRateLimiters(source, { meter: provider.getMeter('test') });
  const numbers = async () => {
    exporter.reset();
    await provider.forceFlush();
    const metrics = exporter.getMetrics().flatMap(({ scopeMetrics }) => scopeMetrics.flatMap(({ metrics }) => metrics));
    return Object.fromEntries(
      metrics.flatMap(({ descriptor, dataPoints, ...metric }) =>
        dataPoints.map(({ attributes, value }) => {
          const suffix = 'isMonotonic' in metric && metric.isMonotonic ? '_total' : '';
          return [series(`${descriptor.name.replaceAll('.', '_')}${suffix}`, attributes), Number(value)];
        }),
      ),
    );
  };
  return { numbers, stop };
}

function prometheus(source: TelemetrySource): { numbers: () => Promise<Numbers>; stop: () => void } {
  const register = new client.Registry();
  const stop = registerRateLimiters(source, { client, register });
  const numbers = async () => {
    const found: Numbers = {};
    for (const { name, values } of await register.getMetricsAsJSON()) {
      for (const { labels, value } of values) found[series(name, labels)] = value;
    }
    return found;
  };
  return { numbers, stop };
}

describe.each([
  ['OpenTelemetry', otel],
  ['Prometheus', prometheus],
] as const)('%s', (_name, outlet) => {
  test('counts decisions by limiter and limit, of several limiters, until it is stopped', async () => {
    const clock = new ManualClock();
    const limits = [tokenBucket({ name: 'second', burst: 2 }), tokenBucket({ name: 'hour', rate: per(3, 'hour') })];
    const [search, login] = [new RateLimiter({ name: 'search', clock, limits }), new RateLimiter({ name: 'login', clock })];
    const { numbers, stop } = outlet([search, [login]]);
    for (let i = 0; i < 3; i += 1) search.consumeSync();
    clock.advance(1_000);
    for (let i = 0; i < 3; i += 1) await search.consume();
    await login.acquire();
    const labels = (name: string, limit: string, decision: string) =>
      series('ratelimit_decisions_total', { name, limit, decision, degraded: 'no' });
    const counted = {
      [labels('search', 'second', 'allowed')]: 2,
      [labels('search', 'second', 'refused')]: 1,
      [labels('search', 'hour', 'allowed')]: 1,
      [labels('search', 'hour', 'refused')]: 2,
      [labels('login', 'requests', 'allowed')]: 1,
    };
    expect(await numbers()).toEqual(counted);
    stop();
    search.consumeSync();
    expect(await numbers()).toEqual(outlet === otel ? counted : {});
  });

  test('tells when the store fails and answers again, and what was decided without it', async () => {
    let up = false;
    const clock = new ManualClock();
    const memory = memoryStore({ clock });
    const store = sharedStore({
      ...memory,
      run: (...command) => (up ? memory.run(...command) : Promise.reject(new Error('down'))),
      close: () => memory.close(),
    });
    const limiter = new RateLimiter({ name: 'search', store, clock, limits: [tokenBucket({ onStoreError: 'local' })] });
    const { numbers } = outlet(limiter);
    const counts = (degraded: string) =>
      series('ratelimit_decisions_total', { name: 'search', limit: 'requests', decision: 'allowed', degraded });
    const name = { name: 'search' };
    await limiter.consume();
    expect(await numbers()).toEqual({
      [counts('local')]: 1,
      [series('ratelimit_store_failures_total', name)]: 1,
      [series('ratelimit_store_available', name)]: 0,
    });
    up = true;
    await limiter.consume();
    expect(await numbers()).toEqual({
      [counts('local')]: 1,
      [counts('no')]: 1,
      [series('ratelimit_store_failures_total', name)]: 1,
      [series('ratelimit_store_available', name)]: 1,
    });
    await limiter.close();
  });

  test('counts lost leases', async () => {
    const clock = new ManualClock();
    const memory = memoryStore({ clock });
    const store = sharedStore({
      run: async (command, change) =>
        command.do === 'renew' ? { ...(await memory.run(command, change)), done: false } : memory.run(command, change),
      close: () => memory.close(),
    });
    const limiter = new RateLimiter({ name: 'jobs', store, clock, limits: [concurrency({ limit: 1, leaseMs: 300 })] });
    const { numbers } = outlet(limiter);
    const { signal } = await limiter.reserve();
    await clock.advanceAsync(100);
    expect(signal.aborted).toBe(true);
    expect((await numbers())[series('ratelimit_leases_lost_total', { name: 'jobs' })]).toBe(1);
    await limiter.close();
  });
});

test('an unknown option is refused', () => {
  const wrong = { metre: {} } as unknown as OtelOptions;
  expect(() => instrumentRateLimiters([], wrong)).toThrow("instrumentRateLimiters: unknown option 'metre'");
  expect(() => registerRateLimiters([], { client, registry: client.register } as never)).toThrow(
    "registerRateLimiters: unknown option 'registry'",
  );
});

describe('OpenTelemetry and prom-client', () => {
  const script = `
    import module from 'node:module';
    module.register('data:text/javascript,' + encodeURIComponent(\`export async function resolve(specifier, context, next) {
      if (/^(prom-client|@opentelemetry)/.test(specifier)) throw new Error('loads ' + specifier);
      return next(specifier, context);
    }\`));
    for (const door of process.argv.slice(1)) console.log(door, Object.keys(await import(door)).length > 0);`;

  function loaded(doors: readonly string[]): string {
    const args = ['--no-warnings', '--import', 'tsx', '--conditions=@tidegate/source', '--input-type=module', '--eval', script, ...doors];
    const { stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8', cwd: fileURLToPath(new URL('..', import.meta.url)) });
    return stdout + stderr;
  }

  test('are loaded neither by the root nor by the doors that feed them', () => {
    const doors = ['index', 'otel', 'prometheus'].map((door) => new URL(`../src/${door}.ts`, import.meta.url).href);
    expect(loaded(doors).trim().split('\n')).toEqual(doors.map((door) => `${door} true`));
  });

  test('would be seen', () => expect(loaded(['prom-client'])).toContain('loads prom-client'));
});
