import { chaosSeed, isAlive, type LlmEvent, llmFault, llmItems, seededRandom, startFakeLlm } from '@tidegate/test-kit';
import OpenAI, { APIConnectionError, APIError } from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { llmTraffic, retryAfterOf } from '../src/classifiers.ts';
import { breakerFetch } from '../src/fetch.ts';
import { CircuitBreaker, type CircuitBreakerOptions, isCircuitOpenError } from '../src/index.ts';
import { pipeline, type RetryOptions, retry, timeout } from '../src/policies.ts';
import { outcomeOf } from './calls.ts';

/** Timers of Node go by a clock of whole milliseconds, and may fire that much early by one that is finer. */
const grainMs = 2;
const clientTimeoutMs = 500;
const messages = [{ role: 'user' as const, content: 'hello' }];

let provider: Awaited<ReturnType<typeof startFakeLlm>>;
let lastCall = 0;

beforeAll(async () => {
  provider = await startFakeLlm({ seed: chaosSeed });
});

afterAll(async () => {
  const { pid = 0 } = provider.server;
  await provider[Symbol.asyncDispose]();
  expect(isAlive(pid)).toBe(false);
});

/**
 * Says when to come back where the policy looks for it. To go, as soon as `retry` reads the errors of clients itself. A half-open circuit names the
 * deadline of its probe, which is minutes away and no wait that anybody asked for.
 */
function hinted(error: unknown): never {
  const { cause } = error as Error;
  const refusal = isCircuitOpenError(cause) ? cause : undefined;
  const retryAfterMs =
    refusal === undefined ? retryAfterOf(error, Date.now()) : refusal.state === 'open' ? refusal.retryAfterMs : undefined;
  throw Object.assign(error as Error, retryAfterMs === undefined ? {} : { retryAfterMs });
}

interface Sent {
  readonly at: number;
}

function setUp(settings: { breaker?: CircuitBreakerOptions; retry?: RetryOptions }) {
  const short = { waitDurationInOpenStateMs: 50, maxWaitDurationInOpenStateMs: 200 };
  const breaker = new CircuitBreaker({ name: 'llm', ...llmTraffic(), ...short, random: seededRandom(chaosSeed), ...settings.breaker });
  const told = { success: 0, failure: 0, ignored: 0, late: 0, rejected: 0 };
  for (const event of ['success', 'failure', 'ignored', 'late', 'rejected'] as const) {
    breaker.on(event, () => {
      told[event] += 1;
    });
  }
  const throttled: { at: number; waitMs: number }[] = [];
  breaker.on('failure', ({ throttledMs }) => {
    if (throttledMs !== undefined) throttled.push({ at: performance.now(), waitMs: throttledMs });
  });
  const sent: Sent[] = [];
  const counting: typeof fetch = (...call) => {
    sent.push({ at: performance.now() });
    return fetch(...call);
  };
  const client = new OpenAI({
    apiKey: 'key',
    baseURL: provider.server.url,
    fetch: breakerFetch({ breaker, fetch: counting, abortFailsAfterMs: clientTimeoutMs - 50 }),
    maxRetries: 0,
    timeout: clientTimeoutMs,
  });
  const again = retry({ initialDelayMs: 30, multiplier: 1.5, random: seededRandom(chaosSeed + 1), ...settings.retry });
  const complete = (call: number, model = 'seeded') =>
    again.execute(async ({ signal }) => {
      const request = client.chat.completions.create({ model, messages, user: `${call}` }, { signal });
      return (await request.catch(hinted)).choices[0]?.message.content;
    });
  return { breaker, told, throttled, sent, client, again, complete };
}

/** Numbers that no test before has used: the provider knows attempts by them. */
function callNumbers(many: number): number[] {
  return Array.from({ length: many }, () => {
    lastCall += 1;
    return lastCall;
  });
}

function eventsOf(calls: readonly number[]): LlmEvent[] {
  return provider.events().filter(({ call }) => calls.includes(call));
}

const requestsOf = (calls: readonly number[]) => eventsOf(calls).filter(({ event }) => event === 'request');

/** Does `work` for each, so many at a time. */
async function sideBySide<T>(calls: readonly number[], atOnce: number, work: (call: number) => Promise<T>): Promise<Map<number, T>> {
  const results = new Map<number, T>();
  const left = [...calls];
  const lane = async () => {
    for (let call = left.shift(); call !== undefined; call = left.shift()) results.set(call, await work(call));
  };
  await Promise.all(Array.from({ length: atOnce }, lane));
  return results;
}

/** What a caller can do something with: a status, a time to come back, or that nothing answered. */
function isClear(error: unknown): boolean {
  if (isCircuitOpenError((error as Error).cause)) {
    const { code, retryAfterMs } = (error as { cause: { code: string; retryAfterMs: unknown } }).cause;
    return code === 'ERR_CIRCUIT_OPEN' && typeof retryAfterMs === 'number';
  }
  if (error instanceof APIConnectionError) return true;
  if (error instanceof APIError)
    return typeof error.status === 'number' && (error.status !== 429 || retryAfterOf(error, Date.now()) !== undefined);
  return error instanceof Error && error.message === 'terminated'; // an answer that broke off
}

/** Requests that came before the wait was over that an earlier answer to the same call had asked for. */
function tooEarly(events: readonly LlmEvent[]): string[] {
  const early: string[] = [];
  for (const { call, attempt, fault, at } of events.filter(({ event }) => event === 'refused')) {
    const waitMs = fault.kind === 'status' ? (fault.waitMs ?? 0) : 0;
    const next = events.find((other) => other.event === 'request' && other.call === call && other.attempt === attempt + 1);
    if (next !== undefined && next.at - at < waitMs - grainMs) early.push(`call ${call}: ${next.at - at} ms instead of ${waitMs}`);
  }
  return early;
}

const faulty = (events: readonly LlmEvent[]) => events.filter(({ fault }) => fault.kind !== 'none');

describe(`a provider that throttles, fails, breaks off and hangs (CHAOS_SEED=${chaosSeed})`, () => {
  it('gets every call again after the wait it asked for, until it succeeds or the limit is reached', async () => {
    const calls = callNumbers(40);
    const { breaker, told, throttled, sent, complete } = setUp({ retry: { maxAttempts: 10, maxDelayMs: 1_500, maxElapsedMs: 10_000 } });
    const ends = await sideBySide(calls, 6, (call) => outcomeOf(complete(call)));
    const events = eventsOf(calls);
    const requests = events.filter(({ event }) => event === 'request');

    for (const { call, attempt, fault } of requests) expect(fault).toEqual(llmFault(chaosSeed, call, attempt)); // the schedule repeats
    expect(tooEarly(events)).toEqual([]);
    // and nobody else's request goes out either, once the circuit knows of the wait
    const within = throttled.flatMap(({ at, waitMs }) => sent.filter((request) => request.at > at && request.at < at + waitMs - grainMs));
    expect(within).toEqual([]);
    expect(throttled.length).toBeGreaterThan(3);

    const answered = [...ends].filter(([call, end]) => end === `${call}`).map(([call]) => call);
    for (const [call, end] of ends) if (!answered.includes(call)) expect(isClear(end), String(end)).toBe(true);
    expect(answered.length).toBeGreaterThanOrEqual(calls.length / 2);
    const again = answered.filter((call) => requests.some((event) => event.call === call && event.attempt > 1));
    expect(again.length).toBeGreaterThan(5);
    // nothing is asked after it was answered, and only what was answered has a request without a fault
    const good = requests.filter(({ fault }) => fault.kind === 'none');
    expect(good.map(({ call }) => call).sort((a, b) => a - b)).toEqual(answered.sort((a, b) => a - b));
    for (const { call, attempt } of good) expect(requests.some((event) => event.call === call && event.attempt > attempt)).toBe(false);

    // each request is one event of the breaker, and each refusal none at the provider
    expect(sent.length).toBe(requests.length);
    expect(told.success + told.failure + told.ignored + told.late).toBe(requests.length);
    expect(told.ignored).toBe(0);
    expect(told.failure + told.late).toBeGreaterThanOrEqual(faulty(requests).length);
    expect(told.success).toBeLessThanOrEqual(good.length);
    expect(breaker.metrics()).toMatchObject({ rejected: told.rejected, late: told.late });
    console.log(
      `${calls.length} calls: ${answered.length} answered, ${requests.length} requests of which ${faulty(requests).length} went wrong, ` +
        `${told.rejected} refused by the circuit, ${breaker.metrics().opened} openings`,
    );
  });

  it('counts each request once, as what it was', async () => {
    const calls = callNumbers(40);
    const { breaker, told, complete } = setUp({ retry: { maxAttempts: 4, maxDelayMs: 2_000 } });
    breaker.transitionTo('metrics-only'); // so that nothing is late
    await sideBySide(calls, 8, (call) => outcomeOf(complete(call)));
    const events = eventsOf(calls);
    const requests = events.filter(({ event }) => event === 'request');
    expect(tooEarly(events)).toEqual([]);
    expect(told).toEqual({
      success: requests.length - faulty(requests).length,
      failure: faulty(requests).length,
      ignored: 0,
      late: 0,
      rejected: 0,
    });
  });
});

describe(`the end of patience (CHAOS_SEED=${chaosSeed})`, () => {
  const steady = { breaker: { waitDurationInOpenStateMs: 1 } };

  it('at the last attempt is the 429 itself, with its wait', async () => {
    const [call = 0] = callNumbers(1);
    const { complete } = setUp({ ...steady, retry: { maxAttempts: 3 } });
    const error = await outcomeOf(complete(call, '429-60'));
    expect(error).toMatchObject({ status: 429, code: 'rate_limit_exceeded', retryAfterMs: 60 });
    expect(requestsOf([call])).toHaveLength(3);
    expect(tooEarly(eventsOf([call]))).toEqual([]);
  });

  it('is a wait that would pass the time limit: it is not begun', async () => {
    const [call = 0] = callNumbers(1);
    const { complete } = setUp({ ...steady, retry: { maxAttempts: 100, maxElapsedMs: 1_000 } });
    const startedAt = performance.now();
    expect(await outcomeOf(complete(call, '429-300'))).toMatchObject({ status: 429, retryAfterMs: 300 });
    expect(performance.now() - startedAt).toBeLessThan(1_000 + clientTimeoutMs);
    expect(requestsOf([call]).length).toBeGreaterThan(1);
    expect(requestsOf([call]).length).toBeLessThanOrEqual(4);
  });

  it('is a wait longer than the longest; from then on calls are refused at once, and say when to come back', async () => {
    const [first = 0, ...others] = callNumbers(50);
    const { breaker, told, complete } = setUp({ retry: { maxAttempts: 5, maxDelayMs: 1_000 } });
    expect(await outcomeOf(complete(first, '429-20000'))).toMatchObject({ status: 429, retryAfterMs: 20_000 });
    expect(requestsOf([first])).toHaveLength(1);
    const startedAt = performance.now();
    for (const call of others) {
      const error = (await outcomeOf(complete(call))) as Error;
      expect(error).toBeInstanceOf(APIConnectionError);
      expect(error.cause).toMatchObject({ code: 'ERR_CIRCUIT_OPEN', limit: 'llm' });
      const { retryAfterMs } = error.cause as { retryAfterMs: number };
      expect(retryAfterMs).toBeGreaterThan(10_000);
      expect(retryAfterMs).toBeLessThanOrEqual(20_000);
    }
    expect((performance.now() - startedAt) / others.length).toBeLessThan(clientTimeoutMs / 10);
    expect(requestsOf(others)).toEqual([]);
    expect(told.rejected).toBe(others.length);
    expect(breaker.state).toBe('open');
  });
});

describe(`streams (CHAOS_SEED=${chaosSeed})`, () => {
  it('are opened again until their first item and never after; each that breaks is one failure', async () => {
    const calls = callNumbers(60);
    const { breaker, told, client, again } = setUp({ retry: { maxAttempts: 6, maxDelayMs: 2_000 } });
    breaker.transitionTo('metrics-only');
    const stream = pipeline(again, timeout({ totalMs: 10_000 }));
    const read = async (call: number) => {
      const items: string[] = [];
      const opened = { inAll: 0, atFirstItem: 0 };
      const source = stream.executeStream(async ({ signal }) => {
        opened.inAll += 1;
        const request = client.chat.completions.create({ model: 'seeded', messages, user: `${call}`, stream: true }, { signal });
        return request.catch(hinted);
      });
      const end = await outcomeOf(
        (async () => {
          for await (const { choices } of source) {
            if (items.length === 0) opened.atFirstItem = opened.inAll;
            items.push(choices[0]?.delta.content ?? '');
          }
          return 'whole';
        })(),
      );
      return { items, opened, end };
    };
    const reads = await sideBySide(calls, 6, read);
    const events = eventsOf(calls);
    const requests = events.filter(({ event }) => event === 'request');
    expect(tooEarly(events)).toEqual([]);
    let brokenOff = 0;
    for (const [call, { items, opened, end }] of reads) {
      const own = requests.filter((event) => event.call === call);
      expect(own).toHaveLength(opened.inAll);
      expect(items).toEqual(Array.from(items, (_, at) => `${at}`)); // of one stream, from its beginning
      if (items.length > 0) expect(opened.inAll).toBe(opened.atFirstItem);
      if (end === 'whole') {
        expect(items).toHaveLength(llmItems);
        expect(own.at(-1)?.fault.kind).toBe('none');
      } else {
        expect(isClear(end), String(end)).toBe(true);
        expect(own.at(-1)?.fault.kind).not.toBe('none');
        if (items.length > 0) brokenOff += 1;
      }
    }
    expect(brokenOff).toBeGreaterThan(0);
    expect(told).toEqual({
      success: requests.length - faulty(requests).length,
      failure: faulty(requests).length,
      ignored: 0,
      late: 0,
      rejected: 0,
    });
  });
});
