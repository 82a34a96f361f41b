import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { CircuitBreaker, isRefusal } from '@tidegate/circuit-breaker';
import { pipeline, retry, timeout } from '@tidegate/circuit-breaker/policies';
import { type BudgetOptions, CostTracker, isBudgetExceededError } from '@tidegate/cost-tracker';
import { type AlertSink, BudgetAlerts, googleChatSink, webhookSink } from '@tidegate/cost-tracker/alerts';
import { sqliteStore } from '@tidegate/cost-tracker/sqlite';
import { per, RateLimiter, type TokenBucket, tokenBucket } from '@tidegate/rate-limit';
import type { Call } from './call.ts';
import { type CheckedConfig, checkConfig, type Problem, problemOf, readConfigFile } from './config.ts';
import { Listeners } from './events.ts';
import { Gateway } from './gateway.ts';
import type { AlertConfig, GatewayConfig, ServerOptions } from './gateway-config.ts';
import { SignIns, signInEvents } from './oauth/sign-ins.ts';
import type { Plugin } from './plugin.ts';
import type { Budget, Guard, ServerGuard } from './ports.ts';
import { RefusedError } from './refusal.ts';
import { type MakeGuard, pluginEntries, serverEntries } from './server-entries.ts';
import { health, ownHealth } from './server-health.ts';
import { argumentsStage } from './stages/arguments.ts';
import { budgetStage } from './stages/budget.ts';
import { limitStage } from './stages/limit.ts';
import { CallerRefusedError, certainlyNotCarriedOut } from './upstream-error.ts';
import { version } from './version.ts';
import { VirtualServer } from './virtual-server.ts';

type Config = CheckedConfig['config'];

const now = () => performance.now();

/** What a configuration leaves out. */
const defaults = {
  limits: [{ perMinute: 60, perHour: 1_000, burst: 10 }],
  timeoutMs: 30_000,
  totalTimeoutMs: 120_000,
  connectTimeoutMs: 30_000,
  listTimeoutMs: 5_000,
  maxSessions: 10_000,
  sessionIdleMs: 30 * 60_000,
  inputTtlMs: 5 * 60_000,
  maxWaitingForInput: 1_000,
};

/** What a gateway has beside its configuration. */
export interface GatewayOptions {
  /** Tools of this process, beside those of the servers. @defaultValue none */
  readonly plugins?: readonly Plugin[] | undefined;
}

/**
 * Puts a gateway together from a configuration, or from the path of a file that holds one. The servers are connected to in the
 * background; nothing listens yet.
 *
 * @throws {@link ConfigError} with the place of everything that is wrong; RangeError for a plug-in that is. Nothing has been
 * started then.
 */
export async function createGateway(config: GatewayConfig | string, { plugins = [] }: GatewayOptions = {}): Promise<Gateway> {
  const { checked, events, servers, signIns, limiter, tracker, sinks } = parts(
    typeof config === 'string' ? await readConfigFile(config) : checkConfig(config),
    plugins,
  );
  await openLedger(tracker, checked);
  tracker.on('budget-threshold', ({ budget, level, spentUsd, limitUsd }) => events.emit('budget', { budget, level, spentUsd, limitUsd }));
  const alerts = budgetAlerts(tracker, sinks, events);
  const virtualServers = new Map(
    Object.entries(checked.config.virtualServers ?? {}).map(([name, parts]) => [name, new VirtualServer(parts)]),
  );
  const { tokens = [], allowedHosts = [], allowedOrigins = [], publicUrl, listTimeoutMs, connectTimeoutMs, maxSessions } = checked.config;
  const gateway = new Gateway({
    servers,
    virtualServers,
    access: {
      tokens: tokens.map(({ token, tenant, user, role = 'member', virtualServer }) => ({
        token,
        principal: { tenant, role, ...(user !== undefined && { user }), ...(virtualServer !== undefined && { virtualServer }) },
      })),
      allowedHosts: publicUrl === undefined ? allowedHosts : [...allowedHosts, new URL(publicUrl).hostname],
      allowedOrigins,
    },
    stages: [
      ...(limiter === 'none'
        ? []
        : [limitStage({ consume: (call) => (call.kind === 'task' ? { allowed: true } : limiter.consume(call)) })]),
      budgetStage(budgetPort(tracker), now, (error, traceId) => events.emit('fault', { error, traceId })),
      argumentsStage(({ server, name }, reason) =>
        events.emit('frame', { server, problem: `offers '${name}', but ${reason}`, sample: '' }),
      ),
    ],
    times: { listMs: listTimeoutMs ?? defaults.listTimeoutMs, connectMs: connectTimeoutMs ?? defaults.connectTimeoutMs },
    sessions: { most: maxSessions ?? defaults.maxSessions, idleMs: defaults.sessionIdleMs },
    waiting: { ttlMs: defaults.inputTtlMs, most: defaults.maxWaitingForInput },
    events,
    now,
    version,
    signIns,
    onClose: async () => {
      await alerts.close();
      await tracker.close();
    },
  });
  gateway.warmUp().catch((error: unknown) => events.emit('fault', { error, traceId: '' }));
  return gateway;
}

/**
 * Finds everything that is wrong with a configuration file, without starting anything.
 *
 * @throws {@link ConfigError} with the place of everything that is wrong.
 */
export async function checkConfigFile(file: string): Promise<void> {
  await parts(await readConfigFile(file)).tracker.close();
}

/** What a gateway is put together from; nothing of it is open yet. */
function parts(checked: CheckedConfig, plugins: readonly Plugin[] = []) {
  const { config } = checked;
  const problems: Problem[] = [];
  const events = new Listeners();
  if (config.allowedHosts?.includes('*') && (config.tokens ?? []).length === 0) {
    problems.push({ path: ['allowedHosts'], message: "'*' needs tokens: without them the host name is what keeps web pages out" });
  }
  config.tokens?.forEach(({ virtualServer }, index) => {
    if (virtualServer === undefined || Object.hasOwn(config.virtualServers ?? {}, virtualServer)) return;
    problems.push({ path: ['tokens', index, 'virtualServer'], message: `there is no virtual server '${virtualServer}'` });
  });
  const signIns = new SignIns(config.publicUrl && new URL(config.publicUrl).origin, signInEvents(events), now);
  const guard: MakeGuard = (name, options, own) => serverGuard(events, name, options, own);
  const entries = serverEntries(config, { guard, signIns, problems });
  const servers = [...entries, ...pluginEntries(plugins, Object.keys(config.mcpServers), guard, now)];
  const limiter = rateLimiter(config, problems);
  const tracker = costTracker(config, problems);
  const sinks = alertSinks(config, problems);
  if (problems.length > 0 || limiter === undefined || tracker === undefined) throw checked.error(problems);
  return { checked, events, servers, signIns, limiter, tracker, sinks };
}

/** Total time limit, retries, circuit, time limit of each attempt: in this order around every call to one server. */
function serverGuard(events: Listeners, name: string, server: ServerOptions, own?: 'plugin'): ServerGuard {
  const { failures = 5, openMs = 60_000 } = server.breaker ?? {};
  const { maxAttempts = 3, initialDelayMs = 1_000, maxDelayMs = 30_000 } = server.retry ?? {};
  const breaker = new CircuitBreaker({
    name,
    slidingWindow: { type: 'consecutive', failures },
    waitDurationInOpenStateMs: openMs,
    classify: own === 'plugin' ? ownHealth : health,
  });
  breaker.on('state-change', ({ from, to, reason }) => events.emit('circuit', { server: name, from, to, reason }));
  const total = timeout({ totalMs: server.totalTimeoutMs ?? defaults.totalTimeoutMs });
  const attempt = timeout({ totalMs: server.timeoutMs ?? defaults.timeoutMs });
  const again = (mayBeMade: (error: unknown) => boolean) => {
    const retryIf = (error: unknown) => !isRefusal(error) && !(error instanceof CallerRefusedError) && mayBeMade(error);
    return retry({ maxAttempts, initialDelayMs, maxDelayMs, retryIf });
  };
  const guard = (mayBeMade: (error: unknown) => boolean): Guard => {
    // a plug-in has a circuit only where it asks for one: it cannot be away
    const policies =
      own === 'plugin' && server.breaker === undefined
        ? pipeline(total, again(mayBeMade), attempt)
        : pipeline(total, again(mayBeMade), breaker, attempt);
    return {
      execute: (fn, options) => {
        let attempts = 0;
        return policies.execute((context) => {
          attempts += 1;
          if (attempts > 1) events.emit('retry', { server: name, attempt: attempts });
          return fn(context);
        }, options);
      },
    };
  };
  return {
    repeatable: guard(() => true),
    once: guard(certainlyNotCarriedOut),
    state: () => breaker.state,
  };
}

function rateLimiter({ limits = defaults.limits }: Config, problems: Problem[]): RateLimiter<Call> | 'none' | undefined {
  if (limits.length === 0) return 'none';
  return attempted(problems, 'limits', () => {
    return new RateLimiter<Call>({
      key: ({ principal, kind, counted }) => JSON.stringify([principal.tenant, kind, counted]),
      limits: limits.flatMap(bucketsOf),
    });
  });
}

/** The burst is that of the shortest period. */
function bucketsOf({ perMinute, perHour, burst }: NonNullable<Config['limits']>[number], index: number): TokenBucket[] {
  const amounts = [['minute', perMinute] as const, ['hour', perHour] as const].filter(([, amount]) => amount !== undefined);
  return amounts.map(([unit, amount = 0], place) =>
    tokenBucket({
      name: index === 0 ? unit : `${unit}-${index + 1}`,
      rate: per(amount, unit),
      ...(place === 0 && burst !== undefined && { burst }),
    }),
  );
}

function costTracker({ budgets = [], prices = {}, dataDir, mcpServers }: Config, problems: Problem[]): CostTracker | undefined {
  // no hold may end before its call: a call and its fallback's each have their time
  const longestMs = Math.max(defaults.totalTimeoutMs, ...Object.values(mcpServers).map(({ totalTimeoutMs = 0 }) => totalTimeoutMs));
  const holdTtlMs = Math.min(2 * longestMs + defaults.inputTtlMs, 86_400_000);
  const named = budgets.map(
    (budget, index): BudgetOptions => ({ ...budget, name: budget.name ?? budget.scope.tenant ?? `budget-${index + 1}` }) as BudgetOptions,
  );
  return attempted(
    problems,
    'budgets',
    () => new CostTracker({ store: sqliteStore(join(dataDir, 'ledger.db')), budgets: named, toolPrices: prices, holdTtlMs }),
  );
}

/** Who is told of budgets, under names that are told apart. */
function alertSinks({ alerts = [] }: Config, problems: Problem[]): AlertSink[] {
  const names: string[] = [];
  return alerts.flatMap((alert, index) => {
    const kind = alert.webhook === undefined ? 'google-chat' : 'webhook';
    const before = alerts.slice(0, index).filter(({ webhook }) => (webhook === undefined) === (alert.webhook === undefined)).length;
    const name = alert.name ?? (before === 0 ? kind : `${kind}-${before + 1}`);
    if (names.includes(name)) problems.push({ path: ['alerts', index, 'name'], message: `'${name}' is already taken` });
    names.push(name);
    return alertSink(alert, name, ['alerts', index], problems);
  });
}

/** What a sink finds wrong with one of its options becomes a problem of that place. */
function alertSink({ webhook, googleChat }: AlertConfig, name: string, path: Problem['path'], problems: Problem[]): AlertSink[] {
  try {
    if (webhook !== undefined) return [webhookSink({ ...webhook, name })];
    return googleChat === undefined ? [] : [googleChatSink({ ...googleChat, name })];
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    const [, option = '', message = error.message] = /^\w+ options\.(\w+) (.*)$/s.exec(error.message) ?? [];
    problems.push({ path: [...path, webhook === undefined ? 'googleChat' : 'webhook', option], message });
    return [];
  }
}

function budgetAlerts(tracker: CostTracker, sinks: readonly AlertSink[], events: Listeners): BudgetAlerts {
  const alerts = new BudgetAlerts({ tracker, sinks });
  const reasonOf = (error: unknown) => (error instanceof Error ? error.message : String(error));
  alerts.on('delivered', ({ alert: { budget, level }, sink }) => events.emit('alert', { budget, level, sink, state: 'delivered' }));
  alerts.on('failed', ({ alert: { budget, level }, sink, error }) => {
    events.emit('alert', { budget, level, sink, state: 'failed', reason: reasonOf(error) });
  });
  alerts.on('dead-letter', ({ alert: { budget, level }, sink, error }) => {
    events.emit('alert', { budget, level, sink, state: 'given-up', reason: reasonOf(error) });
  });
  alerts.on('store-failed', ({ error }) => events.emit('fault', { error, traceId: '' }));
  return alerts;
}

/** What `make` makes; a RangeError of a package becomes a problem of this part of the configuration. */
function attempted<T>(problems: Problem[], part: string, make: () => T): T | undefined {
  try {
    return make();
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    problems.push(problemOf(part, error.message));
    return undefined;
  }
}

async function openLedger(tracker: CostTracker, { config, error }: CheckedConfig): Promise<void> {
  try {
    mkdirSync(config.dataDir, { recursive: true, mode: 0o700 });
    await tracker.monthlyTotalUsd();
  } catch (cause) {
    await tracker.close().catch(() => {}); // it never opened
    throw error([{ path: ['dataDir'], message: `data cannot be kept in '${config.dataDir}': ${(cause as Error).message}` }]);
  }
}

const nothingHeld = { settle: async () => {}, release: async () => {} };

function budgetPort(tracker: CostTracker): Budget {
  return {
    reserve: async ({ kind, name, principal, traceId }) => {
      if (kind === 'completion' || kind === 'task') return nothingHeld;
      const { tenant, user } = principal;
      try {
        return await tracker.reserve({ kind, name, scope: { tenant, traceId, ...(user !== undefined && { user }) } });
      } catch (error) {
        if (!isBudgetExceededError(error)) throw error;
        const { code, message, limit, retryAfterMs, limitUsd, spentUsd, reservedUsd, requestedUsd, resetsAt } = error;
        throw new RefusedError({
          code,
          message,
          limit,
          ...(retryAfterMs !== undefined && { retryAfterMs }),
          details: { limitUsd, spentUsd, reservedUsd, requestedUsd, resetsAt },
        });
      }
    },
  };
}
