export type { BudgetLevel, BudgetMark, BudgetOptions, BudgetState, BudgetThreshold, BudgetWindow } from './budget.ts';
export type { CallOptions, CallOutcome, ModelCall, NamedCall, RecordOptions, ReserveOptions } from './call.ts';
export {
  type Clock,
  CostTracker,
  type CostTrackerOptions,
  type MonthlyTotalOptions,
  type RowsOptions,
  type SummaryOptions,
} from './cost-tracker.ts';
export {
  BudgetExceededError,
  type BudgetProblem,
  isBudgetExceededError,
  isStoreError,
  isUnpricedModelError,
  StoreError,
  type StoreErrorCode,
  UnpricedModelError,
} from './errors.ts';
export type { BudgetThresholdEvent, CostTrackerEvents, ListenerErrorEvent, RecordedEvent, RefusedEvent } from './events.ts';
export type { CostHold } from './hold.ts';
export { memoryStore } from './memory-store.ts';
export type { NanoUsd } from './money.ts';
export type { BudgetPeriod, RollingPeriod } from './period.ts';
export type { PriceBook, Priced, PriceLine, PriceRequest } from './price-book.ts';
export type { BudgetStatus, ModelTotals, NameTotals, ProjectTotals, TenantTotals, UsageSummary, UsageTotals } from './report.ts';
export type { BudgetScope, CallScope, Dimension, Dimensions } from './scope.ts';
export type {
  Admission,
  CostSource,
  Crossing,
  Hold,
  Outdated,
  PendingAlert,
  Refusal,
  ReserveResult,
  RowCursor,
  SaveResult,
  StoredBudget,
  StoredBudgets,
  UsageGroup,
  UsageKey,
  UsageKind,
  UsageQuery,
  UsageReport,
  UsageRow,
  UsageStore,
} from './store.ts';
export {
  type CurrencyRate,
  type ToolPrice,
  type ToolPriceAbroad,
  type ToolPriceRecord,
  type ToolPriceUsd,
  toolPriceFromRecord,
  toolPriceToRecord,
} from './tool-prices.ts';
export { usageFromAnthropic } from './usage/anthropic-usage.ts';
export { usageFromGemini } from './usage/gemini-usage.ts';
export { usageFromOpenAI } from './usage/openai-usage.ts';
export type { ReportedUsage } from './usage/reported-usage.ts';
export type { CountedPart, InputPart, OutputPart, UsagePart, UsageParts } from './usage.ts';
