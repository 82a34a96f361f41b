import { ManualClock, until } from '@tidegate/test-kit';
import { Webhook } from 'standardwebhooks';
import { afterEach, describe, expect, test } from 'vitest';
import {
  type AlertClock,
  type AlertEvents,
  type AlertSink,
  AlertSinkError,
  BudgetAlerts,
  type BudgetAlertsOptions,
  googleChatSink,
  isAlertSinkError,
  webhookSink,
} from '../src/alerts.ts';
import { type BudgetOptions, CostTracker, memoryStore, StoreError } from '../src/index.ts';
import { AlertReceiver } from './alert-receiver.ts';

const secret = `whsec_${Buffer.alloc(32, 7).toString('base64')}`;
const signal = new AbortController().signal;

const opened: AsyncDisposable[] = [];
afterEach(async () => {
  for (const one of opened.splice(0).reverse()) await one[Symbol.asyncDispose]();
});
const keep = <T extends AsyncDisposable>(one: T): T => {
  opened.push(one);
  return one;
};
const receiver = async () => keep(await AlertReceiver.start());

const budget: BudgetOptions = { name: 'acme', scope: { tenant: 'acme' }, limitUsd: '10', period: 'month' };

/** A tracker, its alerts and all that they told, on the real clock. */
function running(sinks: readonly AlertSink[], options: Partial<BudgetAlertsOptions> = {}, budgets: BudgetOptions[] = [budget]) {
  const clock = options.clock;
  const tracker = keep(new CostTracker({ budgets, ...(clock && { clock }) }));
  const alerts = keep(new BudgetAlerts({ tracker, sinks, initialDelayMs: 1, maxDelayMs: 5, ...options }));
  return { tracker, alerts, told: news(alerts), spend: spender(tracker) };
}

let calls = 0;
const spender =
  (tracker: CostTracker) =>
  (amountUsd: string, tenant = 'acme') =>
    tracker.record({ kind: 'tool', name: 'search', scope: { tenant }, dedupeKey: `call-${calls++}`, amountUsd });

interface News extends Record<string, unknown> {
  event: keyof AlertEvents;
}

function news(alerts: BudgetAlerts): News[] {
  const told: News[] = [];
  for (const event of ['delivered', 'failed', 'dead-letter', 'store-failed', 'listener-error'] as const) {
    alerts.on(event, (payload) => told.push({ event, ...payload }));
  }
  return told;
}

describe('a webhook', () => {
  test('is signed so that the standard’s own library takes it, and says what happened', async () => {
    const hook = await receiver();
    const { spend, told } = running([webhookSink({ url: hook.url, secret })]);
    await spend('9.5');
    await until(() => told.length === 1, { what: 'the delivery to be told' });
    const [request] = hook.received;
    const body = new Webhook(secret).verify(request?.body ?? '', request?.headers as Record<string, string>);
    const data = {
      budget: 'acme',
      level: 'warning',
      threshold: 0.9,
      spentUsd: '9.5',
      limitUsd: '10',
      periodStart: expect.stringMatching(/^\d{4}-\d\d-01T00:00:00.000Z$/),
      resetsAt: expect.stringMatching(/^\d{4}-\d\d-01T00:00:00.000Z$/),
      crossedAt: expect.stringMatching(/Z$/),
    };
    expect(body).toEqual({ type: 'budget.warning', timestamp: (body as { data: { crossedAt: string } }).data.crossedAt, data });
    expect(request?.headers).toMatchObject({ 'content-type': 'application/json' });
    const id = request?.headers['webhook-id'];
    expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-8[0-9a-f]{3}-[0-9a-f]{12}$/);
    expect(told).toEqual([{ event: 'delivered', sink: 'webhook', attempt: 1, alert: { id, ...data } }]);
    expect(() =>
      new Webhook(`whsec_${Buffer.alloc(32, 8).toString('base64')}`).verify(request?.body ?? '', request?.headers as never),
    ).toThrow('No matching signature');
  });

  test('of a jump from 80 % to 112 % comes three times, in order, each once', async () => {
    const hook = await receiver();
    const { alerts, spend, told } = running([webhookSink({ url: hook.url, secret })]);
    await spend('8');
    await spend('3.2');
    await until(() => told.length === 3, { what: 'three deliveries' });
    await alerts.deliver();
    await spend('1');
    await alerts.deliver();
    expect(hook.levels).toEqual(['warning', 'critical', 'blocked']);
    expect(new Set(hook.ids).size).toBe(3);
    expect(told.map(({ event }) => event)).toEqual(['delivered', 'delivered', 'delivered']);
  });

  test('that fails is sent again with the same id and the same body until it is taken, and holds back what comes after it', async () => {
    const hook = await receiver();
    hook.replies.push(500, 'cut', 503, 408);
    const { spend, told } = running([webhookSink({ url: hook.url, secret })]);
    await spend('10');
    await until(() => told.length === 6, { what: 'four failures and two deliveries' });
    expect(hook.levels).toEqual(['warning', 'warning', 'warning', 'warning', 'warning', 'critical']);
    const warnings = hook.received.slice(0, 5);
    expect(new Set(warnings.map(({ headers, body }) => `${headers['webhook-id']} ${body}`)).size).toBe(1);
    for (const { body, headers } of warnings) new Webhook(secret).verify(body, headers as Record<string, string>);
    expect(told.map(({ event, attempt }) => `${event} ${attempt}`)).toEqual([
      'failed 1',
      'failed 2',
      'failed 3',
      'failed 4',
      'delivered 5',
      'delivered 1',
    ]);
    expect(told[0]).toMatchObject({
      error: { code: 'ERR_ALERT_SINK', message: "sink 'webhook' answered 500" },
      retryAt: expect.any(String),
    });
    expect(told[1]).toMatchObject({ error: { message: "sink 'webhook' could not be reached (UND_ERR_SOCKET)" } });
  });

  test.each([400, 401, 404, 410, 301, 307])('that is answered %i is given up with an event, and the next line is told', async (status) => {
    const [hook, elsewhere] = [await receiver(), await receiver()];
    hook.replies.push([status, { location: elsewhere.url }]);
    const { alerts, spend, told } = running([webhookSink({ url: hook.url, secret })]);
    await spend('10');
    await until(() => told.length === 2, { what: 'a dead letter and a delivery' });
    await alerts.deliver();
    expect(told).toMatchObject([
      {
        event: 'dead-letter',
        attempt: 1,
        alert: { level: 'warning' },
        error: { permanent: true, message: `sink 'webhook' answered ${status}, which no repetition will change` },
      },
      { event: 'delivered', alert: { level: 'critical' } },
    ]);
    expect(elsewhere.received).toEqual([]);
  });

  test.each<[string, Record<string, string>, number | undefined]>([
    ['seconds', { 'retry-after': '120' }, 120_000],
    ['a date, by the receiver’s clock', { 'retry-after': 'Sun, 15 Mar 2026 12:01:00 GMT', date: 'Sun, 15 Mar 2026 12:00:30 GMT' }, 30_000],
    ['a date that has passed', { 'retry-after': 'Sun, 15 Mar 2026 12:00:00 GMT', date: 'Sun, 15 Mar 2026 12:00:30 GMT' }, 0],
    ['a date, and no other', { 'retry-after': 'Thu, 15 Jan 2026 12:00:10 GMT', date: 'no date' }, 10_000],
    ['nothing that it says anything with', { 'retry-after': 'soon' }, undefined],
    ['nothing', {}, undefined],
  ])('that is asked to wait reads %s', async (_what, headers, expected) => {
    const hook = await receiver();
    hook.replies.push([429, headers]);
    const sink = webhookSink({ url: hook.url, secret, clock: new ManualClock() });
    const error = await sink.send(alertOf(), { signal }).catch((reason: unknown) => reason);
    expect(isAlertSinkError(error) && { asked: error.retryAfterMs, permanent: error.permanent }).toEqual({
      asked: expected,
      permanent: false,
    });
  });

  test('that hangs is called off with the reason of whoever calls it off', async () => {
    const hook = await receiver();
    hook.usual = 'never';
    const calledOff = new AbortController();
    const sent = webhookSink({ url: hook.url, secret }).send(alertOf(), { signal: calledOff.signal });
    await until(() => hook.received.length === 1, { what: 'the request' });
    calledOff.abort('enough');
    await expect(sent).rejects.toBe('enough');
  });

  test('that nobody listens for says which error it was, and neither address nor secret, whatever the fetch says', async () => {
    const gone = await AlertReceiver.start();
    const { url } = gone;
    await gone[Symbol.asyncDispose]();
    const talkative: typeof fetch = () => Promise.reject(new Error(`request to ${url} failed, reason: ${secret}`));
    const [plain, custom] = [webhookSink({ url, secret }), webhookSink({ url, secret, fetch: talkative })];
    const errors = await Promise.all([plain, custom].map((sink) => sink.send(alertOf(), { signal }).catch((error: unknown) => error)));
    expect(errors.map((error) => (error as Error).message)).toEqual([
      "sink 'webhook' could not be reached (ECONNREFUSED)",
      "sink 'webhook' could not be reached",
    ]);
    for (const error of errors as Error[]) {
      expect(error.cause).toBeUndefined();
      expect(`${error.stack} ${JSON.stringify(error)}`).not.toMatch(/sesame|BwcHBw/);
    }
  });
});

describe('Google Chat', () => {
  test('gets one line of text in the thread of the budget’s period, and an id by which it drops repetitions', async () => {
    const hook = await receiver();
    hook.replies.push(503);
    const { spend, told } = running([googleChatSink({ url: hook.url })]);
    await spend('11.2');
    await until(() => told.length === 4, { what: 'a failure and three deliveries' });
    const bodies = hook.received.map(({ body }) => JSON.parse(body));
    expect(hook.levels).toEqual(['warning', 'warning', 'critical', 'blocked']);
    expect(bodies[0]).toEqual(bodies[1]);
    expect(Object.keys(bodies[0])).toEqual(['text', 'thread']);
    expect(bodies[0].text).toMatch(
      /^⚠️ \*Budget acme: warning\*\n11\.2 of 10 USD are spent \(112 %\) since \S+-01T00:00:00\.000Z; it starts again at \S+Z\.$/,
    );
    expect(bodies[3].text).toMatch(/^⛔ \*Budget acme: blocked\*\n.* Calls that would cost more are refused\.$/);
    expect(new Set(bodies.map(({ thread }) => thread.threadKey)).size).toBe(1);
    const queries = hook.received.map(({ url }) => url.searchParams);
    expect(queries.map((query) => query.get('key'))).toEqual(['sesame', 'sesame', 'sesame', 'sesame']);
    expect(queries[0]?.get('messageReplyOption')).toBe('REPLY_MESSAGE_FALLBACK_TO_NEW_THREAD');
    const ids = queries.map((query) => query.get('requestId'));
    expect(ids[0]).toBe(ids[1]);
    expect(new Set(ids).size).toBe(3);
    expect(hook.received[0]?.headers).toMatchObject({ 'content-type': 'application/json; charset=UTF-8' });
  });

  test('is told no line too early, and nobody is mentioned by the name of a budget', async () => {
    const hook = await receiver();
    await googleChatSink({ url: hook.url }).send(
      alertOf({ budget: `<users/all>\n${'x'.repeat(300)}`, spentUsd: '9.9999', limitUsd: '10' }),
      { signal },
    );
    const { text, thread } = JSON.parse(hook.received[0]?.body ?? '');
    expect(text).toContain('(99.9 %)');
    expect(text.split('\n')).toHaveLength(2);
    expect(`${text}${thread.threadKey}`).not.toMatch(/[<>]|x{201}/);
    expect(text).toContain('‹users/all› xxx');
  });
});

describe('sinks', () => {
  test('are told apart: one that hangs and one that fails hold up no other', async () => {
    const [good, failing, hanging] = [await receiver(), await receiver(), await receiver()];
    failing.usual = 500;
    hanging.usual = 'never';
    const sinks = [hanging, failing, good].map(({ url }, index) => webhookSink({ url, secret, name: `hook-${index}` }));
    const { alerts, spend, told } = running(sinks, { timeoutMs: 600_000 });
    await spend('11.2');
    await until(() => good.levels.length === 3, { what: 'the good sink to be told' });
    expect(good.levels).toEqual(['warning', 'critical', 'blocked']);
    expect(hanging.levels).toEqual(['warning']);
    expect(new Set(failing.levels)).toEqual(new Set(['warning']));
    expect(told.filter(({ event }) => event === 'delivered').every(({ sink }) => sink === 'hook-2')).toBe(true);
    hanging.release();
    hanging.usual = 204;
    failing.usual = 204;
    await until(() => failing.levels.at(-1) === 'blocked' && hanging.levels.at(-1) === 'blocked', { what: 'the others to be told' });
    await alerts.deliver();
    expect(hanging.levels).toEqual(['warning', 'critical', 'blocked']);
  });

  test('that hang on one budget are told of others', async () => {
    const seen: string[] = [];
    const sink: AlertSink = {
      name: 'own',
      send: async ({ budget: name }) => {
        seen.push(name);
        if (name === 'acme') await new Promise(() => {});
      },
    };
    const others = ['b', 'c', 'd', 'e', 'f', 'g'].map((tenant) => ({ ...budget, name: tenant, scope: { tenant } }));
    const { spend } = running([sink], { timeoutMs: 600_000 }, [budget, ...others]);
    await spend('9.5');
    for (const { name } of others) await spend('9.5', name);
    await until(() => seen.length === 7, { what: 'all budgets to be told of' });
  });

  test('that hang on what was left behind are told of the rest without another look', async () => {
    const clock = new ManualClock();
    const others = ['b', 'c', 'd', 'e', 'f', 'g'].map((tenant) => ({ ...budget, name: tenant, scope: { tenant } }));
    const tracker = keep(new CostTracker({ budgets: [budget, ...others], clock }));
    for (const name of ['acme', 'b', 'c', 'd', 'e', 'f', 'g']) await spender(tracker)('9.5', name);
    const seen: string[] = [];
    const sink: AlertSink = {
      name: 'own',
      send: async ({ budget: name }) => {
        seen.push(name);
        if (name === 'acme') await new Promise(() => {});
      },
    };
    const alerts = keep(new BudgetAlerts({ tracker, sinks: [sink], clock, timeoutMs: 600_000 }));
    await clock.advanceAsync(1);
    expect(seen).toHaveLength(7);
    void alerts.close();
    await clock.advanceAsync(1_000);
  });

  test('that ask for different waits are each sent again when its own is over', async () => {
    const clock = new ManualClock();
    const waits: Record<string, number> = { acme: 20_000, beta: 5_000, gamma: 12_345 };
    const all = Object.keys(waits).map((name) => ({ ...budget, name, scope: { tenant: name } }));
    const at: [string, number][] = [];
    const start = clock.now();
    const sink: AlertSink = {
      name: 'own',
      send: async ({ budget: name }) => {
        at.push([name, clock.now() - start]);
        if (at.length <= 3) throw new AlertSinkError('later', { retryAfterMs: waits[name] });
      },
    };
    const { spend } = running([sink], { clock, pollMs: 3_600_000 }, all);
    for (const { name } of all) await spend('9.5', name);
    await clock.advanceAsync(60_000);
    expect(at.slice(3)).toEqual([
      ['beta', 5_000],
      ['gamma', 12_345],
      ['acme', 20_000],
    ]);
  });

  test('of one’s own may throw, hang past their signal, and ask for a wait; an error of another kind is tried again', async () => {
    const clock = new ManualClock();
    const does = [
      () => {
        throw new Error('not even a promise');
      },
      () => new Promise<void>(() => {}),
      () => Promise.reject(new AlertSinkError('later', { retryAfterMs: 7_000 })),
      () => Promise.reject('a text'),
      () => Promise.resolve(),
    ];
    const at: number[] = [];
    const sink: AlertSink = {
      name: 'own',
      send: () => {
        at.push(clock.now());
        return (does[at.length - 1] as () => Promise<void>)();
      },
    };
    const { spend, told } = running([sink], {
      clock,
      timeoutMs: 5_000,
      initialDelayMs: 1_000,
      maxDelayMs: 4_000,
      random: () => 1 - 2 ** -53,
    });
    await spend('9.5');
    await clock.advanceAsync(60_000);
    expect(told.map(({ event, error }) => [event, (error as Error | undefined)?.message ?? error])).toEqual([
      ['failed', 'not even a promise'],
      ['failed', "sink 'own' did not answer within 5000 ms"],
      ['failed', 'later'],
      ['failed', 'a text'],
      ['delivered', undefined],
    ]);
    expect(at.slice(1).map((instant, index) => instant - (at[index] ?? 0))).toEqual([1_000, 5_000 + 2_000, 7_000, 4_000]);
  });
});

describe('alerts', () => {
  test('that were left behind are told by the next who looks, and by one that only delivers', async () => {
    const store = memoryStore();
    const tracker = new CostTracker({ store, budgets: [budget] });
    await spender(tracker)('9.5');
    const hook = await receiver();
    const alerts = new BudgetAlerts({ tracker, sinks: [webhookSink({ url: hook.url, secret })] });
    await alerts.deliver();
    expect(hook.levels).toEqual(['warning']);
    await alerts.close();
    await tracker.close();
  });

  test('of another process are found by looking, as often as was asked for', async () => {
    const clock = new ManualClock();
    const store = memoryStore();
    const other = new CostTracker({ store, budgets: [budget], clock });
    const at: number[] = [];
    const sink: AlertSink = { name: 'own', send: async () => void at.push(clock.now()) };
    const watching = new CostTracker({ store, budgets: [budget], clock });
    const alerts = keep(new BudgetAlerts({ tracker: watching, sinks: [sink], clock, pollMs: 20_000 }));
    const start = clock.now();
    await clock.advanceAsync(10_000);
    await spender(other)('9.5');
    await clock.advanceAsync(9_999);
    expect(at).toEqual([]);
    await clock.advanceAsync(1);
    expect(at).toEqual([start + 20_000]);
    await alerts.close();
    expect(clock.pendingTimers).toBe(0);
  });

  test('keep no process alive, and timers only while they are open', async () => {
    const clock = new ManualClock();
    const timers: ReturnType<ManualClock['setTimeout']>[] = [];
    const watched: AlertClock = {
      now: () => clock.now(),
      wall: () => clock.wall(),
      setTimeout: (fn, ms) => {
        const made = clock.setTimeout(fn, ms);
        timers.push(made);
        return made;
      },
      clearTimeout: (made) => clock.clearTimeout(made),
    };
    const { alerts, spend } = running([{ name: 'own', send: () => Promise.reject(new Error('no')) }], { clock: watched });
    await spend('9.5');
    await clock.advanceAsync(1);
    expect(clock.pendingTimers).toBe(2);
    expect(timers.length).toBeGreaterThan(2);
    expect(timers.every((made) => !made.hasRef())).toBe(true);
    await alerts.close();
    expect(clock.pendingTimers).toBe(0);
  });

  test('are given up, and said to be, when the next attempt would come a day after the period', async () => {
    const clock = new ManualClock({ wall: Date.parse('2026-01-31T23:00:00Z') });
    const at: number[] = [];
    const sink: AlertSink = {
      name: 'own',
      send: () => {
        at.push(clock.wall());
        return Promise.reject(new Error('down'));
      },
    };
    const { spend, told } = running([sink], { clock, initialDelayMs: 1_000, maxDelayMs: 600_000, random: () => 0.5 });
    await spend('9.5');
    await clock.advanceAsync(3 * 86_400_000);
    const last = told.at(-1);
    expect(last).toMatchObject({ event: 'dead-letter', attempt: at.length, alert: { level: 'warning' } });
    expect(told.slice(0, -1).every(({ event }) => event === 'failed')).toBe(true);
    const end = Date.parse('2026-02-02T00:00:00Z');
    expect(at.at(-1)).toBeLessThan(end);
    expect(at.at(-1)).toBeGreaterThanOrEqual(end - 630_000);
  });

  test('are no second time sent because the store could not be told of the first', async () => {
    const clock = new ManualClock();
    const memory = memoryStore();
    let ends = 0;
    const store = {
      ...memory,
      endAlert: (...args: Parameters<typeof memory.endAlert>) =>
        ++ends <= 2 ? Promise.reject(new StoreError('ERR_STORE_FAILED', 'disk full')) : memory.endAlert(...args),
    };
    const tracker = new CostTracker({ store, budgets: [budget], clock });
    let sent = 0;
    const alerts = keep(new BudgetAlerts({ tracker, sinks: [{ name: 'own', send: async () => void sent++ }], clock }));
    const told = news(alerts);
    await spender(tracker)('9.5');
    await clock.advanceAsync(100_000);
    expect(sent).toBe(1);
    expect(told.map(({ event }) => event)).toEqual(['store-failed', 'delivered', 'store-failed']);
    expect(await memory.claimAlerts('own', clock.wall() + 10_000_000, clock.wall(), 1)).toEqual([]);
  });

  test('outlive a store that fails for a while, and stop with one that is closed', async () => {
    const clock = new ManualClock();
    const memory = memoryStore();
    let down = true;
    let asked = 0;
    const claimAlerts: typeof memory.claimAlerts = (...args) => {
      asked += 1;
      return down ? Promise.reject(new StoreError('ERR_STORE_FAILED', 'locked')) : memory.claimAlerts(...args);
    };
    const tracker = new CostTracker({ store: { ...memory, claimAlerts }, budgets: [budget], clock });
    const alerts = keep(new BudgetAlerts({ tracker, sinks: [{ name: 'own', send: async () => {} }], clock }));
    const told = news(alerts);
    await spender(tracker)('9.5');
    await clock.advanceAsync(40_000);
    expect(new Set(told.map(({ event }) => event))).toEqual(new Set(['store-failed']));
    down = false;
    await clock.advanceAsync(30_000);
    expect(told.at(-1)).toMatchObject({ event: 'delivered' });
    await memory.close();
    await clock.advanceAsync(30_000);
    expect(told.at(-1)).toMatchObject({ event: 'store-failed', error: { code: 'ERR_CLOSED' } });
    const before = asked;
    await clock.advanceAsync(300_000);
    expect(asked).toBe(before);
  });

  test('are told at once, also where every look at the store came a moment too early', async () => {
    const clock = new ManualClock();
    const memory = memoryStore();
    const slow: (() => void)[] = [];
    let early = true;
    const claimAlerts: typeof memory.claimAlerts = async (...args) => {
      const claimed = await memory.claimAlerts(...args);
      if (early) await new Promise<void>((resolve) => slow.push(resolve));
      return claimed;
    };
    const tracker = new CostTracker({ store: { ...memory, claimAlerts }, budgets: [budget], clock });
    const seen: string[] = [];
    const alerts = keep(new BudgetAlerts({ tracker, sinks: [{ name: 'own', send: async ({ level }) => void seen.push(level) }], clock }));
    const waits = Array.from({ length: 10 }, () => alerts.deliver());
    await clock.advanceAsync(0);
    await spender(tracker)('9.5');
    early = false;
    for (const answer of slow) answer();
    await Promise.all(waits);
    expect(seen).toEqual(['warning']);
  });

  test('that hung past their lease leave an alert to whoever has it now', async () => {
    const clock = new ManualClock();
    const store = memoryStore();
    const tracker = new CostTracker({ store, budgets: [budget], clock });
    const attempts: ((error: unknown) => void)[] = [];
    const sink: AlertSink = { name: 'own', send: () => new Promise((_, reject) => attempts.push(reject)) };
    const [first, second] = [0, 1].map(() => keep(new BudgetAlerts({ tracker, sinks: [sink], clock, timeoutMs: 60_000 })));
    await clock.advanceAsync(0);
    await spender(tracker)('9.5');
    await clock.advanceAsync(0);
    expect(attempts).toHaveLength(1);
    clock.jumpWall(3_600_000); // the process was stopped for an hour
    await clock.advanceAsync(30_000);
    expect(attempts).toHaveLength(2);
    attempts[0]?.(new Error('late'));
    await clock.advanceAsync(29_000);
    expect(attempts).toHaveLength(2);
    for (const alerts of [first, second]) void alerts?.close();
    await clock.advanceAsync(1_000);
  });

  test('tell other listeners when one throws', async () => {
    const { alerts, spend, told } = running([{ name: 'own', send: async () => {} }]);
    const off = alerts.on('delivered', () => {
      throw new Error('listener');
    });
    const late: string[] = [];
    alerts.on('delivered', ({ alert }) => late.push(alert.level));
    await spend('9.5');
    await until(() => late.length === 1, { what: 'the delivery' });
    expect(told.map(({ event }) => event)).toEqual(['delivered', 'listener-error']);
    off();
    await spend('0.5');
    await until(() => late.length === 2, { what: 'the second delivery' });
    expect(told).toHaveLength(3);
  });

  test('that are closed wait a second for what is under way, then call it off and leave it to the next', async () => {
    const clock = new ManualClock();
    const store = memoryStore();
    const tracker = new CostTracker({ store, budgets: [budget], clock });
    const sent: AbortSignal[] = [];
    const sink: AlertSink = {
      name: 'own',
      send: (_, { signal: own }) => {
        sent.push(own);
        return new Promise(() => {});
      },
    };
    const alerts = new BudgetAlerts({ tracker, sinks: [sink], clock });
    await spender(tracker)('9.5');
    const waiting = alerts.deliver();
    await clock.advanceAsync(0);
    expect(sent).toHaveLength(1);
    const closing = alerts.close();
    expect(alerts.close()).toBe(closing);
    await expect(waiting).rejects.toMatchObject({ code: 'ERR_CLOSED' });
    await expect(alerts.deliver()).rejects.toMatchObject({ code: 'ERR_CLOSED' });
    await clock.advanceAsync(999);
    expect(sent[0]?.aborted).toBe(false);
    await clock.advanceAsync(1);
    await closing;
    expect(sent[0]?.reason).toMatchObject({ code: 'ERR_CLOSED' });
    expect(clock.pendingTimers).toBe(0);
    const seen: string[] = [];
    await using next = new BudgetAlerts({ tracker, sinks: [{ name: 'own', send: async ({ level }) => void seen.push(level) }], clock });
    await next.deliver();
    expect(seen).toEqual(['warning']);
  });

  test('that are closed let an answer come that is on its way', async () => {
    const hook = await receiver();
    hook.usual = 'never';
    const { tracker, alerts, spend, told } = running([webhookSink({ url: hook.url, secret })]);
    await spend('9.5');
    await until(() => hook.received.length === 1, { what: 'the request' });
    const closing = alerts.close();
    hook.release();
    await closing;
    expect(told).toMatchObject([{ event: 'delivered' }]);
    expect(await tracker.store.claimAlerts('webhook', Date.now() + 3_600_000, 0, 1)).toEqual([]);
  });

  test('are waited for no longer than the caller wants, and go on all the same', async () => {
    const hook = await receiver();
    hook.usual = 'never';
    const { alerts, spend, told } = running([webhookSink({ url: hook.url, secret })]);
    await spend('9.5');
    const enough = new AbortController();
    const waiting = alerts.deliver({ signal: enough.signal });
    await until(() => hook.received.length === 1, { what: 'the request' });
    enough.abort('enough');
    await expect(waiting).rejects.toBe('enough');
    await expect(alerts.deliver({ signal: enough.signal })).rejects.toBe('enough');
    hook.release();
    await until(() => told.length === 1, { what: 'the delivery' });
    expect(told).toMatchObject([{ event: 'delivered' }]);
  });
});

describe('what cannot be meant is refused', () => {
  const tracker = new CostTracker();
  const fine = { url: 'https://example.com/hook', secret };
  const sink: AlertSink = { name: 'a', send: async () => {} };
  const hidden = 'must be an https address, or one of http on this machine, without a user and a password';
  test.each<[string, () => unknown, string]>([
    ['an unknown option', () => new BudgetAlerts({ tracker, sinks: [], every: 1 } as never), 'BudgetAlerts options.every is unknown'],
    ['no tracker', () => new BudgetAlerts({ sinks: [] } as never), 'tracker must have the method on'],
    [
      'a tracker without an outbox',
      () => new BudgetAlerts({ tracker: { on: () => {}, store: {} } as never, sinks: [] }),
      'tracker.store must have the method claimAlerts',
    ],
    ['sinks that are no list', () => new BudgetAlerts({ tracker, sinks: sink as never }), 'sinks must be an array'],
    [
      'a sink that sends nothing',
      () => new BudgetAlerts({ tracker, sinks: [{ name: 'a' } as never] }),
      'sinks[0] must have the method send',
    ],
    ['a sink without a name', () => new BudgetAlerts({ tracker, sinks: [{ ...sink, name: '' }] }), 'sinks[0].name must be a text'],
    ['two sinks of one name', () => new BudgetAlerts({ tracker, sinks: [sink, { ...sink }] }), "sinks[1].name 'a' is already taken"],
    ['looking all the time', () => new BudgetAlerts({ tracker, sinks: [], pollMs: 1 }), 'pollMs must be a number from 100 to 3600000'],
    ['no time at all', () => new BudgetAlerts({ tracker, sinks: [], timeoutMs: Number.NaN }), 'timeoutMs must be a number from 1'],
    ['a wait of nothing', () => new BudgetAlerts({ tracker, sinks: [], initialDelayMs: 0 }), 'initialDelayMs must be a number from 1'],
    [
      'a longest wait below the first',
      () => new BudgetAlerts({ tracker, sinks: [], initialDelayMs: 9, maxDelayMs: 8 }),
      'maxDelayMs must be a number from 9',
    ],
    ['a random that is a number', () => new BudgetAlerts({ tracker, sinks: [], random: 0.5 as never }), 'random must be a function'],
    ['half a clock', () => new BudgetAlerts({ tracker, sinks: [], clock: { wall: () => 0 } as never }), 'clock must have the method now'],
    ['a webhook with an unknown option', () => webhookSink({ ...fine, timeout: 1 } as never), 'webhookSink options.timeout is unknown'],
    ['plain http to elsewhere', () => webhookSink({ ...fine, url: 'http://example.com' }), `webhookSink options.url ${hidden}`],
    ['another protocol', () => webhookSink({ ...fine, url: 'file:///etc/passwd' }), hidden],
    ['an address with a password', () => webhookSink({ ...fine, url: 'https://a:b@example.com' }), hidden],
    ['no address', () => webhookSink({ ...fine, url: 'example.com' }), hidden],
    [
      'a secret that is too short',
      () => webhookSink({ ...fine, secret: Buffer.alloc(23).toString('base64') }),
      'webhookSink options.secret must be 24 to 64 bytes',
    ],
    ['a secret that is too long', () => webhookSink({ ...fine, secret: Buffer.alloc(65).toString('base64') }), 'must be 24 to 64 bytes'],
    [
      'a secret that is no base64',
      () => webhookSink({ ...fine, secret: 'whsec_not base64, but long enough for it!!' }),
      'must be 24 to 64 bytes',
    ],
    ['no secret', () => webhookSink({ url: fine.url } as never), 'must be 24 to 64 bytes'],
    ['a fetch that is none', () => webhookSink({ ...fine, fetch: {} as never }), 'webhookSink options.fetch must be a function'],
    ['a webhook’s empty name', () => webhookSink({ ...fine, name: '' }), 'webhookSink options.name must be a text'],
    ['a chat with an unknown option', () => googleChatSink({ ...fine } as never), 'googleChatSink options.secret is unknown'],
    ['a chat on plain http', () => googleChatSink({ url: 'http://chat.googleapis.com/?key=sesame' }), hidden],
    [
      'an error with an unknown option',
      () => new AlertSinkError('no', { hopeless: true } as never),
      'AlertSinkError options.hopeless is unknown',
    ],
    [
      'a wait before now',
      () => new AlertSinkError('no', { retryAfterMs: -1 }),
      'AlertSinkError options.retryAfterMs must be a number from 0',
    ],
  ])('%s', (_what, make, message) => {
    expect(make).toThrow(RangeError);
    expect(make).toThrow(message);
    expect(make).not.toThrow(/sesame|a:b@|BwcH/);
  });

  test.each(['https://example.com', 'http://localhost:1', 'http://127.0.0.1:1/x', 'http://127.9.9.9', 'http://[::1]:1'])(
    '%s is taken',
    (url) => {
      expect(webhookSink({ url, secret }).name).toBe('webhook');
      expect(webhookSink({ url, secret: secret.replace('whsec_', ''), name: 'ops' }).name).toBe('ops');
      expect(googleChatSink({ url }).name).toBe('google-chat');
    },
  );
});

function alertOf(more: object = {}) {
  return {
    id: '00000000-0000-8000-8000-000000000000',
    budget: 'acme',
    level: 'warning' as const,
    threshold: 0.9,
    spentUsd: '9.5',
    limitUsd: '10',
    periodStart: '2026-03-01T00:00:00.000Z',
    resetsAt: '2026-04-01T00:00:00.000Z',
    crossedAt: '2026-03-15T12:00:00.000Z',
    ...more,
  };
}
