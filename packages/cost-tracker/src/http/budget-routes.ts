import { type BudgetOptions, type BudgetThreshold, DEFAULT_THRESHOLDS } from '../budget.ts';
import { formatUsd, parseUsd } from '../money.ts';
import type { BudgetPeriod } from '../period.ts';
import type { BudgetStatus } from '../report.ts';
import type { BudgetScope } from '../scope.ts';
import { readBody } from './body.ts';
import type { Reader } from './principal.ts';
import { Refused } from './problem.ts';
import { Query } from './query.ts';
import { type Asked, hasTag, jsonResponse, type Routes, tagOf } from './routes.ts';
import type { UsageTracker } from './usage-routes.ts';

/** A budget and where it stands: an element of what `GET /api/usage/budget` answers, and what `PUT` answers. */
export interface BudgetReport extends BudgetStatus {
  /** Whose calls count. */
  readonly scope: BudgetScope;
  /** How long the budget runs before it starts again. */
  readonly period: BudgetPeriod;
  /** IANA zone in which days, weeks and months begin. */
  readonly timeZone: string;
  /** Fractions of the limit. */
  readonly thresholds: Readonly<Record<BudgetThreshold, number>>;
  /** Whether calls of models that have no known price are refused or let through. */
  readonly unpriced: 'refuse' | 'allow';
  /** Of what was set, not of what was spent: for `If-Match`. */
  readonly etag: string;
}

/** What `GET /api/usage/budget` answers. */
export interface BudgetReports {
  /** Those that may be seen, in the order of their names. */
  readonly budgets: readonly BudgetReport[];
}

type Settings = Pick<BudgetReport, 'name' | 'scope' | 'limitUsd' | 'period' | 'timeZone' | 'thresholds' | 'unpriced'>;

/** The routes of budgets. */
export function budgetRoutes(tracker: UsageTracker): Routes {
  // One after the other, so that none is set between another's look at the tag and its change.
  let last: Promise<unknown> = Promise.resolve();
  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const turn = last.then(work);
    last = turn.catch(() => undefined);
    return turn;
  };
  return {
    '/api/usage/budget': {
      GET: async ({ search, reader }) => {
        new Query(search, []);
        const seen = (await tracker.budgets()).filter((budget) => maySee(reader, budget));
        const reports = await Promise.all(seen.map((budget) => reportOf(tracker, budget)));
        const known = reports.filter((report) => report !== undefined);
        return { budgets: known.sort((a, b) => (a.name < b.name ? -1 : 1)) } satisfies BudgetReports;
      },
      PUT: async (asked) => {
        new Query(asked.search, []);
        if (!asked.reader.mayWrite) throw new Refused(403, 'ERR_FORBIDDEN', 'the credentials do not allow to set budgets');
        const body = await readBody(asked.request);
        return inTurn(() => setBudget(tracker, asked, body));
      },
    },
  };
}

async function setBudget(tracker: UsageTracker, { request, reader }: Asked, body: Readonly<Record<string, unknown>>): Promise<Response> {
  const name = body['name'];
  if (typeof name !== 'string' || name === '') {
    throw new Refused(400, 'ERR_BAD_REQUEST', 'name must be a text that is not empty', { pointer: '/name' });
  }
  const before = (await tracker.budgets()).find((budget) => budget.name === name);
  checkReach(reader, before, body);
  checkTags(request, before);
  try {
    const budget = await tracker.setBudget(body as unknown as BudgetOptions);
    const report = await reportOf(tracker, budget);
    if (report === undefined) throw new Refused(412, 'ERR_PRECONDITION_FAILED', `budget '${budget.name}' was taken back just now`);
    const response = jsonResponse(report, request);
    response.headers.set('etag', report.etag);
    return response;
  } catch (error) {
    throw error instanceof RangeError ? badBudget(error.message, body) : error;
  }
}

/** A budget without a tenant, such as one of a model, also counts calls of others. */
function maySee({ tenant }: Reader, { scope }: BudgetOptions): boolean {
  return tenant === undefined || scope.tenant === tenant;
}

function checkReach(reader: Reader, before: BudgetOptions | undefined, body: Readonly<Record<string, unknown>>): void {
  if (reader.tenant === undefined) return;
  const scope = body['scope'] as { tenant?: unknown } | null | undefined;
  const [owned, kept] = [before === undefined || maySee(reader, before), scope === undefined || scope?.tenant === reader.tenant];
  // A new budget without a scope is a bad budget, which is said where it is read.
  if (owned && kept) return;
  throw new Refused(403, 'ERR_FORBIDDEN', `the credentials allow to set budgets of tenant '${reader.tenant}' alone`, {
    pointer: owned ? '/scope/tenant' : '/name',
  });
}

function checkTags(request: Request, before: BudgetOptions | undefined): void {
  const etag = before && tagOf(JSON.stringify(settingsOf(before)));
  const [match, noneMatch] = [request.headers.get('if-match'), request.headers.get('if-none-match')];
  const failed = (match !== null && (etag === undefined || !hasTag(match, etag))) || (etag !== undefined && hasTag(noneMatch, etag));
  if (!failed) return;
  const detail = etag === undefined ? 'there is no such budget' : `the budget is now ${etag}`;
  throw new Refused(412, 'ERR_PRECONDITION_FAILED', detail, { headers: etag === undefined ? {} : { etag } });
}

async function reportOf(tracker: UsageTracker, budget: BudgetOptions): Promise<BudgetReport | undefined> {
  const settings = settingsOf(budget);
  try {
    return { ...(await tracker.status(budget.name)), ...settings, etag: tagOf(JSON.stringify(settings)) };
  } catch (error) {
    // Taken back since it was listed.
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

/** Everything that can be set, also what was left out, in a fixed order. */
function settingsOf({ name, scope, limitUsd, period, timeZone = 'UTC', thresholds, unpriced = 'refuse' }: BudgetOptions): Settings {
  const dimensions = Object.entries(scope).filter(([, value]) => value !== undefined);
  return {
    name,
    scope: Object.fromEntries(dimensions.sort(([a], [b]) => (a < b ? -1 : 1))),
    limitUsd: formatUsd(parseUsd(limitUsd, 'limitUsd')),
    period,
    timeZone,
    thresholds: { ...DEFAULT_THRESHOLDS, ...thresholds },
    unpriced,
  };
}

/** The checks name what they refuse as `setBudget.scope.tenant`; a client knows it as `/scope/tenant` of the body that it sent. */
function badBudget(message: string, body: unknown): Refused {
  const [, path = ''] = /^setBudget((?:\.[^ .]+)*) /.exec(message) ?? [];
  let [value, rest, pointer] = [body, path, ''];
  while (rest !== '') {
    const keys = typeof value === 'object' && value !== null ? Object.keys(value) : [];
    // Keys of others may hold a dot; the longest that fits is meant.
    const fitting = keys.filter((key) => rest === `.${key}` || rest.startsWith(`.${key}.`)).sort((a, b) => b.length - a.length);
    const key = fitting[0] ?? (rest.slice(1).split('.')[0] as string);
    pointer += `/${key.replaceAll('~', '~0').replaceAll('/', '~1')}`;
    rest = rest.slice(1 + key.length);
    value = (value as Record<string, unknown> | undefined)?.[key];
  }
  return new Refused(400, 'ERR_BAD_REQUEST', message.replace(/^setBudget\.?/, '') || message, { pointer });
}
