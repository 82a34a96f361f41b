export type { BudgetReport, BudgetReports } from './http/budget-routes.ts';
export type { ExportedRow } from './http/export.ts';
export { openApiDocument } from './http/openapi.ts';
export { type UsagePageOptions, usagePage } from './http/page.ts';
export { type Authenticate, bearerTokens, type OperatorPrincipal, type Principal, type TenantPrincipal } from './http/principal.ts';
export type { HttpProblem, HttpProblemCode } from './http/problem.ts';
export type { SeriesGranularity, SeriesPoint, UsageSeries } from './http/series.ts';
export {
  type AnsweredSpan,
  type ModelReport,
  type MonthlyReport,
  type UsageHandlerOptions,
  type UsageSummaryReport,
  type UsageTracker,
  usageHandler,
} from './http/usage-routes.ts';
export { type MetricsReader, type ValueMetricsHandlerOptions, valueMetricsHandler } from './http/value-routes.ts';
