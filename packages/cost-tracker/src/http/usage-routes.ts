import type { Clock, CostTracker } from '../cost-tracker.ts';
import { checkKeys, checkMethods } from '../options.ts';
import { Calendar } from '../period.ts';
import type { ModelTotals, UsageSummary, UsageTotals } from '../report.ts';
import { budgetRoutes } from './budget-routes.ts';
import { exportedRows, formats } from './export.ts';
import { openApiDocument } from './openapi.ts';
import { type Authenticate, checkAuthenticate } from './principal.ts';
import { badParameter } from './problem.ts';
import { calendarOf, Query, type Span, scopeOf, scopeParameters, spanOf, spanParameters } from './query.ts';
import { type Asked, answering, type Route, type Routes } from './routes.ts';
import { granularities, totalsIn, type UsageSeries, usageSeries } from './series.ts';

/** What the routes ask of a tracker. */
export type UsageTracker = Pick<CostTracker, 'summary' | 'rows' | 'budgets' | 'status' | 'setBudget'>;

/** What the routes of usage are made of. */
export interface UsageHandlerOptions {
  /** Whose ledger and budgets are shown; it stays open. */
  readonly tracker: UsageTracker;
  /** Says who a request comes from, and what he may see and change. */
  readonly authenticate: Authenticate;
  /** IANA zone of days and months where a request names none. @defaultValue `'UTC'` */
  readonly timeZone?: string;
  /** @defaultValue the system's clock, read through the global `Date` */
  readonly clock?: Clock;
}

/** The time that an answer is about. */
export interface AnsweredSpan {
  /** First instant that counts, ISO 8601; null for the first row. */
  readonly from: string | null;
  /** First instant after, ISO 8601; null for the last row. */
  readonly to: string | null;
  /** IANA zone that days were counted in. */
  readonly timeZone: string;
}

/** What `GET /api/usage/summary` answers. */
export interface UsageSummaryReport extends UsageSummary, AnsweredSpan {}

/** What `GET /api/usage/monthly` answers: the calls of one calendar month. */
export interface MonthlyReport extends UsageTotals, AnsweredSpan {
  /** The month, `2026-03`. */
  readonly month: string;
}

/** What `GET /api/usage/by-model` answers. */
export interface ModelReport extends AnsweredSpan {
  /** In the order of model and provider. */
  readonly models: readonly ModelTotals[];
}

const OPTION_KEYS = ['tracker', 'authenticate', 'timeZone', 'clock'];
const TRACKER_METHODS = ['summary', 'rows', 'budgets', 'status', 'setBudget'];
const MONTH = /^(?:19[7-9]|[2-9]\d\d)\d-(?:0[1-9]|1[0-2])$/;

/**
 * Answers `/api/usage/*`: `GET summary`, `monthly`, `by-model`, `series`, `rows` (the ledger itself, as NDJSON or CSV), `budget`,
 * `openapi.json`, and `PUT budget`, which acts on the next reservation of every tracker that shares the store. {@link openApiDocument}
 * says what each takes and gives.
 *
 * A tenant's principal gets his tenant's calls and the budgets whose scope names his tenant, whatever he asks for. Refusals are
 * `application/problem+json` with `code`. What `authenticate` throws, and what is no failure of the store, rejects.
 *
 * @throws RangeError for an option that is unknown, missing or not allowed.
 */
export function usageHandler(options: UsageHandlerOptions): (request: Request) => Promise<Response> {
  checkKeys(options, OPTION_KEYS, 'usageHandler options');
  const tracker = checkMethods(options.tracker, TRACKER_METHODS, 'usageHandler options.tracker');
  const authenticate = checkAuthenticate(options.authenticate, 'usageHandler options');
  const clock = checkMethods(options.clock ?? { wall: () => Date.now() }, ['wall'], 'usageHandler options.clock');
  const timeZone = options.timeZone ?? 'UTC';
  new Calendar('day', timeZone, 'usageHandler options');
  return answering({ ...usageRoutes(tracker, clock, timeZone), ...budgetRoutes(tracker) }, authenticate);
}

function usageRoutes(tracker: UsageTracker, clock: Clock, zone: string): Routes {
  const spanned = (more: readonly string[], answer: (asked: Asked, query: Query, span: Span) => Promise<object | Response>): Route => {
    return async (asked) => {
      const query = new Query(asked.search, [...scopeParameters, ...spanParameters, ...more]);
      return answer(asked, query, await spanOf(query, clock.wall(), zone));
    };
  };
  return {
    '/api/usage/summary': {
      GET: spanned([], async ({ reader }, query, span): Promise<UsageSummaryReport> => {
        return { ...answered(span), ...(await tracker.summary(rowsOf(span, scopeOf(query, reader)))) };
      }),
    },
    '/api/usage/by-model': {
      GET: spanned([], async ({ reader }, query, span): Promise<ModelReport> => {
        const { byModel: models } = await tracker.summary(rowsOf(span, scopeOf(query, reader)));
        return { ...answered(span), models };
      }),
    },
    '/api/usage/series': {
      GET: spanned(['granularity'], async ({ request, reader }, query, span): Promise<UsageSeries> => {
        if (span.from === undefined) throw badParameter('from', 'either from or days is needed');
        const granularity = query.oneOf('granularity', granularities, 'day');
        const { from, to = Math.max(from, Math.floor(clock.wall()) + 1), timeZone } = span as Span & { from: number };
        const summary = tracker.summary.bind(tracker);
        return usageSeries(summary, { from, to, timeZone, granularity }, scopeOf(query, reader), request.signal);
      }),
    },
    '/api/usage/rows': {
      GET: spanned(['format'], async ({ request, reader }, query, span) => {
        const format = formats[query.oneOf('format', ['ndjson', 'csv'], 'ndjson')];
        const rows = tracker.rows.bind(tracker);
        const stream = await exportedRows(rows, rowsOf(span, scopeOf(query, reader)), format, request.signal);
        return new Response(stream, {
          headers: {
            'content-type': format.contentType,
            'content-disposition': `attachment; filename="usage.${format.extension}"`,
            'cache-control': 'no-store',
            'x-content-type-options': 'nosniff',
          },
        });
      }),
    },
    '/api/usage/monthly': { GET: monthly(tracker, clock, zone) },
    '/api/usage/openapi.json': {
      GET: async ({ search }) => {
        new Query(search, []);
        return openApiDocument;
      },
    },
  };
}

function monthly(tracker: UsageTracker, clock: Clock, zone: string): Route {
  return async ({ search, reader }): Promise<MonthlyReport> => {
    const query = new Query(search, [...scopeParameters, 'month', 'timeZone']);
    const timeZone = query.text('timeZone') ?? zone;
    const asked = query.text('month');
    if (asked !== undefined && !MONTH.test(asked)) throw badParameter('month', "must be a month such as '2026-03'");
    // The middle of a month is in the same month everywhere.
    const inside = asked === undefined ? clock.wall() : Date.parse(`${asked}-15T12:00:00Z`);
    const { start, end } = await calendarOf('month', timeZone).at(inside);
    const summary = await tracker.summary({ from: Math.max(0, start), to: end, scope: scopeOf(query, reader) });
    const month = new Date((start + end) / 2).toISOString().slice(0, 7);
    return { month, ...answered({ from: start, to: end, timeZone }), ...totalsIn(summary) };
  };
}

function rowsOf({ from, to }: Span, scope: ReturnType<typeof scopeOf>) {
  return { scope, ...(from === undefined ? {} : { from }), ...(to === undefined ? {} : { to }) };
}

function answered({ from, to, timeZone }: Span): AnsweredSpan {
  const iso = (at: number | undefined) => (at === undefined ? null : new Date(at).toISOString());
  return { from: iso(from), to: iso(to), timeZone };
}
