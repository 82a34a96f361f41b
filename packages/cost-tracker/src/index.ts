export type { BudgetLevel, BudgetMark, BudgetOptions, BudgetState, BudgetThreshold, BudgetWindow } from './budget.ts';
export type { CallOptions, CallOutcome, RecordOptions, ReserveOptions } from './call.ts';
export { type Clock, CostTracker, type CostTrackerOptions, type MonthlyTotalOptions, type SummaryOptions } from './cost-tracker.ts';
export {
  BudgetExceededError,
  type BudgetProblem,
  isBudgetExceededError,
  isStoreError,
  StoreError,
  type StoreErrorCode,
} from './errors.ts';
export type { BudgetThresholdEvent, CostTrackerEvents, ListenerErrorEvent } from './events.ts';
export type { CostHold } from './hold.ts';
export { memoryStore } from './memory-store.ts';
export type { NanoUsd } from './money.ts';
export type { BudgetPeriod } from './period.ts';
export type { BudgetStatus, NameTotals, TenantTotals, UsageSummary, UsageTotals } from './report.ts';
export type { BudgetScope, CallScope, Dimension, Dimensions } from './scope.ts';
export type {
  Admission,
  Crossing,
  Hold,
  Refusal,
  ReserveResult,
  SaveResult,
  UsageGroup,
  UsageKey,
  UsageKind,
  UsageQuery,
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
