import { checkKeys, checkMethods } from '../options.ts';
import type { BudgetScope } from '../scope.ts';
import type { ValueMetrics, ValuePeriodOptions } from '../value/value-metrics.ts';
import { metricDefinitionCodec, valueSummaryCodec, valueTrendsCodec } from '../value/wire.ts';
import { type Authenticate, checkAuthenticate, type Reader } from './principal.ts';
import { badParameter, Refused } from './problem.ts';
import { Query, tenantOf } from './query.ts';
import { answering, type Routes } from './routes.ts';

/** What the routes ask of value metrics. */
export type MetricsReader = Pick<ValueMetrics, 'definitions' | 'summary' | 'trends'>;

/** What the routes of value metrics are made of. */
export interface ValueMetricsHandlerOptions {
  /** Whose metrics are shown. */
  readonly metrics: MetricsReader;
  /** Says who a request comes from, and what he may see. */
  readonly authenticate: Authenticate;
}

const METHODS = ['summary', 'trends'];
const PERIOD_PARAMETERS = ['period_days', 'project_id', 'tenant_id'];
const MOST_DAYS = 3_650;

/**
 * Answers `/api/value-metrics/*`: `GET summary`, `trends/{name}` and `definitions`, in the names that records have on the wire.
 *
 * A tenant's principal gets his tenant's values. Refusals are `application/problem+json` with `code`.
 *
 * @throws RangeError for an option that is unknown, missing or not allowed.
 */
export function valueMetricsHandler(options: ValueMetricsHandlerOptions): (request: Request) => Promise<Response> {
  checkKeys(options, ['metrics', 'authenticate'], 'valueMetricsHandler options');
  const metrics = checkMethods(options.metrics, METHODS, 'valueMetricsHandler options.metrics');
  return answering(valueRoutes(metrics), checkAuthenticate(options.authenticate, 'valueMetricsHandler options'));
}

function valueRoutes(metrics: MetricsReader): Routes {
  return {
    '/api/value-metrics/summary': {
      GET: async ({ request: { signal }, search, reader }) => {
        const period = periodOf(new Query(search, PERIOD_PARAMETERS), reader);
        return valueSummaryCodec.encode(await withinRetention(() => metrics.summary(period, { signal }))) as object;
      },
    },
    '/api/value-metrics/trends/{name}': {
      GET: async ({ request: { signal }, search, name, reader }) => {
        const query = new Query(search, [...PERIOD_PARAMETERS, 'granularity']);
        const granularity = query.oneOf('granularity', ['daily', 'weekly', 'monthly'], 'daily');
        const period = periodOf(query, reader);
        if (!metrics.definitions.some((definition) => definition.name === name)) {
          throw new Refused(404, 'ERR_NOT_FOUND', `no metric is named ${JSON.stringify(name)}`);
        }
        return valueTrendsCodec.encode(await withinRetention(() => metrics.trends(name, { ...period, granularity }, { signal }))) as object;
      },
    },
    '/api/value-metrics/definitions': {
      GET: async ({ search }) => {
        new Query(search, []);
        return { definitions: metrics.definitions.map((definition) => metricDefinitionCodec.encode(definition)) };
      },
    },
  };
}

function periodOf(query: Query, reader: Reader): ValuePeriodOptions {
  const periodDays = query.whole('period_days', 1, MOST_DAYS);
  const project = query.text('project_id');
  const scope: BudgetScope = { ...tenantOf(query.text('tenant_id'), reader, 'tenant_id'), ...(project === undefined ? {} : { project }) };
  return { scope, ...(periodDays === undefined ? {} : { periodDays }) };
}

/** How long values are kept the metrics know; everything else that they could refuse has been looked at. */
async function withinRetention<T>(read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    throw error instanceof RangeError ? badParameter('period_days', error.message) : error;
  }
}
