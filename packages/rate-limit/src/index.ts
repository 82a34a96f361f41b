export type { Clock } from './clock.ts';
export {
  type Allowed,
  type Decision,
  type Degraded,
  isRateLimitError,
  type LimitLevel,
  RateLimitError,
  type RateLimitErrorCode,
  type Refused,
} from './decision.ts';
export type { Cost } from './demand.ts';
export type { RateLimiterEvents } from './events.ts';
export type { Limit, LimitOptions, OnStoreError } from './limit.ts';
export { per, type Rate } from './rate.ts';
export {
  type AcquireOptions,
  type ConsumeOptions,
  type PeekOptions,
  RateLimiter,
  type RateLimiterOptions,
  type ReconfigureOptions,
} from './rate-limiter.ts';
export type { Reservation } from './reservation.ts';
export { type Concurrency, type ConcurrencyOptions, concurrency } from './rules/concurrency.ts';
export type { Carry, Held, Rule, Settlement } from './rules/rule.ts';
export { type SlidingWindow, type SlidingWindowOptions, slidingWindow } from './rules/sliding-window.ts';
export { type TokenBucket, type TokenBucketOptions, tokenBucket } from './rules/token-bucket.ts';
export type { Change, Command, Demand, Lease, LimitReply, Refund, Renew, Reply, Reset, Settle, SharedStore, Store, Take } from './store.ts';
